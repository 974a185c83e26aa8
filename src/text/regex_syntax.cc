// From Oniguruma's syntax to PCRE2's.
#include <fmt/format.h>

#include <string>

#include "text/regex.h"
#include "text/vocabulary.h"

namespace minerva::text {
namespace {

// What goes into brackets for \s and \w; PCRE2's own \s has U+180E too, its \w no marks.
constexpr std::string_view kSpaces = R"(\p{Z}\x09-\x0d\x{85})";
constexpr std::string_view kWord =
    R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be}\p{L}\p{M}\p{Nl}\p{Nd}\p{Pc})"
    R"(\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";
// What is none of these, for brackets that have other members, too.
constexpr std::string_view kNoSpaces =
    R"(\x00-\x08\x0e-\x1f\x21-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff})"
    R"(\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
constexpr std::string_view kHex = "0-9A-Fa-f";

std::string boundary(bool not_one) {
  if (not_one) return fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", kWord);
  return fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", kWord);
}

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  Result<std::string> run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        MINERVA_TRY(escape(false));
      } else if (c == '[') {
        MINERVA_TRY(brackets());
      } else if (c == '(') {
        MINERVA_TRY(group());
      } else if (c == '{') {
        MINERVA_TRY(interval());
      } else {
        out_ += c;
        ++at_;
      }
    }
    return std::move(out_);
  }

 private:
  std::unexpected<Error> refuse(std::string_view what) const {
    return fail(ErrorCode::Unsupported,
                fmt::format("tokenizer.json: the expression {} has {}, which is not supported",
                            quoted_piece(pattern_), what),
                "tokenizer.json");
  }
  std::unexpected<Error> broken(std::string_view why) const {
    return fail(ErrorCode::InvalidModel,
                fmt::format("tokenizer.json: the expression {} {}", quoted_piece(pattern_), why),
                "tokenizer.json");
  }
  std::string_view rest() const { return pattern_.substr(at_); }

  // A class of characters, as part of brackets or on its own.
  void add_class(std::string_view members, bool inside, bool negated) {
    if (inside) {
      out_ += members;
    } else {
      out_ += negated ? "[^" : "[";
      out_ += members;
      out_ += ']';
    }
  }

  Result<void> escape(bool inside);
  Result<void> code_point(bool inside);
  Result<void> property();
  Result<void> brackets();
  Result<void> group();
  Result<void> interval();

  std::string_view pattern_;
  std::size_t at_ = 0;
  std::string out_;
};

Result<void> Translator::escape(bool inside) {
  if (at_ + 1 >= pattern_.size()) return broken("ends in a backslash");
  const char c = pattern_[at_ + 1];
  constexpr std::string_view kAsTheyAre = "nrtfae";
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  const bool digit = c >= '0' && c <= '9';
  if (c == 'p' || c == 'P') return property();
  if (c == 'x' || c == 'u') return code_point(inside);
  at_ += 2;
  if (c == 's') {
    add_class(kSpaces, inside, false);
  } else if (c == 'w') {
    add_class(kWord, inside, false);
  } else if (c == 'h') {
    add_class(kHex, inside, false);
  } else if (c == 'd') {
    out_ += R"(\p{Nd})";
  } else if (c == 'D') {
    out_ += R"(\P{Nd})";
  } else if (c == 'v') {
    out_ += R"(\x0b)";
  } else if (c == 'S') {
    add_class(inside ? kNoSpaces : kSpaces, inside, true);
  } else if (!inside && c == 'W') {
    add_class(kWord, false, true);
  } else if (!inside && c == 'H') {
    add_class(kHex, false, true);
  } else if (!inside && (c == 'b' || c == 'B')) {
    out_ += boundary(c == 'B');
  } else if (!inside && (c == 'A' || c == 'z' || c == 'Z' || (digit && c != '0'))) {
    out_ += '\\';
    out_ += c;
  } else if (letter && kAsTheyAre.find(c) == std::string_view::npos) {
    return refuse(fmt::format("the escape \\{}{}", c, inside ? " in brackets" : ""));
  } else if (digit) {
    return refuse(fmt::format("the escape \\{}", c));
  } else {
    // What is not ASCII needs no backslash, and PCRE2 would take only its first byte.
    if (static_cast<unsigned char>(c) < 0x80) out_ += '\\';
    out_ += c;
  }
  return {};
}

// \x41, \x{41}, \u0041
Result<void> Translator::code_point(bool inside) {
  (void)inside;
  const bool braces = rest().substr(1).starts_with("x{");
  const std::size_t digits_max = braces ? 8 : pattern_[at_ + 1] == 'x' ? 2 : 4;
  at_ += braces ? 3 : 2;
  std::string digits;
  constexpr std::string_view kDigits = "0123456789abcdefABCDEF";
  while (at_ < pattern_.size() && digits.size() < digits_max &&
         kDigits.find(pattern_[at_]) != std::string_view::npos) {
    digits += pattern_[at_++];
  }
  if (digits.empty() || (braces && !rest().starts_with('}'))) {
    return broken("has an escape of a character without its number");
  }
  if (braces) ++at_;
  out_ += fmt::format("\\x{{{}}}", digits);
  return {};
}

Result<void> Translator::property() {
  const std::size_t end = pattern_.find('}', at_);
  if (at_ + 2 >= pattern_.size() || pattern_[at_ + 2] != '{' || end == std::string_view::npos) {
    return refuse("\\p without a name in braces");
  }
  // Names that PCRE2 does not know are its error.
  out_ += pattern_.substr(at_, end + 1 - at_);
  at_ = end + 1;
  return {};
}

Result<void> Translator::brackets() {
  out_ += '[';
  ++at_;
  if (rest().starts_with('^')) {
    out_ += '^';
    ++at_;
  }
  for (bool first = true; at_ < pattern_.size(); first = false) {
    const char c = pattern_[at_];
    if (c == '\\') {
      MINERVA_TRY(escape(true));
      continue;
    }
    if (c == '[') return refuse("brackets in brackets");
    if (rest().starts_with("&&")) return refuse("the intersection &&");
    out_ += c;
    ++at_;
    if (c == ']' && !first) return {};
  }
  return broken("has brackets that do not end");
}

Result<void> Translator::group() {
  out_ += '(';
  ++at_;
  if (rest().starts_with('*')) return refuse("(*");
  if (!rest().starts_with('?')) return {};
  for (const std::string_view start : {"?:", "?=", "?!", "?<=", "?<!", "?>"}) {
    if (!rest().starts_with(start)) continue;
    out_ += start;
    at_ += start.size();
    return {};
  }
  // (?i) and (?i: and (?-i:
  const std::size_t end = pattern_.find_first_not_of("im-", at_ + 1);
  if (end == std::string_view::npos || (pattern_[end] != ':' && pattern_[end] != ')')) {
    return refuse(fmt::format("the group ({}", rest().substr(0, 3)));
  }
  // Ruby's m is PCRE2's s.
  for (; at_ < end; ++at_) out_ += pattern_[at_] == 'm' ? 's' : pattern_[at_];
  return {};
}

Result<void> Translator::interval() {
  const std::size_t end = pattern_.find_first_not_of("0123456789,", at_ + 1);
  const bool is_interval = end != std::string_view::npos && pattern_[end] == '}' && end > at_ + 1;
  if (!is_interval) {
    out_ += R"(\{)";
    ++at_;
    return {};
  }
  const std::string_view bounds = pattern_.substr(at_ + 1, end - at_ - 1);
  at_ = end + 1;
  if (rest().starts_with('+')) return refuse("an interval before +, which repeats it in Ruby");
  out_ += '{';
  if (bounds.starts_with(',')) out_ += '0';
  out_ += bounds;
  out_ += '}';
  return {};
}

}  // namespace

Result<std::string> pcre2_of_oniguruma(std::string_view pattern) {
  return Translator(pattern).run();
}

}  // namespace minerva::text
