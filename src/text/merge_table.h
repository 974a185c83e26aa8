// Which neighbours merge, into what, and in which order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/merge.h"
#include "text/vocabulary.h"

namespace minerva::text {

// (left id, right id) -> rank and merged id. Open addressing, 16 bytes a slot. Filled once, then
// read from any thread.
class MergeTable {
 public:
  explicit MergeTable(std::size_t count = 0);
  // Of equal pairs the first one stays: it has the better rank.
  void add(TokenId left, TokenId right, Merge merge);
  Merge find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    std::uint64_t pair = kFree;
    Merge merge;
  };
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};  // (-1, -1): no tokens
  std::size_t slot_of(std::uint64_t pair) const;

  std::vector<Slot> slots_;
  int shift_;
};

// Merges that were checked to name tokens, in rank order; of equal pairs the last one counts. Those
// that make a control token are left out: plain text must never become one.
void add_merge_ids(const Vocabulary& vocabulary, const std::vector<MergeIds>& merges,
                   MergeTable& table);

}  // namespace minerva::text
