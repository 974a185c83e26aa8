#include "text/bert_characters.h"

#include <utf8proc.h>

#include "text/unicode.h"
#include "text/unicode_changes.h"

namespace minerva::text {
namespace {

struct Range {
  char32_t first, last;
};

// The sixth begins at U+2B920 where Unicode has U+2B820: so do the published tokenizers.
constexpr Range kIdeographs[] = {{0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df},
                                 {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf},
                                 {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};

utf8proc_category_t category_of(char32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

}  // namespace

bool is_bert_control(char32_t code_point) {
  const utf8proc_category_t category = category_of(code_point);
  const bool control = category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
                       category == UTF8PROC_CATEGORY_CO;
  return control != is_in(kControlChanges, code_point);
}

bool is_bert_ideograph(char32_t code_point) {
  for (const Range& range : kIdeographs) {
    if (code_point >= range.first && code_point <= range.last) return true;
  }
  return false;
}

bool is_bert_accent(char32_t code_point) {
  const bool accent = category_of(code_point) == UTF8PROC_CATEGORY_MN;
  return accent != is_in(kAccentChanges, code_point);
}

bool is_combining_mark(char32_t code_point) {
  const utf8proc_category_t category = category_of(code_point);
  const bool mark = category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
  return mark != is_in(kMarkChanges, code_point);
}

bool is_bert_punctuation(char32_t code_point) {
  if (code_point < 0x80) return (class_of(code_point) & (kPunct | kSymbol)) != 0;
  const utf8proc_category_t category = category_of(code_point);
  const bool sign = category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
  return sign != is_in(kPunctuationChanges, code_point);
}

}  // namespace minerva::text
