#include "chat/render.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace minerva::chat {
namespace {

// Variables and functions that a request's template_kwargs may not stand in for.
constexpr std::array<std::string_view, 15> kReservedNames = {
    "messages",  "tools",     "documents", "add_generation_prompt", "bos_token",
    "eos_token", "unk_token", "pad_token", "raise_exception",       "strftime_now",
    "namespace", "range",     "dict",      "chat_template",         "tokenize"};

// json.dumps, with Python's spaces: the text that models were trained on. Only called on values of
// checked depth.
void write_python_json(const Json& value, std::string& out) {
  if (!value.is_structured()) {
    out += value.dump(-1, ' ', false, Json::error_handler_t::replace);
    return;
  }
  out += value.is_object() ? '{' : '[';
  bool first = true;
  for (const auto& [key, child] : value.items()) {
    if (!std::exchange(first, false)) out += ", ";
    if (value.is_object()) {
      out += Json(key).dump(-1, ' ', false, Json::error_handler_t::replace);
      out += ": ";
    }
    write_python_json(child, out);
  }
  out += value.is_object() ? '}' : ']';
}

// Writing and copying JSON recurse. Requests are checked when they are parsed; arguments can come
// from a model's own output, and are checked here.
constexpr int kArgumentsDepthMax = 64;

bool within_depth(const Json& value, int depth_max) {
  if (!value.is_structured()) return true;
  if (depth_max == 0) return false;
  return std::all_of(value.begin(), value.end(),
                     [&](const Json& child) { return within_depth(child, depth_max - 1); });
}

bool text_only(const std::vector<ContentPart>& parts) {
  return std::all_of(parts.begin(), parts.end(),
                     [](const ContentPart& p) { return p.kind == ContentPart::Kind::Text; });
}

Json content_of(const Message& message, const TemplateTraits& traits) {
  const ContentShape shape = traits.content;
  if (!message.content) return traits.takes_null_content ? Json(nullptr) : Json("");
  const bool as_text = text_only(*message.content) && shape != ContentShape::Parts &&
                       (shape == ContentShape::String || !message.content_is_parts);
  if (as_text) return message.text();
  Json parts = Json::array();
  for (const ContentPart& part : *message.content) {
    if (part.kind == ContentPart::Kind::Text) {
      parts.push_back({{"type", "text"}, {"text", part.text}});
    } else {
      parts.push_back({{"type", "image"}});
    }
  }
  return parts;
}

Result<Json> call_of(const ToolCall& call, ArgumentsShape shape) {
  if (!within_depth(call.arguments, kArgumentsDepthMax)) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("the arguments of a call of {} nest deeper than {} levels", call.name,
                            kArgumentsDepthMax),
                "messages");
  }
  Json function = Json::object();
  function["name"] = call.name;
  if (shape == ArgumentsShape::Object || call.arguments.is_string()) {
    function["arguments"] = call.arguments;
  } else {
    std::string text;
    write_python_json(call.arguments, text);
    function["arguments"] = std::move(text);
  }
  Json out = Json::object();
  if (!call.id.empty()) out["id"] = call.id;
  out["type"] = "function";
  out["function"] = std::move(function);
  return out;
}

Result<Json> message_of(const Message& message, const TemplateTraits& traits) {
  Json out = Json::object();
  out["role"] = message.role;
  out["content"] = content_of(message, traits);
  if (!message.name.empty()) out["name"] = message.name;
  if (message.reasoning) out["reasoning_content"] = *message.reasoning;
  // Absent, not empty: many templates only ask whether the key is there.
  if (!message.tool_calls.empty()) {
    Json calls = Json::array();
    for (const ToolCall& call : message.tool_calls) {
      MINERVA_ASSIGN(Json made, call_of(call, traits.arguments));
      calls.push_back(std::move(made));
    }
    out["tool_calls"] = std::move(calls);
  }
  if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
  return out;
}

void add_tokens(Json& context, const TemplateTokens& tokens) {
  const auto add = [&context](const char* name, const std::optional<std::string>& token) {
    if (token && !context.contains(name)) context[name] = *token;
  };
  add("bos_token", tokens.bos);
  add("eos_token", tokens.eos);
  add("unk_token", tokens.unk);
  add("pad_token", tokens.pad);
}

Result<void> add_kwargs(Json& context, const Json& kwargs) {
  if (kwargs.is_null()) return {};
  if (!kwargs.is_object()) {
    return fail(ErrorCode::InvalidArgument, "chat_template_kwargs must be an object",
                "chat_template_kwargs");
  }
  for (const auto& [name, value] : kwargs.items()) {
    if (std::find(kReservedNames.begin(), kReservedNames.end(), name) != kReservedNames.end()) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("chat_template_kwargs may not set {}", name), "chat_template_kwargs");
    }
    if (value.is_structured()) {
      return fail(
          ErrorCode::InvalidArgument,
          fmt::format("chat_template_kwargs.{} must be a string, number, boolean or null", name),
          "chat_template_kwargs");
    }
    context[name] = value;
  }
  return {};
}

}  // namespace

Result<Json> conversation_context(const TemplateTraits& traits, const Conversation& conversation,
                                  const TemplateTokens& tokens) {
  Json messages = Json::array();
  for (const Message& message : conversation.messages) {
    MINERVA_ASSIGN(Json made, message_of(message, traits));
    messages.push_back(std::move(made));
  }
  Json context = Json::object();
  context["messages"] = std::move(messages);
  context["tools"] = nullptr;
  if (!conversation.tools.empty()) {
    Json tools = Json::array();
    for (const Tool& tool : conversation.tools) tools.push_back(tool.definition);
    context["tools"] = std::move(tools);
  }
  context["documents"] = conversation.documents;
  context["add_generation_prompt"] = conversation.add_generation_prompt;
  add_tokens(context, tokens);
  MINERVA_TRY(add_kwargs(context, conversation.template_kwargs));
  return context;
}

Result<std::string> render_conversation(const ChatTemplate& chat_template,
                                        const Conversation& conversation,
                                        const TemplateTokens& tokens,
                                        std::optional<std::int64_t> now_epoch_seconds) {
  MINERVA_ASSIGN(const Json context,
                 conversation_context(chat_template.traits(), conversation, tokens));
  return chat_template.render(context, now_epoch_seconds);
}

Json complete_context(Json context, const TemplateTokens& tokens) {
  if (!context.is_object()) return context;
  for (const char* name : {"tools", "documents"}) {
    if (!context.contains(name)) context[name] = nullptr;
  }
  if (!context.contains("add_generation_prompt")) context["add_generation_prompt"] = false;
  add_tokens(context, tokens);
  return context;
}

}  // namespace minerva::chat
