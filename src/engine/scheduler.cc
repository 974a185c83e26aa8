#include "engine/scheduler.h"

#include <algorithm>

namespace minerva::engine {

std::vector<std::size_t> FairScheduler::plan(std::span<const Runnable> runnable) {
  std::vector<std::size_t> tokens(runnable.size(), 0);
  std::size_t left = limits_.tokens;
  for (std::size_t i = 0; i < runnable.size() && left > 0; ++i) {
    if (!runnable[i].decoding) continue;
    tokens[i] = std::min({runnable[i].pending, left, limits_.chunk});
    left -= tokens[i];
  }
  for (const bool interactive : {true, false}) {
    for (std::size_t i = 0; i < runnable.size() && left > 0; ++i) {
      if (runnable[i].decoding || runnable[i].interactive != interactive) continue;
      tokens[i] = std::min({runnable[i].pending, left, limits_.chunk});
      left -= tokens[i];
    }
  }
  return tokens;
}

std::size_t FairScheduler::victim(std::span<const Runnable> runnable) {
  for (const bool interactive : {false, true}) {
    for (std::size_t i = runnable.size(); i-- > 0;) {
      if (runnable[i].interactive == interactive) return i;
    }
  }
  return npos;
}

}  // namespace minerva::engine
