// The expressions of DeepSeek's tokenizers.
#include <span>
#include <string_view>

#include "text/code_ranges.h"
#include "text/scanner_parts.h"
#include "text/scanners.h"

namespace minerva::text {
namespace {

// The letters with case of Latin, Greek, Cyrillic and others, as the expression lists them.
constexpr CodeRange kCasedLetters[] = {
    {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},
    {0xd8, 0xf6},       {0xf8, 0x1ba},      {0x1bc, 0x1bf},     {0x1c4, 0x293},
    {0x295, 0x2af},     {0x370, 0x373},     {0x376, 0x376},     {0x377, 0x377},
    {0x37b, 0x37d},     {0x37f, 0x37f},     {0x386, 0x386},     {0x388, 0x38a},
    {0x38c, 0x38c},     {0x38e, 0x3a1},     {0x3a3, 0x3f5},     {0x3f7, 0x481},
    {0x48a, 0x52f},     {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},
    {0x13f8, 0x13fd},   {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},
    {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},   {0x1f18, 0x1f1d},
    {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},   {0x1f59, 0x1f59},
    {0x1f5b, 0x1f5b},   {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},
    {0x1fb6, 0x1fbc},   {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},   {0x1fc6, 0x1fcc},
    {0x1fd0, 0x1fd3},   {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},
    {0x1ff6, 0x1ffc},   {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210a, 0x2113},
    {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},   {0x2126, 0x2126},
    {0x2128, 0x2128},   {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},
    {0x213c, 0x213f},   {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2183},
    {0x2184, 0x2184},   {0x2c00, 0x2c7b},   {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},
    {0x2cf2, 0x2cf2},   {0x2cf3, 0x2cf3},   {0xa640, 0xa66d},   {0xa680, 0xa69b},
    {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},   {0xab70, 0xabbf},
    {0xfb00, 0xfb06},   {0xfb13, 0xfb17},   {0xff21, 0xff3a},   {0xff41, 0xff5a},
    {0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2},
    {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943}};

// !-/:-~ and wide and general signs.
constexpr CodeRange kSigns[] = {{0x21, 0x2f},     {0x3a, 0x7e},     {0x2018, 0x201f},
                                {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};

// Ideographs, Hangul, and (by the order of its bounds) all scripts from Samaritan to the
// ideographs.
constexpr CodeRange kEastAsian[] = {{0x800, 0x9fa5}, {0xac00, 0xd7ff}};

// Ideographs and kana.
constexpr CodeRange kJapanese[] = {{0x3040, 0x30ff}, {0x4e00, 0x9fa5}};

struct Decoded {
  std::size_t length;
  char32_t code_point;  // of what is not UTF-8: one of no set
};

Decoded decode(std::string_view text, std::size_t at) {
  const Utf8Char c = utf8_next(text.substr(at));
  return {c.length, c.valid ? c.code_point : char32_t{0x110000}};
}

// [set]+ at `at`: where it ends.
template <class In>
std::size_t set_run(std::string_view text, std::size_t at, const In& in) {
  while (at < text.size()) {
    const Decoded c = decode(text, at);
    if (!in(c.code_point)) break;
    at += c.length;
  }
  return at;
}

// \s?[set]+ at the front, or 0.
template <class In>
std::size_t spaced_run(std::string_view text, const In& in) {
  const ClassedChar first = char_at(text, 0);
  const std::size_t begin = first.char_class == kSpace ? first.length : 0;
  const std::size_t end = set_run(text, begin, in);
  if (end > begin) return end;
  // U+3000 is white space, and in the set of signs.
  return begin > 0 ? set_run(text, 0, in) : 0;
}

template <class In>
std::size_t isolate_spaced(std::string_view text, const In& in) {
  return isolate(text, [&](std::string_view rest) { return spaced_run(rest, in); });
}

std::size_t isolate_ranges(std::string_view text, std::span<const CodeRange> ranges) {
  const bool inside = is_in(ranges, decode(text, 0).code_point);
  return set_run(text, 0, [&](char32_t c) { return is_in(ranges, c) == inside; });
}

// The third expression of DeepSeek 3 at the front, or 0. `joins_newlines`: signs take the newlines
// behind them, and lines are as long as white space goes on; else each newline is on its own.
std::size_t deepseek3_word(std::string_view text, bool joins_newlines) {
  constexpr CharClass kWord = kLetter | kMark;
  constexpr CharClass kSign = kPunct | kSymbol;
  const auto ascii_letter = [&](std::size_t at) {
    return at < text.size() && static_cast<unsigned char>(text[at]) < 0x80 &&
           (char_at(text, at).char_class & kLetter) != 0;
  };
  const ClassedChar first = char_at(text, 0);
  const bool sign = (first.char_class & kSign) != 0;
  if (sign && first.length == 1 && ascii_letter(1)) {
    std::size_t at = 1;
    while (ascii_letter(at)) ++at;
    return at;
  }
  if ((first.char_class & kWord) != 0) return run_of(text, first.length, kWord);
  if (!sign && !is_newline(text[0])) {
    const std::size_t end = run_of(text, first.length, kWord);
    if (end > first.length) return end;
  }
  const std::size_t begin = text[0] == ' ' ? 1 : 0;
  std::size_t end = run_of(text, begin, kSign);
  if (end > begin) {
    while (joins_newlines && end < text.size() && is_newline(text[end])) ++end;
    return end;
  }
  if (first.char_class != kSpace) return 0;
  if (joins_newlines) return lines_or_white_space(text);
  return is_newline(text[0]) ? 1 : white_space(text);
}

}  // namespace

std::size_t scan_each_newline(std::string_view text) {
  return isolate(text, [](std::string_view rest) -> std::size_t { return is_newline(rest[0]); });
}

std::size_t scan_cased_letters(std::string_view text) {
  return isolate_spaced(text, [](char32_t c) { return is_in(kCasedLetters, c); });
}

std::size_t scan_spaced_signs(std::string_view text) {
  return isolate_spaced(text, [](char32_t c) { return is_in(kSigns, c); });
}

std::size_t scan_spaced_letters(std::string_view text) {
  return isolate(text, [](std::string_view rest) -> std::size_t {
    const ClassedChar first = char_at(rest, 0);
    const std::size_t begin = first.char_class == kSpace ? first.length : 0;
    const std::size_t end = run_of(rest, begin, kLetter);
    return end > begin ? end : 0;
  });
}

std::size_t scan_spaced_punctuation(std::string_view text) {
  return isolate(text, [](std::string_view rest) -> std::size_t {
    const ClassedChar first = char_at(rest, 0);
    const std::size_t begin = first.char_class == kSpace ? first.length : 0;
    const std::size_t end = run_of(rest, begin, kPunct);
    return end > begin ? end : 0;
  });
}

std::size_t scan_end_space(std::string_view text) {
  std::size_t at = 0;
  std::size_t begin = 0;  // of the white space at the end
  while (at < text.size()) {
    const ClassedChar c = char_at(text, at);
    at += c.length;
    if (c.char_class != kSpace) begin = at;
  }
  return begin == 0 ? text.size() : begin;
}

std::size_t scan_east_asian(std::string_view text) { return isolate_ranges(text, kEastAsian); }
std::size_t scan_japanese(std::string_view text) { return isolate_ranges(text, kJapanese); }

std::size_t scan_deepseek3(std::string_view text) {
  return isolate(text, [](std::string_view rest) { return deepseek3_word(rest, true); });
}

std::size_t scan_spark(std::string_view text) {
  return isolate(text, [](std::string_view rest) { return deepseek3_word(rest, false); });
}

}  // namespace minerva::text
