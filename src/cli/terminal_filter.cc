#include "cli/terminal_filter.h"

#include "base/utf8.h"

namespace minerva::cli {
namespace {

// A sequence that never ends must not swallow the rest of the answer. Without its beginning it is
// harmless text.
constexpr std::size_t kSequenceMax = 1024;

bool turns_text_around(char32_t c) {
  return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

}  // namespace

bool TerminalFilter::keep(char32_t c) {
  if (c == '\n') {
    state_ = State::Text;  // no sequence that a terminal understands goes over a line's end
    return true;
  }
  if (state_ != State::Text && ++swallowed_ > kSequenceMax) state_ = State::Text;
  if (c == 0x1b) {
    state_ = state_ == State::String ? State::StringEscape : State::Escape;
    swallowed_ = 0;
    return false;
  }
  switch (state_) {
    case State::Text:
      if (c == 0x9b) {
        state_ = State::Control;
        swallowed_ = 0;
      } else if (c == 0x90 || c == 0x98 || (c >= 0x9d && c <= 0x9f)) {
        state_ = State::String;
        swallowed_ = 0;
      }
      return c == '\t' || !(is_control(c) || turns_text_around(c));
    case State::StringEscape:
    case State::Escape:
      if (c == '[') {
        state_ = State::Control;
      } else if (c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_') {
        state_ = State::String;
      } else if (c >= 0x20 && c < 0x30) {
        state_ = State::Intermediate;
      } else {
        state_ = State::Text;
        // ESC and a character that is none of a sequence's: that one is text again.
        return c >= 0x80 && !is_control(c) && !turns_text_around(c);
      }
      return false;
    case State::Intermediate:
      if (c >= 0x30) state_ = State::Text;
      return false;
    case State::Control:
      if (c >= 0x40) state_ = State::Text;
      return c >= 0x80 && !is_control(c) && !turns_text_around(c);
    case State::String:
      if (c == 0x07 || c == 0x9c) state_ = State::Text;
      return false;
  }
  return false;
}

std::string TerminalFilter::push(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Char c = utf8_next(text);
    if (keep(c.code_point)) utf8_append(out, c.code_point);
    text.remove_prefix(c.length);
  }
  return out;
}

}  // namespace minerva::cli
