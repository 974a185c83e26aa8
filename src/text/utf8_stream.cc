#include "text/utf8_stream.h"

#include <utility>

#include "base/utf8.h"

namespace minerva::text {

std::string Utf8Stream::push(std::string_view bytes) {
  pending_ += bytes;
  const std::size_t whole = pending_.size() - utf8_incomplete_suffix(pending_);
  std::string out = utf8_replace_invalid(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return out;
}

std::string Utf8Stream::finish() { return utf8_replace_invalid(std::exchange(pending_, {})); }

}  // namespace minerva::text
