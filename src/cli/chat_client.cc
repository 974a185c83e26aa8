#include "cli/chat_client.h"

#include <fmt/format.h>

#include <utility>

#include "wire/fields.h"
#include "wire/sse.h"

namespace minerva::cli {
namespace {

// A server that is busy takes its time; where none is, nobody waits.
constexpr auto kLookTime = std::chrono::seconds(2);

// The message of {"error": {"message": …}}.
std::optional<std::string> error_message(const wire::Json& json) {
  if (!json.is_object()) return std::nullopt;
  const wire::Json* error = wire::find(json, "error");
  if (error == nullptr || !error->is_object()) return std::nullopt;
  const wire::Json* message = wire::find(*error, "message");
  if (message == nullptr || !message->is_string()) return "the server gave no reason";
  return message->get<std::string>();
}

Error refused(const http::Response& response) {
  const auto json = wire::parse_json(response.body);
  const auto message = json ? error_message(*json) : std::nullopt;
  return {
      ErrorCode::InvalidArgument,
      message.value_or(fmt::format("the server answered with status {}", response.head.status))};
}

// Takes one chunk of the stream.
Result<void> take_chunk(const wire::Json& chunk, ChatAnswer& answer,
                        const ChatClient::OnText& on_text) {
  if (const auto message = error_message(chunk)) return fail(ErrorCode::Unavailable, *message);
  if (!chunk.is_object()) return {};
  const wire::Json* choices = wire::find(chunk, "choices");
  if (choices == nullptr || !choices->is_array() || choices->empty()) return {};
  const wire::Json& choice = choices->front();
  if (!choice.is_object()) return {};
  if (const wire::Json* delta = wire::find(choice, "delta"); delta && delta->is_object()) {
    const wire::Json* content = wire::find(*delta, "content");
    if (content != nullptr && content->is_string()) {
      const auto& text = content->get_ref<const std::string&>();
      answer.text += text;
      if (!text.empty()) MINERVA_TRY(on_text(text));
    }
  }
  if (const wire::Json* reason = wire::find(choice, "finish_reason"); reason && reason->is_string())
    answer.finish_reason = reason->get<std::string>();
  return {};
}

}  // namespace

Result<void> ChatClient::ask(const wire::Json& messages, const wire::Json& fields,
                             ChatAnswer& answer, const OnText& on_text) const {
  wire::Json request = fields;
  request["model"] = model_;
  request["messages"] = messages;
  request["stream"] = true;

  wire::SseParser parser;
  Result<void> outcome;
  const auto on_line = [&](std::string_view line) {
    std::vector<wire::SseEvent> events;
    outcome = parser.feed(std::string(line) + "\n", events);
    for (const wire::SseEvent& event : events) {
      if (!outcome) break;
      if (event.data == "[DONE]") return false;
      auto chunk = wire::parse_json(event.data);
      outcome = chunk ? take_chunk(*chunk, answer, on_text)
                      : Result<void>(fail(std::move(chunk.error()).in("the server's stream")));
    }
    return outcome.has_value();
  };
  MINERVA_ASSIGN(const http::Response response,
                 client_.post_json("/v1/chat/completions", wire::dump_json(request), on_line));
  if (response.head.status != 200) return fail(refused(response));
  if (!outcome) return outcome;
  if (answer.finish_reason.empty())
    return fail(ErrorCode::Unavailable, "the server closed before the answer had ended");
  return {};
}

std::optional<std::vector<std::string>> models_of_server(const std::string& host, unsigned port) {
  http::ClientOptions options;
  options.host = host;
  options.port = port;
  options.connect_timeout = kLookTime;
  options.read_timeout = kLookTime;
  const http::Client client(options);
  const auto get = [&](std::string_view path) -> std::optional<wire::Json> {
    const auto response = client.get(path);
    if (!response || response->head.status != 200) return std::nullopt;
    auto json = wire::parse_json(response->body);
    if (!json || !json->is_object()) return std::nullopt;
    return std::move(*json);
  };
  const auto version = get("/version");
  if (!version || version->value("name", wire::Json()) != "minerva") return std::nullopt;
  const auto listed = get("/v1/models");
  if (!listed) return std::nullopt;
  std::vector<std::string> names;
  const wire::Json* data = wire::find(*listed, "data");
  if (data == nullptr || !data->is_array()) return names;
  for (const wire::Json& model : *data) {
    if (!model.is_object()) continue;
    const wire::Json* id = wire::find(model, "id");
    if (id != nullptr && id->is_string()) names.push_back(id->get<std::string>());
  }
  return names;
}

}  // namespace minerva::cli
