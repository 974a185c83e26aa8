#include "backend/mlx/vlm_wire.h"

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <utility>

#include "backend/child/openai_reader.h"
#include "backend/mlx/mlx_sampling.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

using wire::Json;

constexpr const char* kPath = "/v1/chat/completions";
constexpr std::string_view kWarmUp = R"([{"role":"user","content":"a"}])";

std::unexpected<Error> unable(std::string_view field, std::string_view why) {
  return fail(ErrorCode::Unsupported, fmt::format("mlx_vlm.server cannot keep {}: {}", field, why),
              std::string(field));
}

// Roles and text, and nothing else: a picture would be read from a path or fetched from a URL.
Result<Json> text_only(std::string_view messages_json) {
  MINERVA_ASSIGN(const Json messages, wire::parse_json(messages_json));
  MINERVA_TRY(wire::must_be_array(messages, "messages"));
  Json out = Json::array();
  for (const Json& message : messages) {
    MINERVA_TRY(wire::must_be_object(message, "messages"));
    const Json* role = wire::find(message, "role");
    if (role == nullptr || !role->is_string()) return unable("messages", "one has no role");
    if (wire::find(message, "tool_calls") != nullptr ||
        wire::find(message, "tool_call_id") != nullptr) {
      return unable("messages", "calls of tools are not here yet");
    }
    std::string text;
    const Json* content = wire::find(message, "content");
    if (content != nullptr && content->is_string()) {
      text = content->get<std::string>();
    } else if (content != nullptr && content->is_array()) {
      for (const Json& part : *content) {
        const Json* type = part.is_object() ? wire::find(part, "type") : nullptr;
        const Json* words = part.is_object() ? wire::find(part, "text") : nullptr;
        if (type == nullptr || *type != "text" || words == nullptr || !words->is_string()) {
          return unable("messages", "pictures and sounds are not here yet");
        }
        text += words->get<std::string>();
      }
    } else if (content != nullptr) {
      return unable("messages", "one has a content that is no text");
    }
    out.push_back({{"role", *role}, {"content", std::move(text)}});
  }
  return out;
}

}  // namespace

Capabilities VlmWire::capabilities(const WireModel& model) const {
  Capabilities c;
  c.chat_only = Support::Yes;
  if (model.tokenizer != nullptr) {
    c.logit_bias = Support::Yes;
    c.tokenize = Support::Yes;
  }
  c.seed = Support::BestEffort;
  c.choices_max = 16;
  return c;
}

Result<UpstreamRequest> VlmWire::generate_call(const WireRequest& ask,
                                               const WireModel& model) const {
  if (ask.chat == nullptr) return unable("raw prompts", "it has no route for them");
  if (!ask.chat->tools_json.empty() && ask.chat->tools_json != "[]") {
    return unable("tools", "not here yet");
  }
  if (ask.request.constraint) return unable("response_format", "not here yet");
  if (ask.request.logprobs >= 0) return unable("logprobs", "not here yet");
  Json body = {{"model", model.name}};
  MINERVA_ASSIGN(body["messages"], text_only(ask.chat->messages_json));
  body["max_tokens"] = std::max<std::uint64_t>(ask.max_tokens, 1);
  MINERVA_TRY(put_mlx_sampling(ask, model.vocab_size(), body));
  if (!mlx_is_greedy(ask.request.sampling)) {
    if (!body.contains("top_k")) body["top_k"] = 0;  // else the model's own configuration's
    // Without one it takes the same seed for every request. It reads them as signed.
    body["seed"] = ask.seed & 0x7fffffffffffffffU;
  }
  MINERVA_TRY(put_mlx_bias(ask, model, body));
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  UpstreamRequest request;
  request.path = kPath;
  request.body = wire::dump_json(body);
  return request;
}

std::unique_ptr<ChunkReader> VlmWire::reader(const WireRequest&, const WireModel&) const {
  return std::make_unique<OpenAiReader>(name(), "mlx_vlm.server");
}

// Its access log: INFO:     127.0.0.1:4711 - "GET /health HTTP/1.1" 200 OK
bool VlmWire::is_noise(std::string_view log_line) const {
  return log_line.find(" HTTP/1.") != std::string_view::npos;
}

Result<void> VlmWire::inspect(Upstream& upstream, WireModel& model, Duration time_max) const {
  UpstreamRequest ask;
  ask.method = "GET";
  ask.path = "/health";
  ask.total_max = std::min<Duration>(time_max, std::chrono::seconds(30));
  MINERVA_ASSIGN(const UpstreamEnd answer, upstream.exchange(std::move(ask)));
  if (answer.status != 200) return fail(refusal(answer));
  const auto value = wire::parse_json(answer.body, {.depth_max = 8, .keys_max = 1000});
  const Json* loaded = value && value->is_object() ? wire::find(*value, "loaded_model") : nullptr;
  if (loaded != nullptr && *loaded == model.name) return {};
  return fail(Error{ErrorCode::Unavailable,
                    "mlx_vlm.server has another model loaded than it was started with",
                    {},
                    std::string(name())});
}

Result<UpstreamRequest> VlmWire::warm_up_call(const WireModel& model) const {
  GenerateRequest request;
  request.id = "warm-up";
  request.sampling.temperature = 0;
  const ChatPrompt chat{std::string(kWarmUp), {}};
  WireRequest ask{request};
  ask.chat = &chat;
  return generate_call(ask, model);
}

}  // namespace minerva::backend
