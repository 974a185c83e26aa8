#include "backend/mlx/mlx_wire.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "backend/mlx/mlx_prompt.h"
#include "backend/mlx/mlx_reader.h"
#include "backend/mlx/mlx_sampling.h"
#include "base/utf8.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

using wire::Json;

constexpr const char* kPath = "/v1/chat/completions";

std::unexpected<Error> unable(std::string_view field, std::string_view why) {
  return fail(ErrorCode::Unsupported, fmt::format("mlx cannot keep {}: {}", field, why),
              std::string(field));
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
  MINERVA_TRY(put_mlx_sampling(ask, model.vocab_size(), body));
  // A seed makes the server stop batching until the request has ended, so none is made up here.
  const SamplingParams& sampling = ask.request.sampling;
  if (sampling.seed && !mlx_is_greedy(sampling)) body["seed"] = ask.seed;
  MINERVA_TRY(put_mlx_bias(ask, model, body));
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
