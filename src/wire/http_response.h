// A response's head and the lines of an event stream, as bytes arrive. The peer is untrusted here
// too. Pure state machines.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "wire/http_body.h"
#include "wire/http_head.h"
#include "wire/http_message.h"

namespace minerva::wire {

class ResponseHeadParser {
 public:
  explicit ResponseHeadParser(std::size_t bytes_max = std::size_t{64} * 1024) : lines_(bytes_max) {}
  // Takes bytes up to the end of the head and returns how many. 1xx answers are stepped over.
  std::size_t feed(std::string_view bytes);
  ParseState state() const { return state_; }
  ResponseHead& head() { return head_; }
  const std::string& problem() const { return problem_; }
  // How the body ends, once the head is complete.
  BodyDecoder body(std::size_t bytes_max, bool no_body) const;

 private:
  void on_line(std::string_view line);
  void on_end();
  void refuse(std::string problem);

  LineReader lines_;
  ParseState state_ = ParseState::NeedMore;
  bool have_status_ = false;
  ResponseHead head_;
  std::string problem_;
};

// Splits text into lines at LF, CRLF or CR, across any split of the bytes.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}
  // False once a line is too long, or the callback wants no more.
  bool feed(std::string_view bytes, const std::function<bool(std::string_view)>& on_line);
  bool too_long() const { return too_long_; }

 private:
  const std::size_t line_bytes_max_;
  std::string line_;
  bool after_cr_ = false;
  bool too_long_ = false;
};

}  // namespace minerva::wire
