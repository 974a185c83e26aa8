#include "wire/sse.h"

#include <fmt/core.h>

namespace minerva::wire {
namespace {

bool control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

// The line at the front of `rest`, which is moved past its end.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find_first_of("\r\n");
  const std::string_view line = rest.substr(0, end);
  if (end == std::string_view::npos) {
    rest = {};
  } else {
    const bool crlf = rest.substr(end, 2) == "\r\n";
    rest.remove_prefix(end + (crlf ? 2 : 1));
  }
  return line;
}

}  // namespace

void sse_data(std::string& out, std::string_view data) {
  if (data.find_first_of("\r\n") == std::string_view::npos) {
    out.append("data: ").append(data).append("\n\n");
    return;
  }
  const bool ends_with_newline = data.back() == '\n' || data.back() == '\r';
  while (!data.empty()) out.append("data: ").append(take_line(data)).append("\n");
  if (ends_with_newline) out.append("data: \n");
  out.append("\n");
}

void sse_event(std::string& out, std::string_view name, std::string_view data) {
  out.append("event: ");
  for (const char c : name) {
    if (!control(c)) out.push_back(c);
  }
  out.append("\n");
  sse_data(out, data);
}

void sse_comment(std::string& out, std::string_view text) {
  out.append(": ");
  for (const char c : text) out.push_back(control(c) ? ' ' : c);
  out.append("\n\n");
}

Result<void> SseParser::feed(std::string_view bytes, std::vector<SseEvent>& events) {
  if (broken_) return too_large();
  while (!bytes.empty()) {
    if (after_cr_) {
      after_cr_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const std::size_t end = bytes.find_first_of("\r\n");
    MINERVA_TRY(append(bytes.substr(0, end)));
    if (end == std::string_view::npos) return {};
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    MINERVA_TRY(end_line(events));
  }
  return {};
}

Result<void> SseParser::append(std::string_view part) {
  if (part.size() > event_bytes_max_ - line_.size()) return too_large();
  line_.append(part);
  return {};
}

Result<void> SseParser::end_line(std::vector<SseEvent>& events) {
  std::string_view line = line_;
  if (first_line_ && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  first_line_ = false;
  if (line.empty()) {
    if (has_data_) events.push_back({std::move(name_), std::move(data_)});
    name_.clear();
    data_.clear();
    has_data_ = false;
    line_.clear();
    return {};
  }
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value;
  if (colon != std::string_view::npos) value = line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (colon == 0) {
    ++comments_;
    last_comment_ = value;
  } else if (field == "data") {
    if (value.size() + 1 > event_bytes_max_ - data_.size()) return too_large();
    if (has_data_) data_.push_back('\n');
    data_.append(value);
    has_data_ = true;
  } else if (field == "event") {
    name_ = value;
  } else if (field == "id" && value.find('\0') == std::string_view::npos) {
    last_id_ = value;
  }
  line_.clear();
  return {};
}

Result<void> SseParser::too_large() {
  broken_ = true;
  return fail(ErrorCode::TooLarge,
              fmt::format("an event of the stream is larger than {} bytes", event_bytes_max_));
}

}  // namespace minerva::wire
