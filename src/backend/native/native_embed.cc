// NativeBackend's half that makes vectors: encoders, and decoders pooled.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "backend/native/decoder_embeddings.h"
#include "backend/native/embed_sink.h"
#include "backend/native/loaded_model.h"
#include "engine/encoder.h"

namespace minerva::backend {
namespace {

Result<std::vector<TokenId>> tokens_of(const EmbedInput& input, std::size_t index,
                                       const text::Tokenizer& tokenizer) {
  if (const auto* text = std::get_if<std::string>(&input)) {
    return tokenizer.encode(*text,
                            {.add_special = true, .parse_special = true, .repeat_special = true});
  }
  const auto& ids = std::get<std::vector<TokenId>>(input);
  for (const TokenId id : ids) {
    if (id >= 0 && static_cast<std::size_t>(id) < tokenizer.vocab_size()) continue;
    return fail(ErrorCode::InvalidArgument,
                fmt::format("input {} has token {}, which is outside the vocabulary of {} tokens",
                            index, id, tokenizer.vocab_size()),
                "input");
  }
  return ids;
}

}  // namespace

Result<DecoderEmbeddings::Vectors> decoder_vectors(const formats::GgufFile& file,
                                                   std::string_view architecture) {
  MINERVA_ASSIGN(const auto pooling, engine::read_pooling(file, architecture));
  MINERVA_ASSIGN(const bool normalize, engine::read_normalize(file, architecture));
  return DecoderEmbeddings::Vectors{pooling.value_or(engine::Pooling::Last), normalize};
}

Result<std::shared_ptr<NativeBackend::Loaded>> NativeBackend::load_encoder(
    std::shared_ptr<const formats::GgufFile> file, std::shared_ptr<const text::Tokenizer> tokenizer,
    std::size_t context_size, const engine::WeightLoader::Progress& progress) const {
  MINERVA_TRY(check_memory(*file, engine::EncoderModel::packed_bytes(*file, options_.numerics)));
  auto next = std::make_shared<Loaded>();
  next->tokenizer = std::move(tokenizer);
  MINERVA_ASSIGN(next->encoder,
                 engine::EncoderModel::load(file, options_.numerics, pool_, progress));
  const engine::EncoderConfig& config = next->encoder->config();
  MINERVA_TRY(check_vocabulary(*next->tokenizer, config.vocabulary));
  if (context_size > config.trained_context) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("a context of {} tokens was asked for; the model was trained for {}",
                            context_size, config.trained_context),
                "context");
  }
  // More than what the makers cut texts off at is taken where it is asked for.
  next->context = context_size != 0 ? context_size : config.usual_context;
  if (context_size == 0 && options_.context_default != 0) {
    next->context = std::min(next->context, options_.context_default);
  }
  engine::EncodeQueue::Options queueing;
  queueing.waiting_max = options_.waiting_max;
  queueing.step_tokens = kEncoderStepTokens;
  next->work_bytes = engine::Encoder::work_bytes(
      config, std::max(kEncoderStepTokens, next->context), pool_.size());
  next->encodings = std::make_unique<engine::EncodeQueue>(
      std::make_unique<engine::Encoder>(next->encoder, pool_, kernels_), queueing, clock_,
      metrics_);
  return next;
}

std::size_t NativeBackend::text_tokens_max() const {
  const auto now = loaded();
  return now == nullptr ? 0 : now->text_tokens_max();
}

Result<void> NativeBackend::embed(EmbedRequest request, std::shared_ptr<GenerationStream> stream) {
  const auto now = loaded();
  if (now == nullptr) return fail(ErrorCode::Unavailable, "no model is loaded");
  if (request.inputs.empty()) {
    return fail(ErrorCode::InvalidArgument, "there is nothing to embed", "input");
  }
  if (!now->encodes()) MINERVA_TRY(now->vectors);
  engine::EmbedJob job;
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    MINERVA_ASSIGN(auto tokens, tokens_of(request.inputs[i], i, *now->tokenizer));
    if (tokens.empty()) {
      return fail(ErrorCode::InvalidArgument, fmt::format("input {} has no tokens", i), "input");
    }
    if (tokens.size() > now->text_tokens_max()) {
      return fail(ErrorCode::ContextExceeded,
                  fmt::format("input {} has {} tokens; the model takes {} at most", i,
                              tokens.size(), now->text_tokens_max()),
                  "input");
    }
    job.texts.push_back(std::move(tokens));
  }
  job.deadline = request.deadline;
  job.sink = std::make_shared<NativeEmbedSink>(std::move(stream));
  if (now->encodes()) return now->encodings->submit(std::move(job));
  return DecoderEmbeddings::begin(std::move(job), *now->vectors,
                                  request.priority == Priority::Interactive, *now->batcher, clock_);
}

}  // namespace minerva::backend
