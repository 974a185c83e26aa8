#include "api/openai/messages.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "wire/data_uri.h"
#include "wire/fields.h"

namespace minerva::api::openai {
namespace {

using chat::ContentPart;
using chat::Message;
using wire::Json;

constexpr std::size_t kNameBytesMax = 256;
// security.md 1.7: pictures of a request, and the bytes of each.
constexpr std::size_t kImagesMax = 16;
constexpr std::size_t kImageBytesMax = std::size_t{20} << 20;
constexpr std::size_t kTextBytesMax = std::string::npos;  // http bounds the body

constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user", "assistant",
                                                    "tool"};
constexpr std::array<std::string_view, 4> kImageTypes = {"image/png", "image/jpeg", "image/webp",
                                                         "image/gif"};

// One messages[i], read field by field.
class MessageReader {
 public:
  MessageReader(const Json& value, std::string path, Draft& draft, std::size_t& images)
      : value_(value), path_(std::move(path)), draft_(draft), images_(images) {}

  Result<Message> read() {
    MINERVA_TRY(wire::must_be_object(value_, path_));
    MINERVA_TRY(role());
    for (const auto& [key, value] : value_.items()) {
      if (!value.is_null()) MINERVA_TRY(field(key, value));
    }
    MINERVA_TRY(check());
    return std::move(message_);
  }

 private:
  std::string at(std::string_view key) const { return fmt::format("{}.{}", path_, key); }

  Result<void> role() {
    const Json* role = wire::find(value_, "role");
    if (role == nullptr) return missing("role");
    MINERVA_ASSIGN(message_.role, wire::string(*role, at("role"), kNameBytesMax));
    if (message_.role == "function") {
      return fail(ErrorCode::Unsupported,
                  fmt::format("'{}': the role function is deprecated, use tool", at("role")),
                  at("role"));
    }
    if (std::ranges::find(kRoles, message_.role) == kRoles.end()) {
      return wire::wrong_value(at("role"), "system, developer, user, assistant or tool", *role);
    }
    return {};
  }

  Result<void> field(const std::string& key, const Json& value) {
    if (key == "content") return content(value);
    if (key == "name") return text(value, key, message_.name);
    if (key == "tool_call_id") return text(value, key, message_.tool_call_id);
    if (key == "tool_calls") return tool_calls(value);
    if (key == "reasoning_content" || key == "reasoning") {
      MINERVA_ASSIGN(message_.reasoning, wire::string(value, at(key), kTextBytesMax));
      return {};
    }
    if (key == "audio" || key == "function_call") {
      return fail(ErrorCode::Unsupported,
                  fmt::format("'{}' is not supported{}", at(key),
                              key == "audio" ? ": no engine hears" : ": use tool_calls"),
                  at(key));
    }
    // refusal and annotations are parts of an earlier answer that say nothing to a template.
    if (key != "role" && key != "refusal" && key != "annotations") draft_.ignore(at(key));
    return {};
  }

  Result<void> text(const Json& value, const std::string& key, std::string& to) {
    MINERVA_ASSIGN(to, wire::string(value, at(key), kNameBytesMax));
    return {};
  }

  Result<void> content(const Json& value) {
    auto& parts = message_.content.emplace();
    if (value.is_string()) {
      parts.push_back({ContentPart::Kind::Text, value.get<std::string>(), {}, {}});
      return {};
    }
    if (!value.is_array()) return wire::wrong_value(at("content"), "a string or a list", value);
    message_.content_is_parts = true;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const std::string path = fmt::format("{}.content[{}]", path_, i);
      MINERVA_ASSIGN(ContentPart part, this->part(value[i], path));
      parts.push_back(std::move(part));
    }
    return {};
  }

  Result<ContentPart> part(const Json& value, const std::string& path) {
    MINERVA_TRY(wire::must_be_object(value, path));
    const Json* type = wire::find(value, "type");
    if (type == nullptr) return missing("type", path);
    MINERVA_ASSIGN(const std::string name, wire::string(*type, path + ".type", kNameBytesMax));
    if (name == "text" || (name == "refusal" && message_.role == "assistant")) {
      const Json* text = wire::find(value, name);
      if (text == nullptr) return missing(name, path);
      ContentPart out;
      MINERVA_ASSIGN(out.text, wire::string(*text, path + "." + name, kTextBytesMax));
      return out;
    }
    if (name == "image_url") return image(value, path);
    if (name == "input_audio" || name == "file" || name == "video_url") {
      return fail(ErrorCode::Unsupported,
                  fmt::format("'{}': parts of type {} are not supported", path, name), path);
    }
    return wire::wrong_value(path + ".type", "text or image_url", *type);
  }

  Result<ContentPart> image(const Json& value, const std::string& path) {
    if (message_.role != "user" && message_.role != "tool") {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("'{}': a message of {} cannot hold a picture", path, message_.role),
                  path);
    }
    const Json* url = wire::find(value, "image_url");
    std::string field = path + ".image_url";
    if (url != nullptr && url->is_object()) {
      url = wire::find(*url, "url");
      field += ".url";
    }
    if (url == nullptr) return missing("image_url", path);
    if (!url->is_string()) return wire::wrong_value(field, "a data: URL", *url);
    if (++images_ > kImagesMax) {
      return fail(ErrorCode::TooLarge,
                  fmt::format("'{}': more than {} pictures in a request", path, kImagesMax), path);
    }
    auto data = wire::parse_data_uri(url->get_ref<const std::string&>(), kImageBytesMax);
    if (!data) {
      Error error = std::move(data).error().in(fmt::format("'{}'", field));
      error.param = field;
      return fail(std::move(error));
    }
    if (std::ranges::find(kImageTypes, data->media_type) == kImageTypes.end()) {
      return fail(ErrorCode::Unsupported,
                  fmt::format("'{}': pictures are image/png, jpeg, webp or gif", field), field);
    }
    if (!draft_.context->images) {
      return fail(ErrorCode::Unsupported,
                  fmt::format("'{}': no engine here sees pictures yet", path), path);
    }
    return ContentPart{ContentPart::Kind::Image, {}, data->media_type, std::move(data->bytes)};
  }

  Result<void> tool_calls(const Json& value) {
    MINERVA_TRY(wire::must_be_array(value, at("tool_calls")));
    for (std::size_t i = 0; i < value.size(); ++i) {
      MINERVA_ASSIGN(chat::ToolCall call,
                     tool_call(value[i], fmt::format("{}.tool_calls[{}]", path_, i)));
      message_.tool_calls.push_back(std::move(call));
    }
    return {};
  }

  Result<chat::ToolCall> tool_call(const Json& value, const std::string& path) {
    MINERVA_TRY(wire::must_be_object(value, path));
    if (const Json* type = wire::find(value, "type"); type != nullptr && *type != "function") {
      return wire::wrong_value(path + ".type", "function", *type);
    }
    const Json* function = wire::find(value, "function");
    if (function == nullptr) return missing("function", path);
    MINERVA_TRY(wire::must_be_object(*function, path + ".function"));
    const Json* name = wire::find(*function, "name");
    if (name == nullptr) return missing("function.name", path);
    chat::ToolCall call;
    MINERVA_ASSIGN(call.name, wire::string(*name, path + ".function.name", kNameBytesMax));
    if (const Json* id = wire::find(value, "id")) {
      MINERVA_ASSIGN(call.id, wire::string(*id, path + ".id", kNameBytesMax));
    }
    call.arguments = Json::object();
    const Json* arguments = wire::find(*function, "arguments");
    if (arguments == nullptr) return call;
    if (arguments->is_object()) {
      call.arguments = *arguments;
      return call;
    }
    MINERVA_ASSIGN(std::string text,
                   wire::string(*arguments, path + ".function.arguments", kTextBytesMax));
    // A model wrote these: what is not an object goes to the template as it stands.
    auto parsed = wire::parse_json(text);
    if (parsed && parsed->is_object()) {
      call.arguments = std::move(*parsed);
    } else if (!text.empty()) {
      call.arguments = std::move(text);
    }
    return call;
  }

  Result<void> check() {
    if (message_.role != "assistant" && !message_.tool_calls.empty()) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("'{}': only the assistant calls tools", at("tool_calls")),
                  at("tool_calls"));
    }
    if (message_.content || !message_.tool_calls.empty() || message_.reasoning) return {};
    return missing("content");
  }

  std::unexpected<Error> missing(std::string_view key) const { return missing(key, path_); }
  static std::unexpected<Error> missing(std::string_view key, std::string_view path) {
    std::string field = fmt::format("{}.{}", path, key);
    std::string message = fmt::format("'{}' is missing", field);
    return fail(ErrorCode::InvalidArgument, std::move(message), std::move(field));
  }

  const Json& value_;
  std::string path_;
  Draft& draft_;
  std::size_t& images_;
  Message message_;
};

}  // namespace

Result<void> read_messages(const Json& value, Draft& draft) {
  MINERVA_TRY(wire::must_be_array(value, "messages"));
  if (value.empty()) {
    return fail(ErrorCode::InvalidArgument, "'messages' must have at least one message",
                "messages");
  }
  std::size_t images = 0;
  draft.conversation.messages.reserve(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    MINERVA_ASSIGN(Message message,
                   MessageReader(value[i], fmt::format("messages[{}]", i), draft, images).read());
    draft.conversation.messages.push_back(std::move(message));
  }
  return {};
}

}  // namespace minerva::api::openai
