#include "text/scanners.h"

#include <algorithm>
#include <string_view>

#include "text/char_class.h"

namespace minerva::text {
namespace {

constexpr CharClass kWordOrSpace = kLetter | kNumber | kSpace;

bool is_newline(char c) { return c == '\r' || c == '\n'; }

// The length of 's 't 'm 'd 're 've 'll at the front, or 0.
std::size_t contraction(std::string_view text) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  const char a = text[1];
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if (text.size() < 3) return 0;
  const char b = text[2];
  return ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

std::size_t contraction_any_case(std::string_view text) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  // Case folding makes the long s (U+017F) an s; nothing else outside ASCII folds to these letters.
  if (text.substr(1).starts_with("\xc5\xbf")) return 3;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const char folded[3] = {text[0], lower(text[1]), text.size() > 2 ? lower(text[2]) : '\0'};
  return contraction({folded, std::min<std::size_t>(text.size(), 3)});
}

// \s+(?!\S)|\s+ : a run of spaces leaves its last one to the word that follows.
std::size_t white_space(std::string_view text) {
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
std::size_t lines(std::string_view text) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const ClassedChar c = char_at(text, at);
    if (c.char_class != kSpace) break;
    at += c.length;
    if (is_newline(text[at - 1])) end = at;
  }
  return end;
}

std::size_t scan_llama3_with(std::string_view text, int numbers_max) {
  if (const std::size_t length = contraction_any_case(text)) return length;

  const ClassedChar first = char_at(text, 0);
  if (first.char_class == kLetter) return run_of(text, first.length, kLetter);
  if (first.char_class != kNumber && !is_newline(text[0])) {
    const std::size_t end = run_of(text, first.length, kLetter);
    if (end > first.length) return end;
  }
  if (first.char_class == kNumber) {
    std::size_t at = first.length;
    for (int count = 1; count < numbers_max && at < text.size(); ++count) {
      const ClassedChar c = char_at(text, at);
      if (c.char_class != kNumber) break;
      at += c.length;
    }
    return at;
  }
  const std::size_t begin = text[0] == ' ' ? 1 : 0;
  std::size_t end = run_not_of(text, begin, kWordOrSpace);
  if (end > begin) {
    while (end < text.size() && is_newline(text[end])) ++end;
    return end;
  }
  if (const std::size_t length = lines(text)) return length;
  return white_space(text);
}

// Isolates runs for which `in` holds; the stretches between them are pieces too.
template <class In>
std::size_t alternate(std::string_view text, In in) {
  const ClassedChar first = char_at(text, 0);
  const bool inside = in(text[0], first.char_class);
  std::size_t at = first.length;
  while (at < text.size()) {
    const ClassedChar c = char_at(text, at);
    if (in(text[at], c.char_class) != inside) break;
    at += c.length;
  }
  return at;
}

}  // namespace

std::size_t scan_gpt2(std::string_view text) {
  if (const std::size_t length = contraction(text)) return length;
  const std::size_t begin = text[0] == ' ' ? 1 : 0;
  if (begin < text.size()) {
    const ClassedChar c = char_at(text, begin);
    const std::size_t next = begin + c.length;
    if (c.char_class == kLetter) return run_of(text, next, kLetter);
    if (c.char_class == kNumber) return run_of(text, next, kNumber);
    if (c.char_class != kSpace) return run_not_of(text, next, kWordOrSpace);
  }
  return white_space(text);
}

std::size_t scan_llama3(std::string_view text) { return scan_llama3_with(text, 3); }
std::size_t scan_qwen2(std::string_view text) { return scan_llama3_with(text, 1); }

std::size_t scan_each_number(std::string_view text) {
  const ClassedChar first = char_at(text, 0);
  if (first.char_class == kNumber) return first.length;
  return run_not_of(text, first.length, kNumber);
}

std::size_t scan_numbers(std::string_view text) {
  return alternate(text, [](char, CharClass c) { return c == kNumber; });
}

std::size_t scan_three_digits(std::string_view text) {
  const auto digit = [text](std::size_t i) { return text[i] >= '0' && text[i] <= '9'; };
  const auto three_at = [&](std::size_t i) {
    return i + 3 <= text.size() && digit(i) && digit(i + 1) && digit(i + 2);
  };
  if (three_at(0)) return 3;
  std::size_t at = 1;
  while (at < text.size() && !three_at(at)) ++at;
  return at;
}

std::size_t scan_punctuation(std::string_view text) {
  return alternate(text, [](char c, CharClass char_class) {
    return char_class == kPunct || std::string_view("$+<=>^~|").find(c) != std::string_view::npos;
  });
}

std::size_t scan_all(std::string_view text) { return text.size(); }

}  // namespace minerva::text
