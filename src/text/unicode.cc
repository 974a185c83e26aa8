#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/check.h"
#include "text/unicode_changes.h"

namespace minerva::text {
namespace {

// No decomposition of Unicode is longer (U+FDFA has 18).
constexpr std::size_t kDecomposedMax = 32;

int combining_class(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

bool is_compatible(UnicodeForm form) {
  return form == UnicodeForm::Nfkc || form == UnicodeForm::Nfkd;
}

bool composes(UnicodeForm form) { return form == UnicodeForm::Nfc || form == UnicodeForm::Nfkc; }

// Below this nothing changes in the form.
char32_t first_changed(UnicodeForm form) {
  if (is_compatible(form)) return 0xa0;
  return composes(form) ? 0x300 : 0xc0;
}

void append_decomposed(char32_t code_point, UnicodeForm form,
                       std::vector<utf8proc_int32_t>& buffer) {
  if (is_in(is_compatible(form) ? kNotCompatible : kNotDecomposed, code_point)) {
    buffer.push_back(static_cast<utf8proc_int32_t>(code_point));
    return;
  }
  std::array<utf8proc_int32_t, kDecomposedMax> parts{};
  int boundary = 0;
  const int options = UTF8PROC_DECOMPOSE | (is_compatible(form) ? UTF8PROC_COMPAT : 0);
  const utf8proc_ssize_t count =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code_point), parts.data(), parts.size(),
                              static_cast<utf8proc_option_t>(options), &boundary);
  MINERVA_CHECK(count >= 0 && static_cast<std::size_t>(count) <= parts.size());
  buffer.insert(buffer.end(), parts.begin(), parts.begin() + count);
}

// Each run of marks by class, those of one class as they were. utf8proc's own sorting takes the
// square of a run's length.
void sort_marks(std::vector<utf8proc_int32_t>& buffer) {
  std::vector<std::pair<std::size_t, utf8proc_int32_t>> run;  // class and place, mark
  for (std::size_t at = 0; at < buffer.size();) {
    run.clear();
    while (at < buffer.size() && combining_class(buffer[at]) != 0) {
      const auto order = static_cast<std::size_t>(combining_class(buffer[at])) << 40;
      run.emplace_back(order + run.size(), buffer[at]);
      ++at;
    }
    if (run.size() > 1) {
      std::sort(run.begin(), run.end());
      for (std::size_t i = 0; i < run.size(); ++i) buffer[at - run.size() + i] = run[i].second;
    }
    if (run.empty()) ++at;
  }
}

// `valid` is UTF-8.
void append_form(std::string_view valid, UnicodeForm form, std::string& out) {
  std::vector<utf8proc_int32_t> buffer;
  buffer.reserve(valid.size());
  for (std::size_t at = 0; at < valid.size();) {
    const Utf8Char c = utf8_next(valid.substr(at));
    append_decomposed(c.code_point, form, buffer);
    at += c.length;
  }
  sort_marks(buffer);
  auto count = static_cast<utf8proc_ssize_t>(buffer.size());
  if (composes(form) && count > 0) {
    count = utf8proc_normalize_utf32(
        buffer.data(), count, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    MINERVA_CHECK(count >= 0);
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    utf8_append(out, static_cast<char32_t>(buffer[i]));
  }
}

}  // namespace

bool is_word_character(char32_t code_point) {
  const CharClass char_class = class_of(code_point);
  if ((char_class & (kLetter | kMark)) != 0) return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    case UTF8PROC_CATEGORY_CN:
      return char_class == kNumber;  // what is newer has decimal digits only
    default:
      break;
  }
  // Joiners, and the symbols that have the property Alphabetic.
  return code_point == 0x200c || code_point == 0x200d ||
         (code_point >= 0x24b6 && code_point <= 0x24e9) ||
         (code_point >= 0x1f130 && code_point <= 0x1f149) ||
         (code_point >= 0x1f150 && code_point <= 0x1f169) ||
         (code_point >= 0x1f170 && code_point <= 0x1f189);
}

bool is_regex_word_character(char32_t code_point) {
  if (code_point == 0x200c || code_point == 0x200d) return false;
  // Superscripts and fractions of Latin-1.
  const bool number = code_point == 0xb2 || code_point == 0xb3 || code_point == 0xb9 ||
                      (code_point >= 0xbc && code_point <= 0xbe);
  return number || is_word_character(code_point);
}

bool is_decimal_digit(char32_t code_point) {
  if (code_point < 0x80) return code_point >= '0' && code_point <= '9';
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_ND:
      return true;
    case UTF8PROC_CATEGORY_CN:
      return class_of(code_point) == kNumber;  // what is newer has decimal digits only
    default:
      return false;
  }
}

void append_lower(std::string& out, char32_t code_point) {
  if (code_point < 0x80) {
    out += code_point >= 'A' && code_point <= 'Z' ? static_cast<char>(code_point + 32)
                                                  : static_cast<char>(code_point);
    return;
  }
  // The one character whose lower case is two.
  if (code_point == 0x130) {
    out += "i\xcc\x87";
    return;
  }
  const auto newer = std::ranges::find(kNewerLowerCase, code_point, &CodePair::from);
  if (newer != kNewerLowerCase.end()) {
    utf8_append(out, newer->to);
    return;
  }
  utf8_append(out,
              static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code_point))));
}

std::optional<std::string> to_form(UnicodeForm form, std::string_view text) {
  const char32_t changed = first_changed(form);
  bool plain = true;
  for (std::size_t at = 0; plain && at < text.size();) {
    const Utf8Char c = utf8_next(text.substr(at));
    plain = !c.valid || c.code_point < changed;
    at += c.length;
  }
  if (plain) return std::nullopt;
  std::string out;
  out.reserve(text.size());
  std::size_t begin = 0;  // of the valid run that at is in
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_next(text.substr(at));
    if (!c.valid) {
      append_form(text.substr(begin, at - begin), form, out);
      out += text.substr(at, c.length);
      begin = at + c.length;
    }
    at += c.length;
  }
  append_form(text.substr(begin), form, out);
  return out == text ? std::nullopt : std::optional(std::move(out));
}

}  // namespace minerva::text
