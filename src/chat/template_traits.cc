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

Result<std::string> render_call(const ChatTemplate& chat_template, Json arguments) {
  Json function = Json::object();
  function["name"] = "probe";
  function["arguments"] = std::move(arguments);
  // Mistral's templates insist on nine characters.
  const Json call = {{"id", "call00001"}, {"type", "function"}, {"function", std::move(function)}};
  Json answer = {{"role", "assistant"}, {"content", ""}};
  answer["tool_calls"] = Json::array({call});
  Json messages = Json::array({Json{{"role", "user"}, {"content", "hello"}}, std::move(answer)});
  return chat_template.render(context_of(std::move(messages)));
}

ArgumentsShape probe_arguments(const ChatTemplate& chat_template) {
  const auto object = render_call(chat_template, {{kNeedle, 1}});
  if (contains(object, kNeedle) && !contains(object, "'zebra':")) return ArgumentsShape::Object;
  const auto text = render_call(chat_template, "{\"zebra\": 1}");
  return contains(text, "{\"zebra\": 1}") ? ArgumentsShape::Text : ArgumentsShape::Object;
}

}  // namespace

TemplateTraits probe_traits(const ChatTemplate& chat_template) {
  return {.content = probe_content(chat_template), .arguments = probe_arguments(chat_template)};
}

}  // namespace minerva::chat
