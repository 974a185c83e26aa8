// Finds stop strings in text that comes in pieces, and says how much of it may be shown: everything
// but an end that could still become a stop string. The string that is complete first wins; of
// those that are complete at the same byte, the longest; of equal ones, the first given. The result
// does not depend on where the pieces are cut.
// Aho-Corasick over bytes: time linear in the text, whatever the number of strings. One owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minerva::chat {

class StopMatcher {
 public:
  // Empty strings match nothing.
  explicit StopMatcher(const std::vector<std::string>& stops);

  struct Piece {
    std::string text;  // safe to show now
    // Which stop string was found: the text before it has been given out, and no more will be.
    std::optional<std::size_t> stop;
  };

  // After a match: nothing, with the same `stop`.
  Piece feed(std::string_view text);

  // The text held back, once no more will come.
  std::string finish();

  const std::optional<std::size_t>& stopped() const { return stopped_; }
  std::size_t held_bytes() const { return held_.size(); }

 private:
  struct Edge {
    std::uint8_t byte;
    std::uint32_t node;
  };
  struct Node {
    std::vector<Edge> edges;
    std::uint32_t fail = 0;             // the longest proper suffix that begins some stop string
    std::uint32_t depth = 0;            // bytes from the root
    std::optional<std::uint32_t> stop;  // complete here: the longest, its own or a suffix's
  };

  std::optional<std::uint32_t> child(std::uint32_t node, std::uint8_t byte) const;
  std::uint32_t step(std::uint32_t node, std::uint8_t byte) const;
  void add(std::string_view stop, std::uint32_t index);
  void link();

  std::vector<Node> nodes_{1};
  std::vector<std::size_t> stop_bytes_;
  std::uint32_t state_ = 0;
  std::string held_;  // the last nodes_[state_].depth bytes seen
  std::optional<std::size_t> stopped_;
};

}  // namespace minerva::chat
