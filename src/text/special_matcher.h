// Finds tokens that are written out in text: from left to right, the longest where several begin.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/token.h"

namespace minerva::text {

// The longest in use has some 40 bytes. A bound keeps the search linear in the text.
inline constexpr std::size_t kSpecialBytesMax = 1024;

// Filled once, then read from any thread.
class SpecialMatcher {
 public:
  struct Match {
    std::size_t begin;
    std::size_t length;
    TokenId id;
  };

  SpecialMatcher() = default;
  // Texts are not empty and at most kSpecialBytesMax long; of equal ones the lowest id counts.
  explicit SpecialMatcher(std::vector<std::pair<std::string, TokenId>> tokens);

  // The first match at `from` or after it.
  std::optional<Match> next(std::string_view text, std::size_t from) const;

 private:
  struct Range {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
  };
  std::optional<Match> longest_at(std::string_view text, std::size_t at) const;

  std::vector<std::pair<std::string, TokenId>> tokens_;  // sorted by text
  std::array<Range, 256> by_first_byte_{};
};

}  // namespace minerva::text
