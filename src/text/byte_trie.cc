#include "text/byte_trie.h"

#include <utility>

namespace minerva::text {

void ByteTrie::add(std::string_view text, TokenId id) {
  std::uint32_t node = 0;
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    std::uint32_t next = child(node, byte);
    if (next == kNone) {
      next = static_cast<std::uint32_t>(ids_.size());
      ids_.push_back(kNoToken);
      if (2 * ids_.size() > edges_.size()) grow();
      insert(key_of(node, byte), next);
    }
    node = next;
  }
  ids_[node] = id;
}

void ByteTrie::insert(std::uint64_t key, std::uint32_t child) {
  std::size_t at = slot_of(key);
  while (edges_[at].key != 0) at = (at + 1) & (edges_.size() - 1);
  edges_[at] = {key, child};
}

void ByteTrie::grow() {
  std::vector<Edge> old = std::exchange(edges_, std::vector<Edge>(2 * edges_.size()));
  for (const Edge& edge : old) {
    if (edge.key != 0) insert(edge.key, edge.child);
  }
}

}  // namespace minerva::text
