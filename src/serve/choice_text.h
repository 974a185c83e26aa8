// One choice's tokens become text: whole characters, nothing of a stop string or behind it, and
// log-probabilities beside the text that they belong to. One thread; no I/O, no clock.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "backend/event.h"
#include "chat/stop_matcher.h"
#include "serve/types.h"
#include "text/utf8_stream.h"

namespace minerva::serve {

class ChoiceText {
 public:
  // `keep_tokens`: give every token back with its text (log-probabilities were asked for).
  ChoiceText(std::uint32_t choice, std::vector<std::string> stops, bool keep_tokens);

  // The text that is sure now, or nothing. Once stopped() nothing more comes.
  std::optional<TextDelta> push(backend::TokenEvent token);
  // What was held back. `broken_tail`: an unfinished character becomes U+FFFD; else it is dropped
  // (the answer was cut off, and may be continued).
  std::optional<TextDelta> finish(bool broken_tail);

  // The stop string that ended the answer.
  const std::optional<std::string>& stopped() const { return stopped_; }
  std::uint64_t tokens() const { return tokens_; }  // pushed

 private:
  struct Kept {
    backend::TokenEvent token;
    std::uint64_t begin;  // of its text in the choice's whole text, in bytes
    std::uint64_t end;
  };
  std::string match(std::string text);
  std::optional<TextDelta> delta(std::string text, bool last);

  const std::uint32_t choice_;
  const bool keep_tokens_;
  const std::vector<std::string> stops_;
  text::Utf8Stream utf8_;
  chat::StopMatcher matcher_;
  std::optional<std::string> stopped_;
  std::uint64_t tokens_ = 0;
  std::uint64_t decoded_ = 0;   // bytes that came out of utf8_
  std::uint64_t released_ = 0;  // of these, those that were given out
  std::string open_character_;  // bytes that utf8_ holds back
  std::deque<Kept> kept_;
};

}  // namespace minerva::serve
