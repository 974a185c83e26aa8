// Sets of characters as sorted ranges.
#pragma once

#include <algorithm>
#include <span>

namespace minerva::text {

struct CodeRange {
  char32_t first, last;
};

constexpr bool is_in(std::span<const CodeRange> ranges, char32_t code_point) {
  const auto above =
      std::upper_bound(ranges.begin(), ranges.end(), code_point,
                       [](char32_t value, const CodeRange& range) { return value < range.first; });
  return above != ranges.begin() && code_point <= (above - 1)->last;
}

}  // namespace minerva::text
