#include "wire/http_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "wire/http_grammar.h"

namespace minerva::wire {
namespace {

// A second one of these would let two readers pick different ones.
constexpr std::array<std::string_view, 8> kOnlyOnce = {
    "host",   "content-length", "transfer-encoding", "content-type",
    "origin", "authorization",  "content-encoding",  "expect"};

// What this server's methods are; the rest is 501. CONNECT and TRACE are not ours.
constexpr std::array<std::string_view, 7> kMethods = {"GET",    "HEAD",  "POST",   "PUT",
                                                      "DELETE", "PATCH", "OPTIONS"};

template <class Range>
bool contains(const Range& range, std::string_view value) {
  return std::find(range.begin(), range.end(), value) != range.end();
}

}  // namespace

LineReader::Result LineReader::next(std::string_view& in) {
  if (whole_) {
    line_.clear();
    whole_ = false;
  }
  const std::size_t newline = in.find('\n');
  const std::size_t length = newline == std::string_view::npos ? in.size() : newline + 1;
  const std::size_t taken = std::min(length, bytes_max_ - bytes_);
  line_.append(in.substr(0, taken));
  in.remove_prefix(taken);
  bytes_ += taken;

  // A CR anywhere but right before the LF ends a line for some readers and not for others.
  const std::size_t cr = line_.find('\r');
  if (cr != std::string::npos && cr + 1 < line_.size() && line_[cr + 1] != '\n')
    return Result::BadLineEnd;
  if (!line_.empty() && line_.back() == '\n') {
    if (line_.size() < 2 || line_[line_.size() - 2] != '\r') return Result::BadLineEnd;
    line_.resize(line_.size() - 2);
    whole_ = true;
    return Result::Line;
  }
  return bytes_ >= bytes_max_ ? Result::TooLong : Result::NeedMore;
}

std::optional<Field> parse_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return std::nullopt;
  const std::string_view value = trim(line.substr(colon + 1));
  if (!is_field_text(value)) return std::nullopt;
  return Field{to_lower(line.substr(0, colon)), std::string(value)};
}

std::size_t HeadParser::feed(std::string_view bytes) {
  const std::size_t before = bytes.size();
  while (state_ == ParseState::NeedMore && !bytes.empty()) {
    started_ = true;
    const LineReader::Result result = lines_.next(bytes);
    if (result == LineReader::Result::Line) {
      on_line(lines_.line());
    } else if (result == LineReader::Result::BadLineEnd) {
      refuse(400, "a line of the request's head does not end in CRLF");
    } else if (result == LineReader::Result::TooLong) {
      refuse(have_request_line_ ? 431 : 414, "the request's head is larger than the limit");
    } else if (!have_request_line_ && !lines_.partial().empty() &&
               !is_token_char(lines_.partial().front()) && lines_.partial() != "\r") {
      // Not HTTP at all. Said at once, for there may never be a line end.
      refuse(400, lines_.partial().front() == 0x16
                      ? "this port speaks plain HTTP: write http:// instead of https://"
                      : "this is not an HTTP request");
    }
  }
  return before - bytes.size();
}

void HeadParser::refuse(unsigned status, std::string message) {
  state_ = ParseState::Refused;
  refusal_ = {status, std::move(message)};
}

void HeadParser::on_line(std::string_view line) {
  if (!have_request_line_) {
    // One empty line before a request is forgiven (RFC 9112, section 2.2).
    if (line.empty() && !skipped_blank_) {
      skipped_blank_ = true;
      return;
    }
    have_request_line_ = true;
    on_request_line(line);
  } else if (line.empty()) {
    on_end();
  } else {
    on_field(line);
  }
}

void HeadParser::on_request_line(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return refuse(400, "the request line is not \"METHOD TARGET HTTP/1.1\"");
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);

  if (!is_token(method)) return refuse(400, "the request's method is not a word");
  const bool http_version = version.size() == 8 && version.starts_with("HTTP/") &&
                            version[5] >= '0' && version[5] <= '9' && version[6] == '.' &&
                            version[7] >= '0' && version[7] <= '9';
  if (!http_version) return refuse(400, "the request line does not end in an HTTP version");
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return refuse(505, fmt::format("{} is not spoken here; use HTTP/1.1", version));
  if (!contains(kMethods, method))
    return refuse(501, fmt::format("the method {} is not known here", method));
  head_.method = method;
  head_.minor = version.back() == '1' ? 1 : 0;
  head_.target = target;
  on_target(target);
}

void HeadParser::on_target(std::string_view target) {
  const bool clean = std::all_of(target.begin(), target.end(), [](char c) {
    return c > 0x20 && c < 0x7f && c != '#' && c != '"' && c != '<' && c != '>' && c != '\\';
  });
  if (target.empty() || !clean)
    return refuse(400, "the request's target holds characters that must be percent-encoded");
  if (target == "*") {
    if (head_.method != "OPTIONS") return refuse(400, "only OPTIONS may have the target *");
    head_.path = "*";
    return;
  }
  if (target.front() != '/') {
    constexpr std::string_view kScheme = "http://";
    if (!equals_ignoring_case(target.substr(0, kScheme.size()), kScheme))
      return refuse(400, "the request's target is neither a path nor an http:// address");
    target.remove_prefix(kScheme.size());
    const std::size_t end = std::min(target.find_first_of("/?"), target.size());
    absolute_authority_ = target.substr(0, end);
    if (absolute_authority_.empty()) return refuse(400, "the request's address has no host");
    target.remove_prefix(end);
  }
  const std::size_t question = target.find('?');
  head_.path = target.empty() || question == 0 ? "/" : target.substr(0, question);
  if (question != std::string_view::npos) head_.query = target.substr(question + 1);
}

void HeadParser::on_field(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t')
    return refuse(400, "header fields that go on in the next line are obsolete and refused");
  if (head_.fields.size() >= fields_max_)
    return refuse(431, fmt::format("more than {} header fields", fields_max_));
  auto field = parse_field(line);
  if (!field) return refuse(400, "a header field is not \"Name: value\" in printable characters");
  if (contains(kOnlyOnce, field->name) && head_.find(field->name))
    return refuse(400, fmt::format("the header field {} comes twice", field->name));
  head_.fields.push_back(std::move(*field));
}

void HeadParser::on_end() {
  check_framing();
  if (state_ == ParseState::Refused) return;

  const auto host = head_.find("host");
  if (!host && head_.minor == 1) return refuse(400, "HTTP/1.1 needs a Host header field");
  if (!absolute_authority_.empty() && !equals_ignoring_case(absolute_authority_, host.value_or("")))
    return refuse(400, "the request's address and its Host header field name different hosts");

  if (const auto expect = head_.find("expect")) {
    if (!equals_ignoring_case(*expect, "100-continue"))
      return refuse(417, "the only expectation known here is 100-continue");
    head_.expects_continue = head_.minor == 1 && head_.has_body();
  }

  head_.keep_alive = head_.minor == 1;
  for (const Field& field : head_.fields) {
    if (field.name != "connection") continue;
    if (list_contains(field.value, "close")) {
      head_.keep_alive = false;
      break;
    }
  }
  state_ = ParseState::Complete;
}

// Where the body ends must have exactly one reading (RFC 9112, section 6.3, without its leniency).
void HeadParser::check_framing() {
  const auto encoding = head_.find("transfer-encoding");
  const auto length = head_.find("content-length");
  if (encoding && length)
    return refuse(400, "Content-Length and Transfer-Encoding exclude each other");
  if (encoding) {
    if (head_.minor == 0) return refuse(400, "HTTP/1.0 has no Transfer-Encoding");
    if (!equals_ignoring_case(*encoding, "chunked"))
      return refuse(501, "the only Transfer-Encoding known here is chunked");
    head_.chunked = true;
  }
  if (length) {
    const auto value = parse_decimal(*length);
    if (!value) return refuse(400, "Content-Length is not a plain decimal number");
    head_.content_length = *value;
  }
}

}  // namespace minerva::wire
