// The rest of messages.h: what a conversation carries beside its messages.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string>

#include "api/openai/messages.h"
#include "wire/fields.h"

namespace minerva::api::openai {
namespace {

using wire::Json;

constexpr std::size_t kToolNameBytesMax = 64;
constexpr std::size_t kKwargsMax = 64;

// What Minerva itself gives to a template: a client's variable must not stand in for it.
constexpr std::array<std::string_view, 16> kReservedKwargs = {
    "messages",      "tools",     "documents",    "add_generation_prompt",
    "chat_template", "tokenize",  "bos_token",    "eos_token",
    "pad_token",     "unk_token", "strftime_now", "raise_exception",
    "conversation",  "tokenizer", "return_dict",  "continue_final_message"};

bool name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool tool_name(std::string_view name) {
  return !name.empty() && name.size() <= kToolNameBytesMax &&
         std::ranges::all_of(name, [](char c) { return name_char(c) || c == '-' || c == '.'; });
}

Result<chat::Tool> read_tool(const Json& value, const std::string& path) {
  MINERVA_TRY(wire::must_be_object(value, path));
  const Json* type = wire::find(value, "type");
  if (type == nullptr || *type != "function") {
    return wire::wrong_value(path + ".type", "function", type == nullptr ? Json() : *type);
  }
  const std::string in = path + ".function";
  const Json* function = wire::find(value, "function");
  if (function == nullptr || !function->is_object()) {
    return wire::wrong_value(in, "an object", function == nullptr ? Json() : *function);
  }
  const Json* name = wire::find(*function, "name");
  if (name == nullptr || !name->is_string() || !tool_name(name->get_ref<const std::string&>())) {
    return wire::wrong_value(in + ".name", "1 to 64 of the characters A-Z a-z 0-9 _ - .",
                             name == nullptr ? Json() : *name);
  }
  if (const Json* text = wire::find(*function, "description"); text && !text->is_string()) {
    return wire::wrong_value(in + ".description", "a string", *text);
  }
  if (const Json* schema = wire::find(*function, "parameters"); schema && !schema->is_object()) {
    return wire::wrong_value(in + ".parameters", "a JSON schema", *schema);
  }
  if (const Json* strict = wire::find(*function, "strict"); strict && *strict != false) {
    return fail(
        ErrorCode::Unsupported,
        fmt::format("'{}.strict': calls are not yet held to their schema; leave it out", in),
        in + ".strict");
  }
  return chat::Tool{name->get<std::string>(), value};
}

}  // namespace

Result<void> read_tools(const Json& value, Draft& draft) {
  MINERVA_TRY(wire::must_be_array(value, "tools"));
  auto& tools = draft.conversation.tools;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    MINERVA_ASSIGN(chat::Tool tool, read_tool(value[i], path));
    const auto same = [&tool](const chat::Tool& other) { return other.name == tool.name; };
    if (std::ranges::any_of(tools, same)) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("'{}': there are two tools named {}", path, tool.name), path);
    }
    tools.push_back(std::move(tool));
  }
  return {};
}

Result<void> read_documents(const Json& value, Draft& draft) {
  MINERVA_TRY(wire::must_be_array(value, "documents"));
  for (std::size_t i = 0; i < value.size(); ++i) {
    MINERVA_TRY(wire::must_be_object(value[i], fmt::format("documents[{}]", i)));
  }
  if (!value.empty()) draft.conversation.documents = value;
  return {};
}

Result<void> read_template_kwargs(const Json& value, Draft& draft) {
  const std::string_view field = "chat_template_kwargs";
  MINERVA_TRY(wire::must_be_object(value, field));
  if (value.size() > kKwargsMax) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("'{}' may have {} members, got {}", field, kKwargsMax, value.size()),
                std::string(field));
  }
  for (const auto& [key, item] : value.items()) {
    const std::string path = fmt::format("{}.{}", field, key);
    const bool word = !key.empty() && std::ranges::all_of(key, name_char) &&
                      !(key.front() >= '0' && key.front() <= '9');
    if (!word) {
      return fail(
          ErrorCode::InvalidArgument,
          fmt::format("'{}': {} cannot name a template's variable", field, wire::json_string(key)),
          path);
    }
    if (std::ranges::find(kReservedKwargs, key) != kReservedKwargs.end()) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("'{}': {} is given by the server and cannot be replaced", field, key),
                  path);
    }
    if (item.is_structured()) {
      return wire::wrong_value(path, "a string, a number, true, false or null", item);
    }
    auto& kwargs = draft.conversation.template_kwargs;
    if (kwargs.is_null()) kwargs = Json::object();
    kwargs[key] = item;
  }
  return {};
}

}  // namespace minerva::api::openai
