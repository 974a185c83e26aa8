#include "chat/stop_matcher.h"

#include <utility>

namespace minerva::chat {

StopMatcher::StopMatcher(const std::vector<std::string>& stops) {
  for (const std::string& stop : stops) {
    if (!stop.empty()) add(stop, static_cast<std::uint32_t>(stop_bytes_.size()));
    stop_bytes_.push_back(stop.size());
  }
  link();
}

void StopMatcher::add(std::string_view stop, std::uint32_t index) {
  std::uint32_t node = 0;
  for (const char c : stop) {
    const auto byte = static_cast<std::uint8_t>(c);
    auto next = child(node, byte);
    if (!next) {
      next = static_cast<std::uint32_t>(nodes_.size());
      nodes_.push_back({.edges = {}, .fail = 0, .depth = nodes_[node].depth + 1, .stop = {}});
      nodes_[node].edges.push_back({byte, *next});
    }
    node = *next;
  }
  if (!nodes_[node].stop) nodes_[node].stop = index;
}

// Breadth first: a node's fail link points to a node nearer the root, which is done before it.
void StopMatcher::link() {
  std::vector<std::uint32_t> order{0};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint32_t node = order[i];
    for (const Edge& edge : nodes_[node].edges) {
      Node& next = nodes_[edge.node];
      next.fail = node == 0 ? 0 : step(nodes_[node].fail, edge.byte);
      if (!next.stop) next.stop = nodes_[next.fail].stop;
      order.push_back(edge.node);
    }
  }
}

std::optional<std::uint32_t> StopMatcher::child(std::uint32_t node, std::uint8_t byte) const {
  for (const Edge& edge : nodes_[node].edges) {
    if (edge.byte == byte) return edge.node;
  }
  return {};
}

std::uint32_t StopMatcher::step(std::uint32_t node, std::uint8_t byte) const {
  while (true) {
    if (const auto next = child(node, byte)) return *next;
    if (node == 0) return 0;
    node = nodes_[node].fail;
  }
}

StopMatcher::Piece StopMatcher::feed(std::string_view text) {
  if (stopped_) return {.text = {}, .stop = stopped_};
  for (std::size_t i = 0; i < text.size(); ++i) {
    state_ = step(state_, static_cast<std::uint8_t>(text[i]));
    if (const auto stop = nodes_[state_].stop) {
      stopped_ = *stop;
      std::string shown = std::exchange(held_, {});
      shown.append(text.substr(0, i + 1));
      shown.resize(shown.size() - stop_bytes_[*stop]);
      return {.text = std::move(shown), .stop = stopped_};
    }
  }
  std::string all = std::exchange(held_, {});
  all.append(text);
  const std::size_t safe = all.size() - nodes_[state_].depth;
  held_ = all.substr(safe);
  all.resize(safe);
  return {.text = std::move(all), .stop = {}};
}

std::string StopMatcher::finish() {
  state_ = 0;
  return std::exchange(held_, {});
}

}  // namespace minerva::chat
