#include "cli/engine_probes.h"

#include <algorithm>
#include <atomic>
#include <thread>

namespace minerva::cli {
namespace {

// The configuration may name any number of remote servers.
constexpr std::size_t kThreadsMax = 32;

}  // namespace

std::vector<ProbedEngine> probe_engines(std::span<const std::shared_ptr<backend::EngineKind>> kinds,
                                        Duration time_max) {
  std::vector<ProbedEngine> out(kinds.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < kinds.size(); i = next++) {
      out[i].name = kinds[i]->name();
      out[i].found = kinds[i]->probe(time_max);
    }
  };
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < std::min(kinds.size(), kThreadsMax); ++i) threads.emplace_back(work);
  threads.clear();
  return out;
}

}  // namespace minerva::cli
