#include "models/digest.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace minerva::models {

Result<Digest> Digest::parse(std::string_view text) {
  constexpr std::size_t kDigits = 64;
  constexpr std::size_t kShownBytesMax = 80;
  constexpr std::string_view kPrefix = "sha256";
  const bool formed = text.size() == kPrefix.size() + 1 + kDigits && text.starts_with(kPrefix) &&
                      (text[kPrefix.size()] == ':' || text[kPrefix.size()] == '-') &&
                      std::ranges::all_of(text.substr(kPrefix.size() + 1), [](char c) {
                        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                      });
  if (!formed) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("\"{}\" is no digest: \"sha256:\" and 64 hexadecimal digits",
                            escape_controls(text.substr(0, kShownBytesMax))));
  }
  return Digest(std::string(text.substr(kPrefix.size() + 1)));
}

}  // namespace minerva::models
