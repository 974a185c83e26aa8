#include "text/char_class.h"

#include <utf8proc.h>

#include <algorithm>

#include "text/unicode_changes.h"

namespace minerva::text {
namespace {

CharClass newer_class(char32_t code_point) {
  const auto above =
      std::upper_bound(kNewerClasses.begin(), kNewerClasses.end(), code_point,
                       [](char32_t value, const ClassRange& range) { return value < range.first; });
  if (above == kNewerClasses.begin() || code_point > (above - 1)->last) return 0;
  return (above - 1)->char_class;
}

}  // namespace

CharClass class_of_non_ascii(char32_t code_point) {
  if (code_point == 0x85) return kSpace;  // NEL: a control character, and White_Space
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return kLetter | kUpper;
    case UTF8PROC_CATEGORY_LL:
      return kLetter | kLower;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kNumber;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return kSpace;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return kPunct;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return kSymbol;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kMark;
    case UTF8PROC_CATEGORY_CN:
      return newer_class(code_point);
    default:
      return 0;
  }
}

}  // namespace minerva::text
