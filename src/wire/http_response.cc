#include "wire/http_response.h"

#include <utility>

#include "wire/http_grammar.h"

namespace minerva::wire {

std::size_t ResponseHeadParser::feed(std::string_view bytes) {
  const std::size_t before = bytes.size();
  while (state_ == ParseState::NeedMore && !bytes.empty()) {
    const LineReader::Result result = lines_.next(bytes);
    if (result == LineReader::Result::Line) {
      on_line(lines_.line());
    } else if (result == LineReader::Result::BadLineEnd) {
      refuse("a line of the answer's head does not end in CRLF");
    } else if (result == LineReader::Result::TooLong) {
      refuse("the answer's head is too large");
    }
  }
  return before - bytes.size();
}

void ResponseHeadParser::refuse(std::string problem) {
  state_ = ParseState::Refused;
  problem_ = std::move(problem);
}

void ResponseHeadParser::on_line(std::string_view line) {
  if (!have_status_) {
    const bool known = line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 ");
    const auto status = known ? parse_decimal(line.substr(9, 3)) : std::nullopt;
    if (!status || *status < 100 || (line.size() > 12 && line[12] != ' '))
      return refuse("the answer does not begin with an HTTP status");
    head_.status = static_cast<unsigned>(*status);
    have_status_ = true;
    return;
  }
  if (line.empty()) return on_end();
  auto field = parse_field(line);
  if (!field) return refuse("a header field of the answer is not \"Name: value\"");
  head_.fields.push_back(std::move(*field));
}

void ResponseHeadParser::on_end() {
  if (head_.status < 200) {
    head_ = {};
    have_status_ = false;
    return;
  }
  const auto encoding = head_.find("transfer-encoding");
  const auto length = head_.find("content-length");
  if (encoding && (length || !equals_ignoring_case(*encoding, "chunked")))
    return refuse("the answer's Transfer-Encoding is not known here");
  head_.chunked = encoding.has_value();
  if (length) {
    head_.content_length = parse_decimal(*length);
    if (!head_.content_length) return refuse("the answer's Content-Length is not a number");
  }
  state_ = ParseState::Complete;
}

BodyDecoder ResponseHeadParser::body(std::size_t bytes_max, bool no_body) const {
  if (no_body || head_.status == 204 || head_.status == 304)
    return BodyDecoder::sized(0, bytes_max);
  if (head_.chunked) return BodyDecoder::chunked(bytes_max);
  if (head_.content_length) return BodyDecoder::sized(*head_.content_length, bytes_max);
  return BodyDecoder::until_close(bytes_max);
}

bool LineSplitter::feed(std::string_view bytes,
                        const std::function<bool(std::string_view)>& on_line) {
  for (const char c : bytes) {
    const bool second_half = c == '\n' && after_cr_;
    after_cr_ = c == '\r';
    if (second_half) continue;
    if (c == '\n' || c == '\r') {
      const bool go_on = on_line(line_);
      line_.clear();
      if (!go_on) return false;
    } else if (line_.size() >= line_bytes_max_) {
      too_long_ = true;
      return false;
    } else {
      line_.push_back(c);
    }
  }
  return true;
}

}  // namespace minerva::wire
