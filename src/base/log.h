// The log: one line a message, on stderr, control characters escaped so that a hostile name can
// neither forge a line nor move a terminal's cursor. Thread-safe.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace minerva {

enum class LogLevel : std::uint8_t { Debug, Info, Warning, Error, Off };

void set_log_level(LogLevel level);
LogLevel log_level();
void log_line(LogLevel level, std::string_view message);

template <class... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (level >= log_level()) log_line(level, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::Debug, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::Info, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::Warning, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::Error, format, std::forward<Args>(args)...);
}

// The text with C0, DEL, C1 and the bidi controls written as \xNN or \u{NNNN}, and invalid UTF-8 as
// \xNN: safe on a terminal and on one line. `keep_newlines` leaves \n and \t as they are.
std::string escape_controls(std::string_view text, bool keep_newlines = false);

}  // namespace minerva
