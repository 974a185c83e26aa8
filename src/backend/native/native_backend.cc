#include "backend/native/native_backend.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <utility>

#include "backend/native/loaded_model.h"
#include "backend/native/native_sink.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/system.h"

namespace minerva::backend {
namespace {

// Sequences of full length that the pool has room for, where memory allows; pages are touched only
// when used, so this costs address space.
constexpr std::uint64_t kFullSequencesMax = 64;
constexpr std::uint32_t kChoicesMax = 16;
constexpr std::uint64_t kReserve = 16;  // of the memory, one part in so many
constexpr std::size_t kContextStep = engine::kPage;

engine::SamplingSettings settings_of(const SamplingParams& p, std::uint64_t seed) {
  engine::SamplingSettings s;
  s.temperature = p.temperature;
  s.top_k = static_cast<std::uint32_t>(std::max(p.top_k, 0));
  s.top_p = p.top_p;
  s.min_p = p.min_p;
  s.typical_p = p.typical_p;
  s.repetition_penalty = p.repetition_penalty;
  s.presence_penalty = p.presence_penalty;
  s.frequency_penalty = p.frequency_penalty;
  s.repetition_window = p.repetition_window;
  s.logit_bias = p.logit_bias;
  s.seed = seed;
  return s;
}

std::uint64_t free_bytes_for_kv(const NativeOptions& options) {
  return options.kv_bytes_max != 0 ? options.kv_bytes_max : memory_info().available_bytes / 2;
}

// Reports come from several threads, and not in order.
void raise(std::atomic<std::uint64_t>& to, std::uint64_t value) {
  std::uint64_t now = to.load();
  while (now < value && !to.compare_exchange_weak(now, value)) {
  }
}

// Whether that much can be had without taking the last of the memory, which others may have been
// promised since this model was loaded.
bool memory_allows(std::uint64_t bytes) {
  const MemoryInfo memory = memory_info();
  return memory.available_bytes >= bytes + memory.total_bytes / kReserve;
}

}  // namespace

Result<void> check_memory(const formats::GgufFile& file, std::uint64_t packed) {
  const std::uint64_t available = memory_info().available_bytes;
  if (packed <= available) return {};
  return fail(ErrorCode::OutOfMemory,
              fmt::format("{} needs {} MiB for its weights; {} MiB are free", file.path(),
                          packed >> 20, available >> 20));
}

Result<void> check_vocabulary(const text::Tokenizer& tokenizer, std::size_t rows) {
  if (tokenizer.vocab_size() <= rows) return {};
  return fail(ErrorCode::InvalidModel,
              fmt::format("the vocabulary has {} tokens and token_embd.weight {} rows",
                          tokenizer.vocab_size(), rows));
}

Result<std::shared_ptr<const formats::GgufFile>> open_weights(const NativeOptions& options,
                                                              const ModelSpec& spec) {
  return options.open ? options.open(spec) : formats::GgufFile::open(spec.path);
}

Result<std::size_t> choose_context(const engine::ModelConfig& config, std::size_t asked,
                                   std::size_t configured, std::uint64_t kv_bytes) {
  if (asked > config.trained_context) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("a context of {} tokens was asked for; the model was trained for {}",
                            asked, config.trained_context),
                "context");
  }
  const engine::KvLayout layout(config);
  std::size_t context = asked != 0 ? asked : config.trained_context;
  if (asked == 0 && configured != 0) context = std::min(context, configured);
  if (layout.bytes_for(context) <= kv_bytes) return context;
  if (asked != 0) {
    return fail(ErrorCode::OutOfMemory,
                fmt::format("a context of {} tokens needs {} MiB for keys and values; {} MiB may "
                            "be used",
                            asked, layout.bytes_for(asked) >> 20, kv_bytes >> 20),
                "context");
  }
  // The largest that fits: the need grows with the length, so halving finds it.
  std::size_t fits = 0;
  std::size_t too_large = context;
  while (too_large - fits > kContextStep) {
    const std::size_t middle = fits + (too_large - fits) / 2;
    (layout.bytes_for(middle) <= kv_bytes ? fits : too_large) = middle;
  }
  if (fits == 0) {
    return fail(ErrorCode::OutOfMemory,
                fmt::format("{} MiB for keys and values hold no context at all", kv_bytes >> 20));
  }
  return fits;
}

NativeBackend::NativeBackend(NativeOptions options, engine::ComputePool& pool,
                             const kernels::KernelTable& kernels, const Clock& clock,
                             Metrics& metrics)
    : options_(std::move(options)),
      pool_(pool),
      kernels_(kernels),
      clock_(clock),
      metrics_(metrics) {}

NativeBackend::~NativeBackend() { kill(); }

Result<void> NativeBackend::load_model(const ModelSpec& spec, std::size_t context_size) {
  const std::lock_guard loading(loading_);
  if (is_loaded()) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} is loaded already; unload it first", loaded()->name));
  }
  if (spec.mmproj_path || !spec.adapter_paths.empty()) {
    return fail(ErrorCode::Unsupported,
                "the native engine takes neither a vision projector nor adapters");
  }
  load_done_ = 0;
  load_total_ = 0;
  MINERVA_ASSIGN(auto file, open_weights(options_, spec));
  for (const std::string& warning : file->warnings()) log_warning("{}: {}", spec.path, warning);
  MINERVA_ASSIGN(const std::string_view architecture, file->get_string("general.architecture"));
  std::shared_ptr<const text::Tokenizer> tokenizer;
  if (options_.vocabulary) {
    MINERVA_ASSIGN(tokenizer, options_.vocabulary(spec));
  } else {
    MINERVA_ASSIGN(tokenizer, text::Tokenizer::from_gguf(*file));
  }
  const engine::WeightLoader::Progress progress = [this](std::uint64_t done, std::uint64_t total) {
    load_total_ = total;
    raise(load_done_, done);
    if (options_.progress) options_.progress(done, total);
  };
  MINERVA_ASSIGN(auto next, engine::is_encoder(architecture)
                                ? load_encoder(file, std::move(tokenizer), context_size, progress)
                                : load_decoder(file, std::move(tokenizer), context_size, progress));
  next->name = spec.name;
  const std::lock_guard lock(mutex_);
  loaded_ = std::move(next);
  ++loads_;
  return {};
}

Result<std::shared_ptr<NativeBackend::Loaded>> NativeBackend::load_decoder(
    std::shared_ptr<const formats::GgufFile> file, std::shared_ptr<const text::Tokenizer> tokenizer,
    std::size_t context_size, const engine::WeightLoader::Progress& progress) const {
  MINERVA_TRY(check_memory(*file, engine::Model::packed_bytes(*file, options_.numerics)));
  auto next = std::make_shared<Loaded>();
  next->tokenizer = std::move(tokenizer);
  MINERVA_ASSIGN(next->model, engine::Model::load(file, options_.numerics, pool_, progress));
  const engine::ModelConfig& config = next->model->config();
  MINERVA_TRY(check_vocabulary(*next->tokenizer, config.vocabulary));
  next->vectors = decoder_vectors(*file, config.architecture);

  MINERVA_ASSIGN(next->makes_text, engine::read_makes_text(*file, config.architecture));

  const std::uint64_t kv_free = free_bytes_for_kv(options_);
  MINERVA_ASSIGN(next->context,
                 choose_context(config, context_size, options_.context_default, kv_free));
  MINERVA_ASSIGN(next->text_limit,
                 engine::read_text_limit(*file, config.architecture, next->context));
  engine::KvLayout layout(config);
  const std::uint64_t one = layout.bytes_for(next->context);
  MINERVA_ASSIGN(next->kv,
                 engine::KvPool::create(std::move(layout),
                                        std::min(kv_free, kFullSequencesMax * one), next->context));

  // An embedding's text takes two pages where an answer takes one.
  next->text_limit = std::min(next->text_limit, next->kv->longest_exact(next->context));

  // One full sequence was counted when the model was let in; more than that only where there is
  // room.
  next->kv->grow_if(memory_allows, next->context);

  engine::Decoder::Limits limits;
  limits.tokens = std::min(options_.schedule.tokens, engine::kChunkMax);
  limits.context = next->context;
  next->work_bytes = engine::Decoder::work_bytes(config, limits);
  auto decoder = std::make_unique<engine::Decoder>(next->model, *next->kv, pool_, kernels_, limits);
  engine::Batcher::Options batching;
  batching.context = next->context;
  batching.vocabulary = next->tokenizer->vocab_size();
  batching.waiting_max = options_.waiting_max;
  batching.paused_max = options_.paused_max;
  const auto ends = next->tokenizer->end_of_generation();
  batching.end_of_generation.assign(ends.begin(), ends.end());
  auto scheduler = options_.scheduler ? options_.scheduler()
                                      : std::make_unique<engine::FairScheduler>(options_.schedule);
  next->batcher =
      std::make_unique<engine::Batcher>(std::move(decoder), *next->kv, std::move(scheduler),
                                        kernels_, std::move(batching), clock_, metrics_);
  return next;
}

Result<void> NativeBackend::unload_model() {
  const std::lock_guard loading(loading_);
  std::shared_ptr<Loaded> old;
  {
    const std::lock_guard lock(mutex_);
    old = std::move(loaded_);
    if (old != nullptr) ++loads_;
  }
  if (old != nullptr) old->stop();
  return {};
}

std::shared_ptr<NativeBackend::Loaded> NativeBackend::loaded() const {
  const std::lock_guard lock(mutex_);
  return loaded_;
}

bool NativeBackend::is_loaded() const { return loaded() != nullptr; }

std::size_t NativeBackend::context_size() const {
  const auto now = loaded();
  return now == nullptr ? 0 : now->context;
}

unsigned NativeBackend::thread_count() const { return pool_.size(); }

Result<std::vector<TokenId>> NativeBackend::prompt_tokens(const Loaded& loaded,
                                                          const GenerateRequest& request) const {
  std::vector<TokenId> tokens;
  for (const PromptItem& item : request.prompt) {
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&item)) {
      for (const TokenId id : *ids) {
        if (id < 0 || static_cast<std::size_t>(id) >= loaded.tokenizer->vocab_size()) {
          return fail(ErrorCode::InvalidArgument,
                      fmt::format("token {} is outside the vocabulary of {} tokens", id,
                                  loaded.tokenizer->vocab_size()),
                      "prompt");
        }
      }
      tokens.insert(tokens.end(), ids->begin(), ids->end());
    } else if (const auto* text = std::get_if<std::string>(&item)) {
      MINERVA_ASSIGN(const auto ids, loaded.tokenizer->encode(*text, {.add_special = tokens.empty(),
                                                                      .parse_special = true}));
      tokens.insert(tokens.end(), ids.begin(), ids.end());
    } else {
      return fail(ErrorCode::Unsupported, "the native engine takes no embeddings as a prompt",
                  "prompt");
    }
  }
  if (tokens.empty()) return fail(ErrorCode::InvalidArgument, "the prompt is empty", "prompt");
  const std::size_t length = tokens.size() + request.resume_prefix.size();
  if (length >= loaded.context) {
    return fail(ErrorCode::ContextExceeded,
                fmt::format("the prompt has {} tokens; the context holds {}, and one must be left "
                            "for the answer",
                            length, loaded.context),
                "prompt");
  }
  return tokens;
}

Result<void> NativeBackend::generate(GenerateRequest request,
                                     std::shared_ptr<GenerationStream> stream) {
  const auto now = loaded();
  if (now == nullptr) return fail(ErrorCode::Unavailable, "no model is loaded");
  if (!now->makes_text) {
    return fail(ErrorCode::Unsupported, "this model makes embeddings and no text", "model");
  }
  if (request.n == 0 || request.n > kChoicesMax) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("n is {}, but must be 1 to {}", request.n, kChoicesMax), "n");
  }
  if (request.constraint) {
    return fail(ErrorCode::Unsupported, "the native engine cannot constrain its output yet",
                "response_format");
  }
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    if (id < 0 || static_cast<std::size_t>(id) >= now->tokenizer->vocab_size()) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("logit_bias names token {}; the vocabulary has {} tokens", id,
                              now->tokenizer->vocab_size()),
                  "logit_bias");
    }
  }
  const std::uint64_t seed = request.sampling.seed ? *request.sampling.seed : random_seed();
  engine::BatchRequest ask;
  MINERVA_ASSIGN(ask.prompt, prompt_tokens(*now, request));
  ask.resume_prefix = std::move(request.resume_prefix);
  ask.sampling = settings_of(request.sampling, seed);
  ask.n = request.n;
  ask.max_tokens = static_cast<std::size_t>(
      std::min<std::uint64_t>(request.max_tokens.value_or(now->context), now->context));
  ask.ignore_end_of_generation = request.ignore_end_of_generation;
  ask.logprobs = request.logprobs;
  ask.interactive = request.priority == Priority::Interactive;
  ask.deadline = request.deadline;
  ask.sink = std::make_shared<NativeSink>(stream, now->tokenizer, seed);
  // The stream may outlive the model: it must not keep the batcher, and so its thread, alive.
  stream->on_wake_producer([model = std::weak_ptr(now)] {
    if (const auto alive = model.lock()) alive->batcher->wake();
  });
  return now->batcher->submit(std::move(ask));
}

Result<std::vector<TokenId>> NativeBackend::tokenize(std::string_view text,
                                                     TokenizeOptions options) const {
  const auto now = loaded();
  if (now == nullptr) return fail(ErrorCode::Unavailable, "no model is loaded");
  return now->tokenizer->encode(text, {options.add_special, options.parse_special});
}

Result<std::string> NativeBackend::detokenize(std::span<const TokenId> tokens) const {
  const auto now = loaded();
  if (now == nullptr) return fail(ErrorCode::Unavailable, "no model is loaded");
  return now->tokenizer->decode(tokens, true);
}

void NativeBackend::stop(Duration grace) {
  const TimePoint end = clock_.now() + grace;
  while (const auto now = loaded()) {
    if (now->active() == 0 || clock_.now() >= end) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  kill();
}

void NativeBackend::kill() { static_cast<void>(unload_model()); }

Probe NativeBackend::probe() const {
  const auto now = loaded();
  if (now == nullptr) return {Health::Stopped, "no model is loaded"};
  if (!now->intact()) return {Health::Failed, "the model's file was cut short"};
  return {Health::Ready, ""};
}

ResourceUsage NativeBackend::usage() const {
  ResourceUsage usage;
  const auto now = loaded();
  if (now == nullptr) return usage;
  if (now->encodes()) {
    usage.mapped_bytes = now->encoder->mapped_bytes();
    usage.memory.push_back(
        {"cpu", now->encoder->weight_bytes() + usage.mapped_bytes + now->work_bytes});
    return usage;
  }
  usage.mapped_bytes = now->model->mapped_bytes();
  usage.memory.push_back({"cpu", now->model->weight_bytes() + usage.mapped_bytes +
                                     now->kv->touched_bytes() + now->work_bytes});
  return usage;
}

Activity NativeBackend::activity() const {
  const auto now = loaded();
  if (now == nullptr) return {};
  if (now->encodes()) {
    return {now->encodings->steps(), now->encodings->tokens(), now->encodings->active()};
  }
  return {now->batcher->steps(), now->batcher->tokens(), now->batcher->active()};
}

Capabilities NativeBackend::capabilities() const {
  const auto now = loaded();
  Capabilities c = native_capabilities(now != nullptr && !now->makes_text);
  // As the file says it, once it was read.
  if (now != nullptr && !now->encodes() && !now->vectors) c.embeddings = Support::No;
  const std::lock_guard lock(mutex_);
  c.version = loads_ + 1;
  return c;
}

Capabilities native_capabilities(bool only_vectors) {
  Capabilities c;
  c.token_prompts = Support::Yes;
  c.text_prompts = Support::Yes;
  c.load_invariant = Support::Yes;
  c.embeddings = Support::Yes;
  c.tokenize = Support::Yes;
  if (only_vectors) {
    c.generation = Support::No;
    return c;
  }
  c.logprobs = Support::Yes;
  c.logit_bias = Support::Yes;
  c.seed = Support::Yes;
  c.choices_max = kChoicesMax;
  return c;
}

std::size_t NativeBackend::kv_pages_used() const {
  const auto now = loaded();
  return now == nullptr || now->encodes() ? 0 : now->kv->used_pages();
}

}  // namespace minerva::backend
