// From a token's text to its id: open addressing with a hash tag beside each id, so that a miss
// (the common case while words are merged) costs one cache line and no string comparison.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "text/piece_list.h"

namespace minerva::text {

inline constexpr TokenId kNoToken = -1;

// Filled once, then read from any thread.
class TokenMap {
 public:
  TokenMap() = default;
  // Room for `count` of the texts. `texts` is shared, so that the map may move.
  TokenMap(std::shared_ptr<const PieceList> texts, std::size_t count);

  // Of equal texts the first one added stays; empty texts are never found.
  void add(TokenId id);
  TokenId find(std::string_view text) const;

 private:
  struct Slot {
    std::uint32_t tag = 0;
    TokenId id = kNoToken;
  };
  std::size_t first_slot(std::uint64_t hash) const { return hash & (slots_.size() - 1); }

  std::shared_ptr<const PieceList> texts_;
  std::vector<Slot> slots_;  // a power of two, at most half full
  std::size_t longest_ = 0;
};

}  // namespace minerva::text
