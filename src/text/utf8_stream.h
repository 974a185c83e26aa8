// Turns the bytes of tokens, which may end inside a character, into text that never does.
#pragma once

#include <string>
#include <string_view>

namespace minerva::text {

// One for each stream of tokens; not thread-safe, cannot fail. Everything returned, joined, is
// utf8_replace_invalid() of everything pushed, joined.
class Utf8Stream {
 public:
  // The whole characters so far; the beginning of an unfinished one is kept back (at most 3 bytes).
  // A byte that can be part of no character becomes U+FFFD at once.
  std::string push(std::string_view bytes);

  // The end of the stream: a character that was never finished becomes U+FFFD, byte for byte.
  // Ready for another stream afterwards.
  std::string finish();

 private:
  std::string pending_;
};

}  // namespace minerva::text
