// Which sequences run in the next step, with how many tokens. A pure decision on what it is shown:
// the batcher carries it out. Results never depend on the decision, only speed and order do; tests
// put random schedulers in its place.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace minerva::engine {

// A sequence that could run, oldest first.
struct Runnable {
  std::size_t pending = 0;  // tokens not yet in the KV cache: 1 when decoding
  bool decoding = false;    // it has made a token
  bool interactive = true;
};

struct ScheduleLimits {
  std::size_t tokens = 256;  // of a whole step
  std::size_t chunk = 256;   // of one sequence
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;
  // For each sequence the number of its pending tokens to run, 0 for none, at most `pending`.
  virtual std::vector<std::size_t> plan(std::span<const Runnable> runnable) = 0;
  // Which running sequence gives its pages back when there are none left: an index, or npos.
  virtual std::size_t victim(std::span<const Runnable> runnable) = 0;

  static constexpr std::size_t npos = ~std::size_t{0};
};

// Every decoding sequence gets its token; what is left of the step goes to prompts, interactive
// ones first, oldest first. The youngest gives way.
class FairScheduler final : public Scheduler {
 public:
  explicit FairScheduler(ScheduleLimits limits) : limits_(limits) {}
  std::vector<std::size_t> plan(std::span<const Runnable> runnable) override;
  std::size_t victim(std::span<const Runnable> runnable) override;

 private:
  ScheduleLimits limits_;
};

}  // namespace minerva::engine
