// Expressions that cut before a change from lower to upper case: camelCase is two words.
#include <string_view>

#include "text/han.h"
#include "text/scanner_parts.h"
#include "text/scanners.h"

namespace minerva::text {
namespace {

// What the expressions of this family differ in.
struct Cased {
  bool contractions = true;  // belong to the word before them
  int numbers_max = 3;
  std::string_view after_signs = "\r\n/";
  bool han = false;  // Han characters are words of their own
};

bool is_han_at(std::string_view text, std::size_t at) {
  const auto byte = static_cast<std::uint8_t>(text[at]);
  if (byte < 0xe2) return false;  // U+2E80 is the first
  const Utf8Char c = utf8_next(text.substr(at));
  return c.valid && is_han(c.code_point);
}

struct Ends {
  std::size_t word = 0;      // [upper]*[lower]+, or 0
  std::size_t capitals = 0;  // [upper]+, or 0
};

// [upper]: capitals, letters without case, marks; [lower]: small letters and the same without case.
Ends word_at(std::string_view text, std::size_t begin, const Cased& how) {
  std::size_t at = begin;
  std::size_t after_caseless = 0;
  while (at < text.size()) {
    const ClassedChar c = char_at(text, at);
    const bool upper = (c.char_class & (kLetter | kMark)) != 0 && (c.char_class & kLower) == 0;
    if (!upper || (how.han && is_han_at(text, at))) break;
    at += c.length;
    if ((c.char_class & kUpper) == 0) after_caseless = at;
  }
  Ends out;
  if (at > begin) out.capitals = at;
  std::size_t end = at;
  while (end < text.size()) {
    const ClassedChar c = char_at(text, end);
    const bool lower = (c.char_class & (kLetter | kMark)) != 0 && (c.char_class & kUpper) == 0;
    if (!lower || (how.han && is_han_at(text, end))) break;
    end += c.length;
  }
  // Without a small letter the last caseless one has to be it.
  out.word = end > at ? end : after_caseless;
  return out;
}

// The word at the front, with one sign before it perhaps, or 0.
std::size_t cased_word(std::string_view text, const ClassedChar& first, const Cased& how) {
  const bool may_lead = !is_newline(text[0]) && (first.char_class & (kLetter | kNumber)) == 0;
  const Ends led = may_lead ? word_at(text, first.length, how) : Ends();
  if (led.word > 0) return led.word;
  const Ends plain = word_at(text, 0, how);
  if (plain.word > 0) return plain.word;
  return led.capitals > 0 ? led.capitals : plain.capitals;
}

std::size_t scan_cased(std::string_view text, const Cased& how) {
  if (how.han && is_han_at(text, 0)) {
    std::size_t at = 0;
    while (at < text.size() && is_han_at(text, at)) at += char_at(text, at).length;
    return at;
  }
  const ClassedChar first = char_at(text, 0);
  if (const std::size_t end = cased_word(text, first, how)) {
    return how.contractions ? end + contraction_any_case(text.substr(end)) : end;
  }
  if (first.char_class == kNumber) return numbers(text, first.length, how.numbers_max);
  const std::size_t begin = text[0] == ' ' ? 1 : 0;
  std::size_t end = run_not_of(text, begin, kLetter | kNumber | kSpace);
  if (end > begin) {
    while (end < text.size() && how.after_signs.find(text[end]) != std::string_view::npos) ++end;
    return end;
  }
  return lines_or_white_space(text);
}

}  // namespace

std::size_t scan_gpt4o(std::string_view text) { return scan_cased(text, {}); }

std::size_t scan_tekken(std::string_view text) {
  return scan_cased(text, {.contractions = false, .numbers_max = 1});
}

std::size_t scan_youtu(std::string_view text) { return scan_cased(text, {.numbers_max = 1}); }

std::size_t scan_kimi(std::string_view text) {
  return scan_cased(text, {.after_signs = "\r\n", .han = true});
}

}  // namespace minerva::text
