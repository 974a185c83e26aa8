// Server-sent events in both directions (WHATWG HTML, 9.2 "Server-sent events"). Writing: text that
// comes from a model or a client cannot open a line of its own. Reading: bytes in any split.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace minerva::wire {

// --- writing: each appends one finished block ---
// "data: LINE\n\n". JSON is one line; in anything else each line becomes a data line of its own.
void sse_data(std::string& out, std::string_view data);
// The same behind "event: NAME". Control characters in the name are left out.
void sse_event(std::string& out, std::string_view name, std::string_view data);
// ": TEXT\n\n": readers drop it. Control characters in the text become spaces.
void sse_comment(std::string& out, std::string_view text);

// --- reading ---
struct SseEvent {
  std::string name;  // empty: a plain message
  std::string data;  // the data lines, joined by \n
  friend bool operator==(const SseEvent&, const SseEvent&) = default;
};

// Owned by whoever reads one stream; one thread. Lines may end in LF, CR or CRLF. After an error
// the stream is of no more use, and feed() repeats the error. Bytes are passed on as they are: the
// reader of `data` checks its UTF-8 (check_json does).
class SseParser {
 public:
  static constexpr std::size_t kEventBytesMax = std::size_t{1} << 20;

  explicit SseParser(std::size_t event_bytes_max = kEventBytesMax)
      : event_bytes_max_(event_bytes_max) {}

  // Appends the events that these bytes finish. TooLarge once a line or an event is past the bound.
  Result<void> feed(std::string_view bytes, std::vector<SseEvent>& events);

  // False when the stream has stopped inside a line or an event: whoever sent it died.
  bool at_boundary() const { return line_.empty() && !has_data_; }
  // The last id: field, for a reconnect.
  const std::string& last_id() const { return last_id_; }
  // Comments so far: signs of life.
  std::size_t comments() const { return comments_; }
  // The last of them; some engines report progress so.
  const std::string& last_comment() const { return last_comment_; }

 private:
  Result<void> append(std::string_view part);
  Result<void> end_line(std::vector<SseEvent>& events);
  Result<void> too_large();

  std::size_t event_bytes_max_;
  std::string line_;
  std::string data_;
  std::string name_;
  std::string last_id_;
  std::string last_comment_;
  std::size_t comments_ = 0;
  bool has_data_ = false;
  bool after_cr_ = false;   // a following LF belongs to the line that has ended
  bool first_line_ = true;  // may begin with a byte order mark
  bool broken_ = false;
};

}  // namespace minerva::wire
