#include "chat/template_traits.h"

#include <string>

#include "chat/template.h"

namespace minerva::chat {
namespace {

constexpr std::string_view kNeedle = "zebra";

Json context_of(Json messages) {
  Json context = Json::object();
  context["messages"] = std::move(messages);
  context["tools"] = nullptr;
  context["documents"] = nullptr;
  context["add_generation_prompt"] = false;
  context["bos_token"] = "";
  context["eos_token"] = "";
  context["now"] = 0;
  return context;
}

bool contains(const Result<std::string>& text, std::string_view what) {
  return text && text->find(what) != std::string::npos;
}

ContentShape probe_content(const ChatTemplate& chat_template) {
  const Json text_message = {{"role", "user"}, {"content", kNeedle}};
  const Json part = {{"type", "text"}, {"text", kNeedle}};
  const Json parts_message = {{"role", "user"}, {"content", Json::array({part})}};
  const auto from_text = chat_template.render(context_of(Json::array({text_message})));
  const auto from_parts = chat_template.render(context_of(Json::array({parts_message})));
  // A template that only prints its content prints the list itself.
  const bool parts = contains(from_parts, kNeedle) && !contains(from_parts, "'type'") &&
                     !contains(from_parts, "\"type\"");
  if (!parts) return ContentShape::String;
  return contains(from_text, kNeedle) ? ContentShape::Either : ContentShape::Parts;
}

Result<std::string> render_call(const ChatTemplate& chat_template, Json content, Json arguments) {
  Json function = Json::object();
  function["name"] = "probe";
  function["arguments"] = std::move(arguments);
  // Mistral's templates insist on nine characters.
  const Json call = {{"id", "call00001"}, {"type", "function"}, {"function", std::move(function)}};
  Json answer = {{"role", "assistant"}, {"content", std::move(content)}};
  answer["tool_calls"] = Json::array({call});
  Json messages = Json::array({Json{{"role", "user"}, {"content", "hello"}}, std::move(answer)});
  return chat_template.render(context_of(std::move(messages)));
}

constexpr std::string_view kArgumentsText = "{\"zebra\": 1}";

ArgumentsShape probe_arguments(const ChatTemplate& chat_template) {
  // With null content where "" fails: DeepSeek's templates know a turn of calls by it.
  for (const Json& content : {Json(""), Json(nullptr)}) {
    const auto object = render_call(chat_template, content, {{kNeedle, 1}});
    // A template that only prints its arguments prints the dict itself.
    if (contains(object, kNeedle) && !contains(object, "'zebra':")) return ArgumentsShape::Object;
    const auto text = render_call(chat_template, content, kArgumentsText);
    if (contains(text, kArgumentsText)) return ArgumentsShape::Text;
  }
  return ArgumentsShape::Object;
}

bool probe_null_content(const ChatTemplate& chat_template, ArgumentsShape shape) {
  const Json arguments =
      shape == ArgumentsShape::Object ? Json{{kNeedle, 1}} : Json(kArgumentsText);
  const auto from_null = render_call(chat_template, nullptr, arguments);
  if (from_null && !contains(from_null, "None")) return true;
  const auto from_empty = render_call(chat_template, "", arguments);
  return !from_empty || contains(from_empty, "None");
}

}  // namespace

TemplateTraits probe_traits(const ChatTemplate& chat_template) {
  TemplateTraits traits;
  traits.content = probe_content(chat_template);
  traits.arguments = probe_arguments(chat_template);
  traits.takes_null_content = probe_null_content(chat_template, traits.arguments);
  return traits;
}

}  // namespace minerva::chat
