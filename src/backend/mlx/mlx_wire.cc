#include "backend/mlx/mlx_wire.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "backend/mlx/mlx_prompt.h"
#include "backend/mlx/mlx_reader.h"
#include "base/utf8.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

using wire::Json;

constexpr const char* kPath = "/v1/chat/completions";
constexpr float kBiasMax = 1e9F;          // past any logit, and finite in every type of weight
constexpr float kTemperatureMin = 1e-4F;  // below it the likeliest token has all the weight
constexpr float kTopPMin = 1e-6F;         // mlx_lm takes 0 for "off"
constexpr std::uint32_t kWindowMax = 1U << 30U;

std::unexpected<Error> unable(std::string_view field, std::string_view why) {
  return fail(ErrorCode::Unsupported, fmt::format("mlx cannot keep {}: {}", field, why),
              std::string(field));
}

// The field's value where it lies within what mlx_lm takes; else it answers 400, or dies.
Result<double> within(std::string_view field, float value, float min, float max) {
  if (value >= min && value <= max) return static_cast<double>(value);
  return fail(ErrorCode::InvalidArgument,
              fmt::format("{} is {}; mlx takes {} to {}", field, value, min, max),
              std::string(field));
}

Result<void> put_penalties(const SamplingParams& p, std::uint64_t max_tokens, Json& body) {
  const auto window = [](std::uint64_t tokens) {
    return std::min<std::uint64_t>(tokens, kWindowMax);
  };
  if (p.repetition_penalty != 1.0F) {
    MINERVA_ASSIGN(body["repetition_penalty"],
                   within("repetition_penalty", p.repetition_penalty, 1e-3F, 1e3F));
    body["repetition_context_size"] =
        p.repetition_window == 0 ? kWindowMax : window(p.repetition_window);
  }
  // Its windows are of the last tokens, not of the output: this one holds all of the output.
  if (p.presence_penalty != 0.0F) {
    MINERVA_ASSIGN(body["presence_penalty"],
                   within("presence_penalty", p.presence_penalty, -100, 100));
    body["presence_context_size"] = window(max_tokens);
  }
  if (p.frequency_penalty != 0.0F) {
    MINERVA_ASSIGN(body["frequency_penalty"],
                   within("frequency_penalty", p.frequency_penalty, -100, 100));
    body["frequency_context_size"] = window(max_tokens);
  }
  return {};
}

Result<void> put_sampling(const WireRequest& ask, std::size_t vocabulary, Json& body) {
  const SamplingParams& p = ask.request.sampling;
  MINERVA_ASSIGN(const double temperature, within("temperature", p.temperature, 0, 1e3F));
  const bool greedy = temperature < static_cast<double>(kTemperatureMin);
  // Always there: the server has defaults of its own.
  body["temperature"] = greedy ? 0.0 : temperature;
  MINERVA_TRY(put_penalties(p, ask.max_tokens, body));
  if (greedy) return {};
  if (p.typical_p != 1.0F) return unable("typical_p", "it has no such sampling");
  MINERVA_ASSIGN(const double top_p, within("top_p", p.top_p, 0, 1));
  body["top_p"] = std::max(top_p, static_cast<double>(kTopPMin));
  MINERVA_ASSIGN(body["min_p"], within("min_p", p.min_p, 0, 1));
  // As many as the vocabulary is the same as none; mlx_lm would die of it.
  if (p.top_k > 0) {
    if (vocabulary == 0) return unable("top_k", "the size of the vocabulary is not known");
    if (static_cast<std::size_t>(p.top_k) < vocabulary) body["top_k"] = p.top_k;
  }
  // A seed makes the server stop batching until the request has ended, so none is made up here.
  if (p.seed) body["seed"] = ask.seed;
  return {};
}

// Ends of generation are forbidden by a bias where measurements ask for that.
Result<void> put_bias(const WireRequest& ask, const WireModel& model, Json& body) {
  Json bias = Json::object();
  const auto put = [&](TokenId id, float value) -> Result<void> {
    if (id < 0 || static_cast<std::size_t>(id) >= model.vocab_size()) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("logit_bias names token {}; the vocabulary has {} tokens", id,
                              model.vocab_size()),
                  "logit_bias");
    }
    const float finite = std::isnan(value) ? 0.0F : std::clamp(value, -kBiasMax, kBiasMax);
    bias[std::to_string(id)] = static_cast<double>(finite);
    return {};
  };
  for (const auto& [id, value] : ask.request.sampling.logit_bias) MINERVA_TRY(put(id, value));
  if (ask.request.ignore_end_of_generation) {
    if (model.tokenizer == nullptr) {
      return unable("ignore_eos", "which tokens end an answer is not known");
    }
    for (const TokenId id : model.tokenizer->end_of_generation()) MINERVA_TRY(put(id, -kBiasMax));
  }
  if (!bias.empty()) body["logit_bias"] = std::move(bias);
  return {};
}

Result<std::string> text_of(const WireRequest& ask, const WireModel& model) {
  if (ask.chat != nullptr) return unable("messages", "Minerva renders them itself");
  for (const PromptItem& item : ask.request.prompt) {
    if (std::holds_alternative<EmbeddingBlock>(item)) return unable("images", "not here yet");
  }
  if (!ask.tokens.empty() && model.tokenizer != nullptr) {
    return prompt_text(*model.tokenizer, ask.tokens);
  }
  if (ask.text.empty()) return fail(ErrorCode::InvalidArgument, "the prompt is empty", "prompt");
  if (!utf8_valid(ask.text)) {
    return fail(ErrorCode::InvalidArgument, "the prompt is not valid UTF-8", "prompt");
  }
  return ask.text;
}

// Letters, figures, spaces, other scripts: where tokenizers differ, they differ here.
constexpr std::string_view kWarmUp = "Hello 12345,\n\n  it's  é漢😀\tdon't";

Result<std::vector<TokenId>> warm_up_tokens(const text::Tokenizer& tokenizer) {
  return tokenizer.encode(kWarmUp, {.add_special = true, .parse_special = true});
}

Json body_of(std::string prompt, std::uint64_t max_tokens) {
  // Any other name is a path or a repository that would be loaded in place of ours.
  Json body = {{"model", "default_model"}};
  body["messages"] = Json::array({{{"role", "user"}, {"content", std::move(prompt)}}});
  body["max_tokens"] = max_tokens;
  return body;
}

}  // namespace

Capabilities MlxWire::capabilities(const WireModel& model) const {
  Capabilities c;
  c.text_prompts = Support::Yes;
  if (model.tokenizer != nullptr) {
    c.token_prompts = Support::BestEffort;  // those that a text stands for
    c.logit_bias = Support::Yes;
    c.tokenize = Support::Yes;
  }
  c.seed = Support::BestEffort;
  c.choices_max = 16;
  return c;
}

Result<UpstreamRequest> MlxWire::generate_call(const WireRequest& ask,
                                               const WireModel& model) const {
  if (ask.request.constraint) return unable("response_format", "it would ignore it in silence");
  if (ask.request.logprobs >= 0) return unable("logprobs", "its streams have none");
  MINERVA_ASSIGN(std::string prompt, text_of(ask, model));
  Json body = body_of(std::move(prompt), std::max<std::uint64_t>(ask.max_tokens, 1));
  // Only from a stream does it notice that nobody reads any more.
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  MINERVA_TRY(put_sampling(ask, model.vocab_size(), body));
  MINERVA_TRY(put_bias(ask, model, body));
  UpstreamRequest request;
  request.path = kPath;
  request.body = wire::dump_json(body);
  return request;
}

std::unique_ptr<ChunkReader> MlxWire::reader(const WireRequest& ask, const WireModel& model) const {
  MlxReader::Expected expected;
  if (model.tokenizer == nullptr) {
    expected.marks = ThinkMarks{"<think>", "</think>"};
    return std::make_unique<MlxReader>(expected);
  }
  const text::Tokenizer& tokenizer = *model.tokenizer;
  if (ask.tokens.empty() && ask.text.empty()) {
    const auto tokens = warm_up_tokens(tokenizer);
    if (tokens) expected.prompt_tokens = tokens->size();
  }
  expected.marks = think_marks(tokenizer);
  if (expected.marks) {
    const std::string prompt = ask.tokens.empty() ? ask.text : tokenizer.decode(ask.tokens, true);
    expected.thinking = begins_thinking(prompt, *expected.marks);
  }
  return std::make_unique<MlxReader>(expected);
}

EngineHealth MlxWire::read_health(const UpstreamEnd& end) const {
  if (end.status == 200) return EngineHealth::Answering;
  return end.status == 503 ? EngineHealth::Dead : EngineHealth::Starting;
}

// Its access log: 127.0.0.1 - - [date] "GET /health HTTP/1.1" 503 -
bool MlxWire::is_noise(std::string_view log_line) const {
  return log_line.find(" HTTP/1.") != std::string_view::npos;
}

Result<UpstreamRequest> MlxWire::warm_up_call(const WireModel& model) const {
  GenerateRequest request;
  request.id = "warm-up";
  request.sampling.temperature = 0;
  WireRequest ask{request};
  ask.text = std::string(kWarmUp);
  if (model.tokenizer != nullptr) {
    MINERVA_ASSIGN(ask.tokens, warm_up_tokens(*model.tokenizer));
  }
  return generate_call(ask, model);
}

}  // namespace minerva::backend
