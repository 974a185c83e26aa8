// Merging a word's symbols into tokens: always the pair of the lowest rank, the leftmost of equal
// ones, until no pair can merge. What a pair merges into is asked of the caller.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/token.h"
#include "text/token_map.h"

namespace minerva::text {

inline constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();

struct Merge {
  std::uint32_t rank = kNoRank;  // kNoRank: these two do not merge
  TokenId id = kNoToken;
};

// Bytes [begin, begin + length) of the word.
struct Symbol {
  std::uint32_t begin;
  std::uint32_t length;
  TokenId id;
};

// Below this many symbols rescanning an array beats a heap: most words are under 10 bytes.
inline constexpr std::size_t kShortWordSymbols = 48;

// Working memory of one encode call, kept from word to word. One thread at a time.
class Merger {
 public:
  std::vector<Symbol> symbols;  // fill, merge, read

  // The symbol of a character that has no token: `unknown`, one for several in a row if `fuse`.
  void add_unknown(std::uint32_t begin, std::uint32_t length, TokenId unknown, bool fuse) {
    if (fuse && !symbols.empty() && symbols.back().id == unknown) {
      symbols.back().length += length;
    } else {
      symbols.push_back({begin, length, unknown});
    }
  }

  // find(left, right) -> Merge, for neighbours.
  template <class Find>
  void merge(const Find& find) {
    if (symbols.size() <= kShortWordSymbols) {
      merge_by_scan(find);
    } else {
      merge_by_heap(find);
    }
  }

  // O(n^2) comparisons, but in one cache line or two.
  template <class Find>
  void merge_by_scan(const Find& find);

  // O(n log n): 1 MB of one letter is one word.
  template <class Find>
  void merge_by_heap(const Find& find);

 private:
  // A pair that could merge when it was pushed. It still can when both sides are unchanged, which
  // their total length tells: the left symbol only ever grows, by taking in the right one.
  struct Candidate {
    std::uint64_t order;  // rank, then position: the smallest first
    std::uint32_t length;
    TokenId id;
    std::uint32_t left() const { return static_cast<std::uint32_t>(order); }
  };
  static bool later(const Candidate& a, const Candidate& b) { return a.order > b.order; }

  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  std::vector<Merge> pairs_;
  std::vector<Candidate> heap_;
  std::vector<std::uint32_t> next_;
  std::vector<std::uint32_t> previous_;
};

template <class Find>
void Merger::merge_by_scan(const Find& find) {
  if (symbols.size() < 2) return;
  pairs_.resize(symbols.size() - 1);
  for (std::size_t i = 0; i < pairs_.size(); ++i) pairs_[i] = find(symbols[i], symbols[i + 1]);
  while (!pairs_.empty()) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < pairs_.size(); ++i) {
      if (pairs_[i].rank < pairs_[best].rank) best = i;
    }
    if (pairs_[best].rank == kNoRank) return;
    symbols[best].length += symbols[best + 1].length;
    symbols[best].id = pairs_[best].id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    pairs_.erase(pairs_.begin() + static_cast<std::ptrdiff_t>(best));
    if (best > 0) pairs_[best - 1] = find(symbols[best - 1], symbols[best]);
    if (best < pairs_.size()) pairs_[best] = find(symbols[best], symbols[best + 1]);
  }
}

template <class Find>
void Merger::merge_by_heap(const Find& find) {
  const auto count = static_cast<std::uint32_t>(symbols.size());
  next_.resize(count);
  previous_.resize(count);
  heap_.clear();
  const auto candidate = [&](std::uint32_t left, std::uint32_t right) {
    const Merge merge = find(symbols[left], symbols[right]);
    if (merge.rank == kNoRank) return false;
    heap_.push_back({std::uint64_t{merge.rank} << 32 | left,
                     symbols[left].length + symbols[right].length, merge.id});
    return true;
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    next_[i] = i + 1 < count ? i + 1 : kNone;
    previous_[i] = i > 0 ? i - 1 : kNone;
    if (i > 0) candidate(i - 1, i);
  }
  std::make_heap(heap_.begin(), heap_.end(), later);
  const auto push = [&](std::uint32_t left, std::uint32_t right) {
    if (candidate(left, right)) std::push_heap(heap_.begin(), heap_.end(), later);
  };
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Candidate best = heap_.back();
    heap_.pop_back();
    const std::uint32_t left = best.left();
    const std::uint32_t right = next_[left];
    if (symbols[left].length == 0 || right == kNone) continue;
    if (symbols[left].length + symbols[right].length != best.length) continue;
    symbols[left].length = best.length;
    symbols[left].id = best.id;
    symbols[right].length = 0;  // taken in
    next_[left] = next_[right];
    if (next_[left] != kNone) {
      previous_[next_[left]] = left;
      push(left, next_[left]);
    }
    if (previous_[left] != kNone) push(previous_[left], left);
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.length == 0; });
}

}  // namespace minerva::text
