// A request's head, read byte by byte as it arrives, stricter than the RFC wherever two servers
// could disagree about where a request ends (request smuggling). This is why no library reads our
// requests: Boost 1.81's Beast accepts "Transfer-Encoding: gzip" beside a Content-Length, and
// chunked on HTTP/1.0. A pure state machine: it takes bytes and allocates at most the head's limit.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "wire/http_message.h"

namespace minerva::wire {

enum class ParseState : std::uint8_t { NeedMore, Complete, Refused };

// Splits a head into its lines: CRLF and nothing else ends one, and the empty line ends the head.
class LineReader {
 public:
  explicit LineReader(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  enum class Result : std::uint8_t { NeedMore, Line, BadLineEnd, TooLong };
  // Takes bytes off the front of `in` until a line is whole (then line(), without its CRLF).
  Result next(std::string_view& in);
  std::string_view line() const { return line_; }
  std::string_view partial() const { return line_; }

 private:
  const std::size_t bytes_max_;  // of all lines together
  std::size_t bytes_ = 0;
  std::string line_;
  bool whole_ = false;
};

// "Name: value", checked. Nothing when it is not one (a space before the colon, a folded line).
std::optional<Field> parse_field(std::string_view line);

class HeadParser {
 public:
  HeadParser(std::size_t bytes_max, std::size_t fields_max)
      : lines_(bytes_max), fields_max_(fields_max) {}

  // Takes bytes up to the end of the head and returns how many. After Complete or Refused it takes
  // none.
  std::size_t feed(std::string_view bytes);
  ParseState state() const { return state_; }
  void time_out() { refuse(408, "the request's head took too long to arrive"); }
  // Whether a byte of a request has been seen.
  bool started() const { return started_; }
  RequestHead& head() { return head_; }
  const Refusal& refusal() const { return refusal_; }

 private:
  void on_line(std::string_view line);
  void on_request_line(std::string_view line);
  void on_target(std::string_view target);
  void on_field(std::string_view line);
  void on_end();
  void check_framing();
  void refuse(unsigned status, std::string message);

  LineReader lines_;
  const std::size_t fields_max_;
  ParseState state_ = ParseState::NeedMore;
  bool started_ = false;
  bool skipped_blank_ = false;
  bool have_request_line_ = false;
  std::string absolute_authority_;  // of an absolute-form target; must equal Host
  RequestHead head_;
  Refusal refusal_;
};

}  // namespace minerva::wire
