// What begins with a slash in the chat. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/json_guard.h"

namespace minerva::cli {

struct ChatCommand {
  enum class Kind : std::uint8_t { Help, Bye, Clear, System, Set };
  Kind kind = Kind::Help;
  std::string name;      // Set: of the setting; empty: show them all
  std::string argument;  // System: the text; Set: the value; empty: the default again
};

// InvalidArgument for a command there is not, with the nearest.
Result<ChatCommand> parse_chat_command(std::string_view line);

// Puts a value into the fields of the next requests, or takes it out where it is empty. The names
// are the API's; whether a value is allowed is the API's to say.
Result<void> set_chat_field(wire::Json& fields, const std::string& name, const std::string& value);

std::string_view chat_help();

}  // namespace minerva::cli
