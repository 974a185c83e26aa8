// UTF-8 read one character at a time, strictly: overlong forms, surrogates and values past
// U+10FFFF are invalid (Unicode 15, table 3-7). No allocation; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace minerva {

struct Utf8Char {
  char32_t code_point = 0xfffd;
  std::size_t length = 1;  // bytes to step over; an invalid byte is stepped over alone
  bool valid = false;
};

// The first character of `text`, which must not be empty.
Utf8Char utf8_next(std::string_view text);

bool utf8_valid(std::string_view text);

// Where the first invalid byte is, or npos.
std::size_t utf8_first_invalid(std::string_view text);

void utf8_append(std::string& out, char32_t code_point);

// How many bytes at the end of `text` are the beginning of a character that is not finished yet
// (0 to 3). Bytes that can never become a character count as finished.
std::size_t utf8_incomplete_suffix(std::string_view text);

// The text with every invalid byte replaced by U+FFFD.
std::string utf8_replace_invalid(std::string_view text);

}  // namespace minerva
