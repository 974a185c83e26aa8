// A message's body, decoded as it arrives: of a known length, chunked, or until the peer closes.
// Chunked is read strictly: no extensions and no trailers (nobody who talks to us sends them, and
// servers disagree about both), CRLF only. A pure state machine; it never holds more than the
// limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "wire/http_head.h"
#include "wire/http_message.h"

namespace minerva::wire {

class BodyDecoder {
 public:
  static BodyDecoder sized(std::uint64_t length, std::size_t bytes_max);
  static BodyDecoder chunked(std::size_t bytes_max);
  static BodyDecoder until_close(std::size_t bytes_max);

  // Takes bytes up to the end of the body, appends what they say to `out` and returns how many were
  // taken. After Complete or Refused it takes none.
  std::size_t feed(std::string_view bytes, std::string& out);
  ParseState state() const { return state_; }
  const Refusal& refusal() const { return refusal_; }
  // The peer has closed: what that means for the body.
  void on_close();

 private:
  enum class Kind : std::uint8_t { Sized, Chunked, UntilClose };
  enum class Step : std::uint8_t { Size, SizeEnd, Data, DataCr, DataLf, LastCr, LastLf };
  BodyDecoder(Kind kind, std::size_t bytes_max) : kind_(kind), bytes_max_(bytes_max) {}

  std::size_t take(std::string_view bytes, std::string& out);
  void on_frame_byte(char c);
  void on_size_end();
  void refuse(unsigned status, std::string message);

  Kind kind_;
  std::size_t bytes_max_;
  ParseState state_ = ParseState::NeedMore;
  Refusal refusal_;
  std::uint64_t bytes_ = 0;      // decoded so far
  std::uint64_t remaining_ = 0;  // of the body, or of this chunk
  Step step_ = Step::Size;
  unsigned digits_ = 0;
};

}  // namespace minerva::wire
