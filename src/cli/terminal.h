// The process's own streams: whole reads and writes, and what the terminal is like. Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace minerva::cli {

inline constexpr int kStdin = 0;
inline constexpr int kStdout = 1;
inline constexpr int kStderr = 2;

bool is_terminal(int fd);
// Of the terminal behind `fd`; 80 where there is none.
std::size_t terminal_columns(int fd);

// All of standard input. TooLarge past `bytes_max`.
Result<std::string> read_stdin(std::size_t bytes_max);

// All of it, or an Io error (a reader that has gone, a full disk).
Result<void> write_out(std::string_view bytes, int fd = kStdout);

// To stderr, for a person: there is nobody to tell when it fails.
void tell(std::string_view text);

}  // namespace minerva::cli
