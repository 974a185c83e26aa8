#include "backend/llama_cpp/llama_wire.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "backend/llama_cpp/llama_reader.h"
#include "base/utf8.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

using wire::Json;

// Its seeds have 32 bits, and the largest asks it to draw one.
std::uint32_t seed_of(std::uint64_t seed) {
  constexpr std::uint64_t kDrawOne = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(seed % kDrawOne);
}

// In the order of our own sampler (engine/sampler.h), but that top_k comes before the temperature:
// the same tokens stay, and what comes behind looks at few. A greedy choice is the first of them;
// over a whole vocabulary llama-server took 1 ms longer for each token of SmolLM2-135M.
void put_sampling(Json& body, const WireRequest& ask, const WireModel& model) {
  const SamplingParams& s = ask.request.sampling;
  body["samplers"] = {"penalties", "top_k", "temperature", "typ_p", "top_p", "min_p"};
  body["temperature"] = s.temperature;
  body["top_k"] = s.temperature > 0 ? std::max(s.top_k, 0) : 1;
  body["top_p"] = s.top_p;
  body["min_p"] = s.min_p;
  body["typical_p"] = s.typical_p;
  body["repeat_penalty"] = s.repetition_penalty;
  body["presence_penalty"] = s.presence_penalty;
  body["frequency_penalty"] = s.frequency_penalty;
  // Zero turns its penalties off; "all" is the context.
  const std::uint64_t all =
      model.context_size == 0 ? std::uint64_t{1} << 20 : std::uint64_t{model.context_size};
  body["repeat_last_n"] = s.repetition_window == 0 ? all : std::uint64_t{s.repetition_window};
  body["seed"] = seed_of(ask.seed);
  Json bias = Json::array();
  for (const auto& [id, value] : s.logit_bias) bias.push_back(Json::array({id, value}));
  body["logit_bias"] = std::move(bias);
  body["ignore_eos"] = ask.request.ignore_end_of_generation;
  // What we have no field for stays off, whatever its defaults become.
  body["dynatemp_range"] = 0.0;
  body["mirostat"] = 0;
  body["dry_multiplier"] = 0.0;
  body["xtc_probability"] = 0.0;
  body["top_n_sigma"] = -1.0;
}

UpstreamRequest post(std::string path, const Json& body) {
  UpstreamRequest request;
  request.path = std::move(path);
  request.body = wire::dump_json(body);
  return request;
}

Error unreadable(std::string_view what) {
  return {ErrorCode::Unavailable,
          fmt::format("llama-server's answer {} what was asked for", what),
          {},
          "llama_cpp"};
}

}  // namespace

Capabilities LlamaWire::what_it_can(bool embeds) {
  Capabilities can;
  can.token_prompts = Support::Yes;
  can.text_prompts = Support::Yes;
  can.tokenize = Support::Yes;
  if (embeds) {
    can.generation = Support::No;
    can.embeddings = Support::Yes;
    return can;
  }
  // None for the first tokens of a character that is made of several (llama_reader.h).
  can.logprobs = Support::BestEffort;
  can.logit_bias = Support::Yes;
  // Its sums depend on what else is in the batch and in the prefix cache.
  can.seed = Support::BestEffort;
  can.load_invariant = Support::No;
  can.choices_max = 16;
  return can;
}

Result<UpstreamRequest> LlamaWire::generate_call(const WireRequest& ask,
                                                 const WireModel& model) const {
  if (ask.chat != nullptr) {
    return fail(ErrorCode::Unsupported, "llama.cpp is given prompts, not conversations");
  }
  Json body;
  if (ask.tokens.empty()) {
    body["prompt"] = ask.text;
  } else {
    body["prompt"] = ask.tokens;
  }
  body["n_predict"] = ask.max_tokens;
  body["n_keep"] = 0;
  body["stream"] = true;
  body["return_tokens"] = true;
  body["return_progress"] = true;
  body["cache_prompt"] = true;
  body["stop"] = Json::array();  // serve's: it knows where characters end
  put_sampling(body, ask, model);
  // One likely token is needed to get the chosen one's own.
  if (ask.request.logprobs >= 0) body["n_probs"] = std::max(ask.request.logprobs, 1);
  // Else the last event repeats the whole prompt.
  body["response_fields"] = {
      "index", "stop", "stop_type", "tokens_evaluated", "tokens_predicted", "timings/cache_n"};
  return post("/completion", body);
}

std::unique_ptr<ChunkReader> LlamaWire::reader(const WireRequest& ask,
                                               const WireModel& model) const {
  return std::make_unique<LlamaReader>(ask.choices, model.tokenizer, ask.max_tokens);
}

Result<UpstreamRequest> LlamaWire::embed_call(std::span<const EmbedInput> inputs,
                                              const WireModel& model) const {
  if (!model.embeds) {
    return fail(ErrorCode::Unsupported, "llama-server was started for text, not for vectors",
                "model");
  }
  Json list = Json::array();
  for (const EmbedInput& input : inputs) {
    if (const auto* text = std::get_if<std::string>(&input)) {
      if (text->empty() || !utf8_valid(*text)) {
        return fail(ErrorCode::InvalidArgument, "an input is empty or not valid UTF-8", "input");
      }
      list.push_back(*text);
    } else {
      list.push_back(std::get<std::vector<TokenId>>(input));
    }
  }
  return post("/v1/embeddings",
              {{"model", model.name}, {"input", std::move(list)}, {"encoding_format", "base64"}});
}

// --- tokens ---

std::optional<UpstreamRequest> LlamaWire::tokenize_call(std::string_view text,
                                                        TokenizeOptions options) const {
  return post("/tokenize", {{"content", text},
                            {"add_special", options.add_special},
                            {"parse_special", options.parse_special}});
}

Result<std::vector<TokenId>> LlamaWire::read_tokens(std::string_view body) const {
  const auto json = wire::parse_json(body);
  if (!json || !json->is_object() || !json->contains("tokens") || !(*json)["tokens"].is_array())
    return fail(unreadable("is not"));
  std::vector<TokenId> tokens;
  for (const Json& value : (*json)["tokens"]) {
    MINERVA_ASSIGN(
        const TokenId id,
        wire::bounded<TokenId>(value, "tokens", {0, std::numeric_limits<TokenId>::max()}));
    tokens.push_back(id);
  }
  return tokens;
}

std::optional<UpstreamRequest> LlamaWire::detokenize_call(std::span<const TokenId> tokens) const {
  Json ids = Json::array();
  for (const TokenId id : tokens) ids.push_back(id);
  return post("/detokenize", {{"tokens", std::move(ids)}});
}

Result<std::string> LlamaWire::read_text(std::string_view body) const {
  const auto json = wire::parse_json(body);
  if (!json || !json->is_object() || !json->contains("content") || !(*json)["content"].is_string())
    return fail(unreadable("is not"));
  return (*json)["content"].get<std::string>();
}

// --- getting ready ---

Result<void> LlamaWire::inspect(Upstream& upstream, WireModel& model, Duration time_max) const {
  UpstreamRequest ask;
  ask.method = "GET";
  ask.path = "/props";
  ask.total_max = std::min<Duration>(time_max, std::chrono::seconds(30));
  MINERVA_ASSIGN(const UpstreamEnd answer, upstream.exchange(std::move(ask)));
  if (answer.status != 200) return fail(refusal(answer));
  const auto json = wire::parse_json(answer.body);
  if (!json || !json->is_object()) return fail(unreadable("is not"));
  const Json* settings = wire::find(*json, "default_generation_settings");
  const Json* context =
      settings != nullptr && settings->is_object() ? wire::find(*settings, "n_ctx") : nullptr;
  if (context == nullptr) return {};  // an older version: what was planned stands
  MINERVA_ASSIGN(const auto size,
                 wire::bounded<std::uint64_t>(*context, "n_ctx", {1, std::uint64_t{1} << 32}));
  if (model.context_size == 0 || size < model.context_size) {
    model.context_size = static_cast<std::size_t>(size);
  }
  return {};
}

}  // namespace minerva::backend
