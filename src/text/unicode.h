// Single characters and whole texts in the terms of Unicode: letter case and normal forms.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "text/char_class.h"

namespace minerva::text {

inline CharClass class_of(char32_t code_point) {
  return code_point < 0x80 ? kAsciiClass[code_point] : class_of_non_ascii(code_point);
}

// Letters and the like, marks, decimal digits, connecting signs and joiners: \w.
bool is_word_character(char32_t code_point);

// The same in Oniguruma, which takes no joiners and more numbers.
bool is_regex_word_character(char32_t code_point);

// \p{Nd}, and \d in Oniguruma.
bool is_decimal_digit(char32_t code_point);

// Appends `code_point` in lower case, each character on its own: no final sigma.
void append_lower(std::string& out, char32_t code_point);

enum class UnicodeForm : std::uint8_t { Nfc, Nfd, Nfkc, Nfkd };

// What `text` is in this form; none when it is in it already. Bytes that are not UTF-8 stay. Takes
// n log n time however many marks follow each other.
std::optional<std::string> to_form(UnicodeForm form, std::string_view text);

// Builds a text from what map(code_point, out) appends for each character; bytes that are not UTF-8
// stay as they are.
template <class Map>
std::string map_characters(std::string_view text, const Map& map) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_next(text.substr(at));
    if (c.valid) {
      map(c.code_point, out);
    } else {
      out += text.substr(at, c.length);
    }
    at += c.length;
  }
  return out;
}

}  // namespace minerva::text
