#include "cli/chat_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "api/nearest.h"

namespace minerva::cli {
namespace {

using Kind = ChatCommand::Kind;

struct CommandName {
  std::string_view name;
  Kind kind;
};
constexpr std::array<CommandName, 8> kCommands = {{{"help", Kind::Help},
                                                   {"?", Kind::Help},
                                                   {"bye", Kind::Bye},
                                                   {"exit", Kind::Bye},
                                                   {"quit", Kind::Bye},
                                                   {"clear", Kind::Clear},
                                                   {"system", Kind::System},
                                                   {"set", Kind::Set}}};

constexpr std::array<std::string_view, 10> kFields = {"temperature",
                                                      "top_p",
                                                      "top_k",
                                                      "min_p",
                                                      "typical_p",
                                                      "repetition_penalty",
                                                      "frequency_penalty",
                                                      "max_tokens",
                                                      "seed",
                                                      "presence_penalty"};

std::string_view next_word(std::string_view& text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(word.size());
  return word;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

Error unknown(std::string_view what, std::string_view name,
              std::span<const std::string_view> known) {
  const auto nearest = api::nearest_name(name, known);
  return {ErrorCode::InvalidArgument,
          fmt::format("there is no {} \"{}\"{}", what, name,
                      nearest ? fmt::format("; did you mean {}?", *nearest)
                              : fmt::format("; there are {}", fmt::join(known, ", ")))};
}

}  // namespace

Result<ChatCommand> parse_chat_command(std::string_view line) {
  if (line.starts_with('/')) line.remove_prefix(1);
  const std::string_view name = next_word(line);
  const auto at = std::ranges::find(kCommands, name, &CommandName::name);
  if (at == kCommands.end()) {
    std::vector<std::string_view> known;
    for (const CommandName& each : kCommands) known.push_back(each.name);
    return fail(unknown("command", name, known));
  }
  ChatCommand command;
  command.kind = at->kind;
  if (command.kind == Kind::Set) command.name = next_word(line);
  command.argument = trimmed(line);
  return command;
}

Result<void> set_chat_field(wire::Json& fields, const std::string& name, const std::string& value) {
  if (!std::ranges::count(kFields, name)) return fail(unknown("setting", name, kFields));
  if (value.empty()) {
    fields.erase(name);
    return {};
  }
  auto number = wire::parse_json(value);
  if (!number || !number->is_number()) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} takes a number, not \"{}\"", name, value));
  }
  fields[name] = std::move(*number);
  return {};
}

std::string_view chat_help() {
  return R"(/set NAME VALUE  temperature, top_p, top_k, min_p, max_tokens, seed …; /set shows them
/system TEXT     a system message for the next answers; without TEXT none
/clear           forget the conversation
/bye             end, as does Ctrl-D
A line that ends in \ goes on in the next one; """ opens and closes a block of lines.
Ctrl-C stops the answer.
)";
}

}  // namespace minerva::cli
