#include "text/scanners.h"

#include <limits>
#include <string_view>

#include "text/char_class.h"
#include "text/scanner_parts.h"
#include "text/unicode_changes.h"

namespace minerva::text {
namespace {

constexpr CharClass kWordOrSpace = kLetter | kNumber | kSpace;

// What the expressions of this family differ in.
struct Llama3Like {
  CharClass letters = kLetter;
  int numbers_max = 3;
  bool contractions = true;
  bool newlines_after_signs = true;
};

std::size_t scan_like_llama3(std::string_view text, Llama3Like how) {
  if (how.contractions) {
    if (const std::size_t length = contraction_any_case(text)) return length;
  }
  const ClassedChar first = char_at(text, 0);
  if ((first.char_class & how.letters) != 0) return run_of(text, first.length, how.letters);
  if (first.char_class == kNumber) return numbers(text, first.length, how.numbers_max);
  if (!is_newline(text[0])) {
    const std::size_t end = run_of(text, first.length, how.letters);
    if (end > first.length) return end;
  }
  const std::size_t begin = text[0] == ' ' ? 1 : 0;
  std::size_t end = run_not_of(text, begin, how.letters | kNumber | kSpace);
  if (end > begin) {
    while (how.newlines_after_signs && end < text.size() && is_newline(text[end])) ++end;
    return end;
  }
  return lines_or_white_space(text);
}

bool is_number_of_digits(std::string_view text, std::size_t at, CharClass char_class) {
  if (char_class == kNumber) return true;
  if (char_class != 0 || static_cast<std::uint8_t>(text[at]) < 0xf0) return false;
  const Utf8Char c = utf8_next(text.substr(at));
  return c.valid && is_in(kNewestNumbers, c.code_point);
}

// [^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+ at the front, or 0: words with one space
// between them.
std::size_t phrase(std::string_view text, const ClassedChar& first) {
  const bool led = (first.char_class & (kLetter | kNumber)) == 0 && !is_newline(text[0]);
  std::size_t end = 0;
  for (std::size_t at = led ? first.length : 0; at < text.size();) {
    const ClassedChar c = char_at(text, at);
    if ((c.char_class & kLetter) == 0) break;
    end = run_of(text, at + c.length, kMark);
    at = end < text.size() && text[end] == ' ' ? end + 1 : end;
  }
  return end;
}

}  // namespace

std::size_t scan_gpt2(std::string_view text) {
  if (const std::size_t length = contraction(text)) return length;
  const std::size_t begin = text[0] == ' ' ? 1 : 0;
  if (begin < text.size()) {
    const ClassedChar c = char_at(text, begin);
    const std::size_t next = begin + c.length;
    if ((c.char_class & kLetter) != 0) return run_of(text, next, kLetter);
    if (c.char_class == kNumber) return run_of(text, next, kNumber);
    if (c.char_class != kSpace) return run_not_of(text, next, kWordOrSpace);
  }
  return white_space(text);
}

std::size_t scan_llama3(std::string_view text) { return scan_like_llama3(text, {}); }

std::size_t scan_llama3_numbers(std::string_view text) {
  return scan_like_llama3(text, {.numbers_max = std::numeric_limits<int>::max()});
}

std::size_t scan_qwen2(std::string_view text) { return scan_like_llama3(text, {.numbers_max = 1}); }

std::size_t scan_qwen35(std::string_view text) {
  return scan_like_llama3(text, {.letters = kLetter | kMark, .numbers_max = 1});
}

std::size_t scan_qwen2_uncontracted(std::string_view text) {
  return scan_like_llama3(text, {.numbers_max = 1, .contractions = false});
}

std::size_t scan_seed_coder(std::string_view text) {
  return scan_like_llama3(text, {.numbers_max = 1, .newlines_after_signs = false});
}

std::size_t scan_exaone_moe(std::string_view text) {
  if (const std::size_t length = contraction_any_case(text)) return length;
  const ClassedChar first = char_at(text, 0);
  if (const std::size_t end = phrase(text, first)) return end;
  if (first.char_class == kNumber) return first.length;
  const std::size_t begin = text[0] == ' ' ? 1 : 0;
  const std::size_t end = run_not_of(text, begin, kWordOrSpace);
  if (end == begin) return lines_or_white_space(text);
  return end < text.size() && is_newline(text[end]) ? end + 1 : end;  // a / is a sign anyway
}

std::size_t scan_space_powers(std::string_view text) {
  const ClassedChar first = char_at(text, 0);
  if (first.char_class != kSpace || is_newline(text.back())) return text.size();
  std::size_t at = 0;
  std::size_t power_end = 0;
  for (unsigned count = 1; count <= 512 && at < text.size(); ++count) {
    const ClassedChar c = char_at(text, at);
    if (c.char_class != kSpace) return text.size();  // one in front of a word
    at += c.length;
    if ((count & (count - 1)) == 0) power_end = at;
  }
  return power_end;
}

std::size_t scan_each_number(std::string_view text) {
  const ClassedChar first = char_at(text, 0);
  if (first.char_class == kNumber) return first.length;
  return run_not_of(text, first.length, kNumber);
}

std::size_t scan_three_numbers(std::string_view text) {
  const ClassedChar first = char_at(text, 0);
  if (first.char_class == kNumber) return numbers(text, first.length, 3);
  return run_not_of(text, first.length, kNumber);
}

std::size_t scan_numbers(std::string_view text) {
  return alternate(text, [](std::string_view, std::size_t, CharClass c) { return c == kNumber; });
}

std::size_t scan_each_digit(std::string_view text) {
  const ClassedChar first = char_at(text, 0);
  std::size_t at = first.length;
  if (is_number_of_digits(text, 0, first.char_class)) return at;
  while (at < text.size()) {
    const ClassedChar c = char_at(text, at);
    if (is_number_of_digits(text, at, c.char_class)) break;
    at += c.length;
  }
  return at;
}

std::size_t scan_digits(std::string_view text) { return alternate(text, is_number_of_digits); }

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
  return alternate(text, [](std::string_view all, std::size_t at, CharClass char_class) {
    return char_class == kPunct ||
           std::string_view("$+<=>^~|").find(all[at]) != std::string_view::npos;
  });
}

std::size_t scan_ascii_punctuation(std::string_view text) {
  return alternate(text, [](std::string_view all, std::size_t at, CharClass char_class) {
    return char_class == kPunct ||
           (char_class == kSymbol && static_cast<unsigned char>(all[at]) < 0x80);
  });
}

std::size_t scan_newlines(std::string_view text) {
  return alternate(text,
                   [](std::string_view all, std::size_t at, CharClass) { return all[at] == '\n'; });
}

std::size_t scan_bloom(std::string_view text) {
  // Not in a word: white space, and these signs.
  const auto in_word = [](std::string_view all, std::size_t at, CharClass char_class) {
    if (char_class == kSpace) return false;
    const std::string_view rest = all.substr(at);
    for (const std::string_view sign :
         {"(", "|", ".", ",", "!", "?", ")", "\xe2\x80\xa6", "\xe3\x80\x82", "\xef\xbc\x8c",
          "\xe3\x80\x81", "\xe0\xa5\xa4", "\xdb\x94", "\xd8\x8c"}) {
      if (rest.starts_with(sign)) return false;
    }
    return true;
  };
  return isolate(text, [&](std::string_view rest) -> std::size_t {
    std::size_t at = rest[0] == ' ' ? 1 : 0;
    const std::size_t begin = at;
    while (at < rest.size()) {
      const ClassedChar c = char_at(rest, at);
      if (!in_word(rest, at, c.char_class)) break;
      at += c.length;
    }
    return at > begin ? at : 0;
  });
}

std::size_t scan_all(std::string_view text) { return text.size(); }

}  // namespace minerva::text
