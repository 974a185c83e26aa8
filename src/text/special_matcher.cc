#include "text/special_matcher.h"

#include <algorithm>

namespace minerva::text {

SpecialMatcher::SpecialMatcher(std::vector<std::pair<std::string, TokenId>> tokens)
    : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end());
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    Range& range = by_first_byte_[static_cast<std::uint8_t>(tokens_[i].first[0])];
    if (range.begin == range.end) range.begin = static_cast<std::uint32_t>(i);
    range.end = static_cast<std::uint32_t>(i) + 1;
  }
}

std::optional<SpecialMatcher::Match> SpecialMatcher::next(std::string_view text,
                                                          std::size_t from) const {
  if (tokens_.empty()) return std::nullopt;
  for (std::size_t at = from; at < text.size(); ++at) {
    const Range range = by_first_byte_[static_cast<std::uint8_t>(text[at])];
    if (range.begin == range.end) continue;
    if (const std::optional<Match> match = longest_at(text, at)) return match;
  }
  return std::nullopt;
}

// Narrows the range of tokens that agree with the text, a byte at a time.
std::optional<SpecialMatcher::Match> SpecialMatcher::longest_at(std::string_view text,
                                                                std::size_t at) const {
  const Range first = by_first_byte_[static_cast<std::uint8_t>(text[at])];
  auto begin = tokens_.begin() + first.begin;
  auto end = tokens_.begin() + first.end;
  std::optional<Match> longest;
  for (std::size_t depth = 1; begin != end; ++depth) {
    // The shortest text of a range sorts first, and the lowest id of equal texts.
    if (begin->first.size() == depth && (!longest || longest->length < depth)) {
      longest = Match{at, depth, begin->second};
    }
    while (begin != end && begin->first.size() == depth) ++begin;
    if (begin == end || at + depth >= text.size()) break;
    const auto byte = static_cast<std::uint8_t>(text[at + depth]);
    const auto byte_of = [depth](const auto& token) {
      return static_cast<std::uint8_t>(token.first[depth]);
    };
    begin = std::partition_point(begin, end, [&](const auto& t) { return byte_of(t) < byte; });
    end = std::partition_point(begin, end, [&](const auto& t) { return byte_of(t) <= byte; });
  }
  return longest;
}

}  // namespace minerva::text
