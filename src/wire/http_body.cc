#include "wire/http_body.h"

#include <fmt/format.h>

#include <algorithm>

#include "wire/http_grammar.h"

namespace minerva::wire {
namespace {
// 16 hexadecimal digits fill 64 bits; more may only be padding, in which parsers differ.
constexpr unsigned kSizeDigitsMax = 16;

std::string too_large(std::size_t bytes_max) {
  return fmt::format("the body is larger than the limit of {} bytes", bytes_max);
}
}  // namespace

BodyDecoder BodyDecoder::sized(std::uint64_t length, std::size_t bytes_max) {
  BodyDecoder decoder(Kind::Sized, bytes_max);
  decoder.remaining_ = length;
  if (length > bytes_max) {
    decoder.refuse(413, fmt::format("the body has {} bytes; the limit is {}", length, bytes_max));
  } else if (length == 0) {
    decoder.state_ = ParseState::Complete;
  }
  return decoder;
}

BodyDecoder BodyDecoder::chunked(std::size_t bytes_max) { return {Kind::Chunked, bytes_max}; }

BodyDecoder BodyDecoder::until_close(std::size_t bytes_max) {
  BodyDecoder decoder(Kind::UntilClose, bytes_max);
  decoder.remaining_ = UINT64_MAX;
  return decoder;
}

void BodyDecoder::refuse(unsigned status, std::string message) {
  state_ = ParseState::Refused;
  refusal_ = {status, std::move(message)};
}

std::size_t BodyDecoder::feed(std::string_view bytes, std::string& out) {
  const std::size_t before = bytes.size();
  while (state_ == ParseState::NeedMore && !bytes.empty()) {
    if (kind_ != Kind::Chunked || step_ == Step::Data) {
      bytes.remove_prefix(take(bytes, out));
    } else {
      on_frame_byte(bytes.front());
      bytes.remove_prefix(1);
    }
  }
  return before - bytes.size();
}

std::size_t BodyDecoder::take(std::string_view bytes, std::string& out) {
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), remaining_));
  if (count > bytes_max_ - bytes_) {
    refuse(413, too_large(bytes_max_));
    return 0;
  }
  out.append(bytes.substr(0, count));
  bytes_ += count;
  remaining_ -= count;
  if (remaining_ == 0) {
    if (kind_ == Kind::Sized) state_ = ParseState::Complete;
    step_ = Step::DataCr;
  }
  return count;
}

void BodyDecoder::on_frame_byte(char c) {
  const auto expect = [&](char wanted, Step next) {
    if (c != wanted) return refuse(400, "a chunk of the body does not end in CRLF");
    step_ = next;
  };
  switch (step_) {
    case Step::Size: {
      if (c == '\r' && digits_ > 0) {
        step_ = Step::SizeEnd;
        return;
      }
      const auto digit = hex_digit(c);
      if (!digit) return refuse(400, "a chunk's size is not a plain hexadecimal number");
      if (++digits_ > kSizeDigitsMax) return refuse(400, "a chunk's size has too many digits");
      remaining_ = remaining_ * 16 + *digit;
      return;
    }
    case Step::SizeEnd:
      if (c != '\n') return refuse(400, "a chunk's size does not end in CRLF");
      return on_size_end();
    case Step::DataCr:
      return expect('\r', Step::DataLf);
    case Step::DataLf:
      digits_ = 0;
      return expect('\n', Step::Size);
    case Step::LastCr:
      if (c != '\r') return refuse(400, "trailer fields are refused");
      step_ = Step::LastLf;
      return;
    case Step::LastLf:
      if (c != '\n') return refuse(400, "the last chunk does not end in CRLF");
      state_ = ParseState::Complete;
      return;
    case Step::Data:
      return;
  }
}

void BodyDecoder::on_size_end() {
  if (remaining_ == 0) {
    step_ = Step::LastCr;
  } else if (remaining_ > bytes_max_ - bytes_) {
    refuse(413, too_large(bytes_max_));
  } else {
    step_ = Step::Data;
  }
}

void BodyDecoder::on_close() {
  if (state_ != ParseState::NeedMore) return;
  if (kind_ == Kind::UntilClose) {
    state_ = ParseState::Complete;
  } else {
    refuse(400, "the connection closed before the body's end");
  }
}

}  // namespace minerva::wire
