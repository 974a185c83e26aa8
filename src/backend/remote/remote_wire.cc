#include "backend/remote/remote_wire.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "backend/child/openai_reader.h"
#include "base/utf8.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

using wire::Json;

constexpr std::size_t kModelsMax = 10'000;
constexpr std::size_t kIdBytesMax = 200;

RemoteDialect dialect_of(std::string_view owner) {
  if (owner == "minerva") return RemoteDialect::Minerva;
  return owner == "vllm" ? RemoteDialect::Vllm : RemoteDialect::OpenAi;
}

std::unexpected<Error> unable(std::string_view field, std::string_view why) {
  return fail(ErrorCode::Unsupported, fmt::format("a remote server cannot keep {}: {}", field, why),
              std::string(field));
}

template <class Value>
Result<void> put_more(const char* field, bool asked, Value value, RemoteDialect dialect,
                      Json& body) {
  if (!asked) return {};
  if (dialect == RemoteDialect::OpenAi) return unable(field, "OpenAI's API does not have it");
  body[field] = value;
  return {};
}

// What only choosing by chance looks at.
Result<void> put_chances(const SamplingParams& p, RemoteDialect dialect, Json& body) {
  body["top_p"] = static_cast<double>(p.top_p);
  MINERVA_TRY(put_more("top_k", p.top_k > 0, p.top_k, dialect, body));
  MINERVA_TRY(put_more("min_p", p.min_p != 0.0F, static_cast<double>(p.min_p), dialect, body));
  if (p.typical_p != 1.0F) return unable("typical_p", "OpenAI's API does not have it");
  return {};
}

// It changes the likeliest token, too.
Result<void> put_repetition(const SamplingParams& p, RemoteDialect dialect, Json& body) {
  if (p.repetition_penalty == 1.0F) return {};
  MINERVA_TRY(put_more("repetition_penalty", true, static_cast<double>(p.repetition_penalty),
                       dialect, body));
  const std::int64_t window = p.repetition_window == 0 ? -1 : std::int64_t{p.repetition_window};
  if (dialect == RemoteDialect::Minerva) {
    body["repeat_last_n"] = window;
  } else if (window > 0 && p.repetition_window != SamplingParams{}.repetition_window) {
    return unable("repeat_last_n", "its penalty looks at all tokens");
  }
  return {};
}

Result<void> put_sampling(const WireRequest& ask, RemoteDialect dialect, Json& body) {
  const SamplingParams& p = ask.request.sampling;
  body["temperature"] = static_cast<double>(p.temperature);
  if (p.temperature > 0) {
    MINERVA_TRY(put_chances(p, dialect, body));
    if (p.seed) body["seed"] = ask.seed & 0x7fffffffffffffffU;  // servers read it as signed
  }
  MINERVA_TRY(put_repetition(p, dialect, body));
  if (p.presence_penalty != 0.0F)
    body["presence_penalty"] = static_cast<double>(p.presence_penalty);
  if (p.frequency_penalty != 0.0F) {
    body["frequency_penalty"] = static_cast<double>(p.frequency_penalty);
  }
  if (!p.logit_bias.empty()) return unable("logit_bias", "which tokens it has is not known");
  if (ask.request.ignore_end_of_generation) {
    MINERVA_TRY(put_more("ignore_eos", true, true, dialect, body));
  }
  return {};
}

}  // namespace

Capabilities RemoteWire::capabilities(const WireModel&) const {
  Capabilities c;
  if (mode_ != RemoteMode::Completions) c.chat_only = Support::Yes;
  if (mode_ != RemoteMode::Chat) c.text_prompts = Support::Yes;
  c.seed = Support::BestEffort;
  c.embeddings = Support::BestEffort;  // which of its models make them is not known
  c.choices_max = 16;
  return c;
}

Result<UpstreamRequest> RemoteWire::generate_call(const WireRequest& ask,
                                                  const WireModel& model) const {
  if (ask.request.constraint) return unable("response_format", "whether it is kept is not known");
  if (ask.request.logprobs >= 0) return unable("logprobs", "not here yet");
  if (!ask.tokens.empty()) return unable("token ids", "which tokens it has is not known");
  UpstreamRequest request;
  Json body = {{"model", model.name}};
  if (ask.chat != nullptr) {
    if (mode_ == RemoteMode::Completions) return unable("messages", "its mode is completions");
    if (!ask.chat->tools_json.empty() && ask.chat->tools_json != "[]") {
      return unable("tools", "not here yet");
    }
    MINERVA_ASSIGN(Json messages, wire::parse_json(ask.chat->messages_json));
    MINERVA_TRY(wire::must_be_array(messages, "messages"));
    body["messages"] = std::move(messages);
    request.path = "/chat/completions";
  } else {
    if (mode_ == RemoteMode::Chat) return unable("raw prompts", "its mode is chat");
    if (ask.text.empty() || !utf8_valid(ask.text)) {
      return fail(ErrorCode::InvalidArgument, "the prompt is empty or not valid UTF-8", "prompt");
    }
    body["prompt"] = ask.text;
    request.path = "/completions";
  }
  // Without one, how far it may go is the server's to say: its context is not known here.
  if (ask.request.max_tokens) body["max_tokens"] = ask.max_tokens;
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  MINERVA_TRY(put_sampling(ask, dialect_, body));
  request.body = wire::dump_json(body);
  return request;
}

std::unique_ptr<ChunkReader> RemoteWire::reader(const WireRequest&, const WireModel&) const {
  return std::make_unique<OpenAiReader>(name_, "the server");
}

Result<UpstreamRequest> RemoteWire::embed_call(std::span<const EmbedInput> inputs,
                                               const WireModel& model) const {
  Json texts = Json::array();
  for (const EmbedInput& input : inputs) {
    const auto* text = std::get_if<std::string>(&input);
    if (text == nullptr) return unable("token ids", "which tokens it has is not known");
    if (text->empty() || !utf8_valid(*text)) {
      return fail(ErrorCode::InvalidArgument, "an input is empty or not valid UTF-8", "input");
    }
    texts.push_back(*text);
  }
  UpstreamRequest request;
  request.path = "/embeddings";
  request.body = wire::dump_json(
      {{"model", model.name}, {"input", std::move(texts)}, {"encoding_format", "float"}});
  return request;
}

EngineHealth RemoteWire::read_health(const UpstreamEnd& end) const {
  if (end.status == 200) {
    const auto models = parse_remote_models(end.body);
    dialect_ = models ? dialect_of(models->owner) : RemoteDialect::OpenAi;
    return EngineHealth::Answering;
  }
  if (end.status == 401 || end.status == 403) return EngineHealth::Dead;
  // There are servers without a list.
  return end.status == 404 || end.status == 405 ? EngineHealth::Answering : EngineHealth::Starting;
}

std::optional<Error> RemoteWire::load_failure(const UpstreamEnd& end) const { return refusal(end); }

Result<RemoteModels> parse_remote_models(std::string_view body) {
  MINERVA_ASSIGN(const Json value,
                 wire::parse_json(body, {.depth_max = 16, .keys_max = 50 * kModelsMax}));
  MINERVA_TRY(wire::must_be_object(value, "the list of models"));
  const Json* data = wire::find(value, "data");
  if (data == nullptr || !data->is_array() || data->size() > kModelsMax) {
    return fail(ErrorCode::Unavailable,
                fmt::format("the list of models has no data, or more than {}", kModelsMax));
  }
  RemoteModels models;
  for (const Json& entry : *data) {
    const Json* id = entry.is_object() ? wire::find(entry, "id") : nullptr;
    if (id == nullptr || !id->is_string()) continue;
    std::string name = id->get<std::string>();
    const bool printable =
        std::ranges::all_of(name, [](unsigned char c) { return c > 0x20 && c < 0x7F; });
    if (name.empty() || name.size() > kIdBytesMax || !printable) continue;
    const Json* owner = wire::find(entry, "owned_by");
    if (models.ids.empty() && owner != nullptr && owner->is_string()) {
      models.owner = owner->get<std::string>();
    }
    models.ids.push_back(std::move(name));
  }
  return models;
}

}  // namespace minerva::backend
