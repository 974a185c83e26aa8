#include "wire/json_scanner.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "base/utf8.h"

namespace minerva::wire {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kPathBytesMax = 200;
// In one object, whatever the text may have: the value looks for each key among those before it.
constexpr std::size_t kObjectKeysMax = 10'000;

// True when the number is too large for a double. from_chars says out of range for numbers that are
// too small as well; those are 0 for every reader, so only the decimal exponent's sign matters.
bool overflows(std::string_view number) {
  double out = 0;
  const auto end = number.data() + number.size();
  if (std::from_chars(number.data(), end, out).ec != std::errc::result_out_of_range) return false;
  const std::size_t e = number.find_first_of("eE");
  const std::string_view mantissa = number.substr(0, e);
  const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
  const std::size_t first = mantissa.find_first_of("123456789");
  if (first == std::string_view::npos) return false;
  const auto whole = static_cast<long long>(point) - static_cast<long long>(first);
  if (e == std::string_view::npos) return whole > 0;
  const bool negative = number[e + 1] == '-';
  std::string_view digits =
      number.substr(e + (number[e + 1] == '-' || number[e + 1] == '+' ? 2 : 1));
  long long exponent = 0;
  for (const char c : digits) exponent = std::min(exponent * 10 + (c - '0'), 1'000'000'000LL);
  return whole + (negative ? -exponent : exponent) > 0;
}

}  // namespace

Result<void> JsonScanner::run() {
  if (text_.starts_with(kByteOrderMark)) pos_ = kByteOrderMark.size();
  if (const auto bad = utf8_first_invalid(text_); bad != std::string_view::npos) {
    return refuse(bad, fmt::format("byte 0x{:02X} is not valid UTF-8",
                                   static_cast<unsigned char>(text_[bad])));
  }
  while (true) {
    skip_space();
    if (value_next_) {
      MINERVA_TRY(value());
    } else if (stack_.empty()) {
      if (at_end()) return {};
      return refuse(pos_, "there is something behind the end of the JSON value");
    } else {
      MINERVA_TRY(after_value());
    }
  }
}

Result<void> JsonScanner::value() {
  if (at_end()) return unexpected_here("a value");
  if (++values_ > limits_.values_max) {
    return refuse(pos_, fmt::format("more than {} values", limits_.values_max),
                  ErrorCode::TooLarge);
  }
  value_next_ = false;
  switch (peek()) {
    case '{':
      return open(true);
    case '[':
      return open(false);
    case '"': {
      MINERVA_TRY(string());
      return {};
    }
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
      return number();
    default:
      return word();
  }
}

Result<void> JsonScanner::open(bool object) {
  if (stack_.size() >= limits_.depth_max) {
    return refuse(
        pos_, fmt::format("more than {} arrays and objects inside each other", limits_.depth_max));
  }
  ++pos_;
  stack_.emplace_back().object = object;
  skip_space();
  if (!at_end() && peek() == (object ? '}' : ']')) {
    ++pos_;
    stack_.pop_back();
    return {};
  }
  if (object) return key();
  value_next_ = true;
  return {};
}

Result<void> JsonScanner::after_value() {
  Frame& frame = stack_.back();
  if (at_end()) return unexpected_here(frame.object ? "',' or '}'" : "',' or ']'");
  const char c = text_[pos_];
  if (c == (frame.object ? '}' : ']')) {
    ++pos_;
    stack_.pop_back();
    return {};
  }
  if (c != ',') return unexpected_here(frame.object ? "',' or '}'" : "',' or ']'");
  ++pos_;
  if (frame.object) {
    skip_space();
    return key();
  }
  ++frame.index;
  value_next_ = true;
  return {};
}

// At a key; leaves behind its colon.
Result<void> JsonScanner::key() {
  stack_.back().key = {};
  if (at_end() || peek() != '"') return unexpected_here("a key in quotes");
  const std::size_t at = pos_;
  MINERVA_ASSIGN(const std::string_view raw, string());
  if (++keys_ > limits_.keys_max) {
    return refuse(at, fmt::format("more than {} keys", limits_.keys_max), ErrorCode::TooLarge);
  }
  MINERVA_TRY(keep_key(raw, at));
  skip_space();
  if (at_end() || peek() != ':') return unexpected_here("':' behind the key");
  ++pos_;
  value_next_ = true;
  return {};
}

// Two keys are the same when their characters are, whichever escapes they are written with.
Result<void> JsonScanner::keep_key(std::string_view raw, std::size_t at) {
  std::string_view name = raw;
  if (raw.find('\\') != std::string_view::npos) {
    const auto quoted = text_.substr(at, raw.size() + 2);
    const auto decoded = nlohmann::json::parse(quoted, nullptr, false);
    if (!decoded.is_string()) return refuse(at, "the key is not a valid string");
    decoded_keys_.push_back(decoded.get<std::string>());
    name = decoded_keys_.back();
  }
  Frame& frame = stack_.back();
  if (frame.keys.size() >= kObjectKeysMax) {
    return refuse(at, fmt::format("more than {} keys in one object", kObjectKeysMax),
                  ErrorCode::TooLarge);
  }
  frame.key = name;
  if (!frame.keys.insert(name).second)
    return refuse(at, "this key stands here for the second time");
  return {};
}

// At a quote; leaves behind the closing one and gives what is between, escapes as written.
Result<std::string_view> JsonScanner::string() {
  const std::size_t start = ++pos_;
  while (!at_end()) {
    const auto c = static_cast<unsigned char>(peek());
    if (c == '"') return text_.substr(start, pos_++ - start);
    if (c == '\\') {
      MINERVA_TRY(escape());
    } else if (c < 0x20) {
      return refuse(pos_,
                    fmt::format("control character 0x{:02X} in a string: write \\u{:04x}", c, c));
    } else {
      ++pos_;
    }
  }
  return refuse(start - 1, "the string that begins here has no end");
}

Result<void> JsonScanner::escape() {
  const std::size_t at = pos_++;
  if (at_end()) return unexpected_here("an escape");
  const char c = text_[pos_++];
  if (c != 'u') {
    if (std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos) return {};
    return refuse(at, "unknown escape in a string");
  }
  MINERVA_ASSIGN(const unsigned high, four_hex());
  if (high >= 0xDC00 && high <= 0xDFFF) return refuse(at, "half of a surrogate pair");
  if (high < 0xD800 || high > 0xDBFF) return {};
  if (text_.substr(pos_, 2) != "\\u") return refuse(at, "half of a surrogate pair");
  pos_ += 2;
  MINERVA_ASSIGN(const unsigned low, four_hex());
  if (low < 0xDC00 || low > 0xDFFF) return refuse(at, "half of a surrogate pair");
  return {};
}

Result<unsigned> JsonScanner::four_hex() {
  const std::string_view digits = text_.substr(pos_, 4);
  unsigned out = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), out, 16);
  if (digits.size() < 4 || read.ec != std::errc() || read.ptr != digits.data() + 4) {
    return refuse(pos_, "\\u needs four hexadecimal digits");
  }
  pos_ += 4;
  return out;
}

Result<void> JsonScanner::number() {
  const std::size_t start = pos_;
  if (peek() == '-') ++pos_;
  if (!digit_here()) return word();
  if (peek() == '0') {
    ++pos_;
    if (digit_here()) return refuse(start, "a number may not begin with 0");
  }
  while (digit_here()) ++pos_;
  if (!at_end() && peek() == '.') {
    ++pos_;
    if (!digit_here()) return unexpected_here("a digit behind the decimal point");
    while (digit_here()) ++pos_;
  }
  if (!at_end() && (peek() == 'e' || peek() == 'E')) {
    ++pos_;
    if (!at_end() && (peek() == '+' || peek() == '-')) ++pos_;
    if (!digit_here()) return unexpected_here("a digit in the exponent");
    while (digit_here()) ++pos_;
  }
  if (overflows(text_.substr(start, pos_ - start))) {
    return refuse(start, "this number is too large for a 64-bit float (1.8e308)");
  }
  return {};
}

// true, false, null; anything else is refused with what it looks like.
Result<void> JsonScanner::word() {
  const std::size_t start = pos_;
  while (!at_end() && ((peek() >= 'a' && peek() <= 'z') || (peek() >= 'A' && peek() <= 'Z')))
    ++pos_;
  const std::string_view word = text_.substr(start, pos_ - start);
  if (word == "true" || word == "false" || word == "null") {
    if (start == 0 || text_[start - 1] != '-') return {};
  }
  if (word == "NaN" || word == "Infinity" || word == "nan" || word == "inf" || word == "Inf") {
    return refuse(start, fmt::format("{} is not JSON: numbers are finite", word));
  }
  if (!word.empty()) pos_ = start;
  return unexpected_here("a value");
}

void JsonScanner::skip_space() {
  while (!at_end() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r')) ++pos_;
}

std::string JsonScanner::path() const {
  std::string out;
  for (const Frame& frame : stack_) {
    if (frame.object) {
      if (frame.key.empty()) break;
      if (!out.empty()) out += '.';
      out += frame.key.substr(0, kPathBytesMax);
    } else {
      out += fmt::format("[{}]", frame.index);
    }
    if (out.size() > kPathBytesMax) break;
  }
  if (out.size() > kPathBytesMax) out.resize(kPathBytesMax);
  return out;
}

std::unexpected<Error> JsonScanner::refuse(std::size_t at, std::string_view what,
                                           ErrorCode code) const {
  const std::string_view before = text_.substr(0, at);
  const auto line = std::ranges::count(before, '\n') + 1;
  const std::size_t newline = before.rfind('\n');
  const std::size_t column = newline == std::string_view::npos ? at + 1 : at - newline;
  return fail(
      code, fmt::format("invalid JSON at line {}, column {} (byte {}): {}", line, column, at, what),
      path());
}

std::unexpected<Error> JsonScanner::unexpected_here(std::string_view wanted) const {
  if (at_end()) return refuse(pos_, fmt::format("the text ends where {} should be", wanted));
  const auto c = static_cast<unsigned char>(peek());
  if (c > 0x20 && c < 0x7F) {
    return refuse(pos_, fmt::format("'{}' where {} should be", peek(), wanted));
  }
  return refuse(pos_, fmt::format("byte 0x{:02X} where {} should be", c, wanted));
}

}  // namespace minerva::wire
