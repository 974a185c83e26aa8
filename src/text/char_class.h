// The classes of characters that pre-tokenizers are written in, and a reader of text that yields
// them. ASCII comes from a table, the rest from utf8proc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/utf8.h"

namespace minerva::text {

using CharClass = std::uint8_t;
inline constexpr CharClass kLetter = 1;   // \p{L}
inline constexpr CharClass kNumber = 2;   // \p{N}
inline constexpr CharClass kSpace = 4;    // \s: the property White_Space
inline constexpr CharClass kPunct = 8;    // \p{P}
inline constexpr CharClass kSymbol = 16;  // \p{S}
inline constexpr CharClass kMark = 32;    // \p{M}
// Beside kLetter; letters that have no case (\p{Lm}, \p{Lo}) have neither.
inline constexpr CharClass kUpper = 64;   // \p{Lu}, \p{Lt}
inline constexpr CharClass kLower = 128;  // \p{Ll}
// Everything else (controls, unassigned, bytes that are not UTF-8) has no class.

CharClass class_of_non_ascii(char32_t code_point);

constexpr CharClass class_of_ascii(unsigned c) {
  if (c >= 'a' && c <= 'z') return kLetter | kLower;
  if (c >= 'A' && c <= 'Z') return kLetter | kUpper;
  if (c >= '0' && c <= '9') return kNumber;
  if (c == ' ' || (c >= '\t' && c <= '\r')) return kSpace;
  if (c < 0x21 || c > 0x7e) return 0;
  for (const char symbol : std::string_view("$+<=>^`|~")) {
    if (c == static_cast<unsigned>(symbol)) return kSymbol;
  }
  return kPunct;
}

inline constexpr std::array<CharClass, 128> kAsciiClass = [] {
  std::array<CharClass, 128> out{};
  for (unsigned c = 0; c < 128; ++c) out[c] = class_of_ascii(c);
  return out;
}();

struct ClassedChar {
  std::size_t length;  // in bytes
  CharClass char_class;
};

// The character at `at`, which is inside `text`.
inline ClassedChar char_at(std::string_view text, std::size_t at) {
  const auto byte = static_cast<std::uint8_t>(text[at]);
  if (byte < 0x80) return {1, kAsciiClass[byte]};
  const Utf8Char c = utf8_next(text.substr(at));
  return {c.length, c.valid ? class_of_non_ascii(c.code_point) : CharClass{0}};
}

// Where the run of characters of any of these classes that begins at `at` ends.
inline std::size_t run_of(std::string_view text, std::size_t at, CharClass classes) {
  while (at < text.size()) {
    const ClassedChar c = char_at(text, at);
    if ((c.char_class & classes) == 0) break;
    at += c.length;
  }
  return at;
}

// Where the run of characters of none of these classes that begins at `at` ends.
inline std::size_t run_not_of(std::string_view text, std::size_t at, CharClass classes) {
  while (at < text.size()) {
    const ClassedChar c = char_at(text, at);
    if ((c.char_class & classes) != 0) break;
    at += c.length;
  }
  return at;
}

}  // namespace minerva::text
