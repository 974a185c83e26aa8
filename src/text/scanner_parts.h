// What the scanners have in common.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "text/char_class.h"

namespace minerva::text {

inline bool is_newline(char c) { return c == '\r' || c == '\n'; }

// The length of 's 't 'm 'd 're 've 'll at the front, or 0.
inline std::size_t contraction(std::string_view text) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  const char a = text[1];
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if (text.size() < 3) return 0;
  const char b = text[2];
  return ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

inline std::size_t contraction_any_case(std::string_view text) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  // Case folding makes the long s (U+017F) an s; nothing else outside ASCII folds to these letters.
  if (text.substr(1).starts_with("\xc5\xbf")) return 3;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const char folded[3] = {text[0], lower(text[1]), text.size() > 2 ? lower(text[2]) : '\0'};
  return contraction({folded, std::min<std::size_t>(text.size(), 3)});
}

// \s+(?!\S)|\s+ : a run of spaces leaves its last one to the word that follows.
inline std::size_t white_space(std::string_view text) {
  std::size_t last = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const ClassedChar c = char_at(text, at);
    if (c.char_class != kSpace) break;
    last = at;
    at += c.length;
  }
  return at == text.size() || last == 0 ? at : last;
}

// \s*[\r\n]+ at the front, or 0: white space up to the last newline in it.
inline std::size_t lines(std::string_view text) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const ClassedChar c = char_at(text, at);
    if (c.char_class != kSpace) break;
    at += c.length;
    if (is_newline(text[at - 1])) end = at;
  }
  return end;
}

// \s*[\r\n]+|\s+(?!\S)|\s+
inline std::size_t lines_or_white_space(std::string_view text) {
  const std::size_t length = lines(text);
  return length > 0 ? length : white_space(text);
}

// \p{N}{1,max} at the front, which is a number of `first` bytes.
inline std::size_t numbers(std::string_view text, std::size_t first, int max) {
  std::size_t at = first;
  for (int count = 1; count < max && at < text.size(); ++count) {
    const ClassedChar c = char_at(text, at);
    if (c.char_class != kNumber) break;
    at += c.length;
  }
  return at;
}

// Isolates runs for which `in` holds; the stretches between them are pieces too.
template <class In>
std::size_t alternate(std::string_view text, In in) {
  const ClassedChar first = char_at(text, 0);
  const bool inside = in(text, 0, first.char_class);
  std::size_t at = first.length;
  while (at < text.size()) {
    const ClassedChar c = char_at(text, at);
    if (in(text, at, c.char_class) != inside) break;
    at += c.length;
  }
  return at;
}

// The pieces of splitting by something that does not match everywhere: match(text) is the length of
// the match at the front, or 0, and takes constant time where there is none.
template <class Match>
std::size_t isolate(std::string_view text, Match match) {
  if (const std::size_t length = match(text)) return length;
  std::size_t at = char_at(text, 0).length;
  while (at < text.size() && match(text.substr(at)) == 0) at += char_at(text, at).length;
  return at;
}

}  // namespace minerva::text
