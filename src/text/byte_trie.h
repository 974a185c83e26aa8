// A tree of byte strings that finds all those a text begins with in one pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "text/token_map.h"

namespace minerva::text {

// Filled once, then read from any thread. Edges lie in one table with open addressing, half full at
// most: 16 bytes an edge.
class ByteTrie {
 public:
  // `text` is not empty; of equal texts the last id counts.
  void add(std::string_view text, TokenId id);

  // Calls found(bytes, id) for every text that `text` begins with, the shortest first.
  template <class Found>
  void for_each_prefix(std::string_view text, const Found& found) const {
    std::uint32_t node = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      node = child(node, static_cast<std::uint8_t>(text[i]));
      if (node == kNone) return;
      if (ids_[node] != kNoToken) found(i + 1, ids_[node]);
    }
  }

 private:
  static constexpr std::uint32_t kNone = 0;  // the root is nobody's child
  struct Edge {
    std::uint64_t key = 0;  // parent << 8 | byte, plus 1
    std::uint32_t child = kNone;
  };
  static std::uint64_t key_of(std::uint32_t node, std::uint8_t byte) {
    return (std::uint64_t{node} << 8 | byte) + 1;
  }
  std::size_t slot_of(std::uint64_t key) const {
    return static_cast<std::size_t>((key * 0x9e3779b97f4a7c15u) >> 32) & (edges_.size() - 1);
  }
  std::uint32_t child(std::uint32_t node, std::uint8_t byte) const {
    const std::uint64_t key = key_of(node, byte);
    for (std::size_t at = slot_of(key);; at = (at + 1) & (edges_.size() - 1)) {
      if (edges_[at].key == key) return edges_[at].child;
      if (edges_[at].key == 0) return kNone;
    }
  }
  void insert(std::uint64_t key, std::uint32_t child);
  void grow();

  std::vector<TokenId> ids_ = {kNoToken};  // of each node
  std::vector<Edge> edges_ = std::vector<Edge>(64);
};

}  // namespace minerva::text
