#include "text/merge_table.h"

#include <bit>

namespace minerva::text {
namespace {

std::uint64_t pair_of(TokenId left, TokenId right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

MergeTable::MergeTable(std::size_t count)
    : slots_(std::bit_ceil(2 * count + 2)), shift_(64 - std::countr_zero(slots_.size())) {}

std::size_t MergeTable::slot_of(std::uint64_t pair) const {
  return (pair * 0x9e3779b97f4a7c15u) >> shift_;
}

void MergeTable::add(TokenId left, TokenId right, Merge merge) {
  const std::uint64_t pair = pair_of(left, right);
  std::size_t at = slot_of(pair);
  while (slots_[at].pair != kFree) {
    if (slots_[at].pair == pair) return;
    at = (at + 1) & (slots_.size() - 1);
  }
  slots_[at] = {pair, merge};
}

Merge MergeTable::find(TokenId left, TokenId right) const {
  const std::uint64_t pair = pair_of(left, right);
  for (std::size_t at = slot_of(pair);; at = (at + 1) & (slots_.size() - 1)) {
    if (slots_[at].pair == pair) return slots_[at].merge;
    if (slots_[at].pair == kFree) return {};
  }
}

void add_merge_ids(const Vocabulary& vocabulary, const std::vector<MergeIds>& merges,
                   MergeTable& table) {
  // From the last to the first, since the table keeps the one that came first.
  for (std::size_t i = merges.size(); i-- > 0;) {
    const auto merged = static_cast<TokenId>(merges[i].merged);
    if (!is_plain_text(vocabulary.kind(merged))) continue;
    table.add(static_cast<TokenId>(merges[i].left), static_cast<TokenId>(merges[i].right),
              {static_cast<std::uint32_t>(i), merged});
  }
}

}  // namespace minerva::text
