#include "chat/openai_json.h"

#include <utility>

namespace minerva::chat {
namespace {

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json content_of(const Message& message) {
  if (!message.content) return nullptr;
  if (!message.content_is_parts) return message.text();
  Json parts = Json::array();
  for (const ContentPart& part : *message.content) {
    // Pictures do not get this far: no engine here takes them yet, so they were refused.
    if (part.kind == ContentPart::Kind::Text) {
      parts.push_back({{"type", "text"}, {"text", part.text}});
    }
  }
  return parts;
}

Json call_of(const ToolCall& call) {
  const std::string arguments =
      call.arguments.is_string() ? call.arguments.get<std::string>() : dump(call.arguments);
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", arguments}}}};
}

}  // namespace

std::string openai_messages(const Conversation& conversation) {
  Json messages = Json::array();
  for (const Message& message : conversation.messages) {
    Json out = {{"role", message.role}, {"content", content_of(message)}};
    if (!message.name.empty()) out["name"] = message.name;
    if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
    if (message.reasoning) out["reasoning_content"] = *message.reasoning;
    for (const ToolCall& call : message.tool_calls) out["tool_calls"].push_back(call_of(call));
    messages.push_back(std::move(out));
  }
  return dump(messages);
}

std::string openai_tools(const Conversation& conversation) {
  if (conversation.tools.empty()) return {};
  Json tools = Json::array();
  for (const Tool& tool : conversation.tools) tools.push_back(tool.definition);
  return dump(tools);
}

}  // namespace minerva::chat
