#include "engine/compute_pool.h"

#include <algorithm>

#include "base/system.h"

namespace minerva::engine {
namespace {

// A step has a few hundred barriers, each a few microseconds apart, so a thread that goes to sleep
// at each would double the time of a token. But a thread that spins on while the one it waits for
// has lost its processor to another program only makes that worse: some 20 microseconds, then sleep
// (the scheduler prefers who has slept). With more threads than processors spinning is of no use.
constexpr int kSpinRounds = 2'000;
int spin_rounds_for(unsigned threads) { return threads <= available_cpus() ? kSpinRounds : 0; }

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Waits until the value is no longer `old`: spins first, then sleeps.
void wait_change(const std::atomic<std::uint32_t>& value, std::uint32_t old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    relax();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

}  // namespace

ComputePool::ComputePool(unsigned threads)
    : threads_(std::max(1U, threads)), spin_rounds_(spin_rounds_for(threads_)) {
  workers_.reserve(threads_ - 1);
  for (unsigned i = 1; i < threads_; ++i) workers_.emplace_back([this, i] { worker(i); });
}

ComputePool::~ComputePool() {
  stopping_.store(true);
  generation_.fetch_add(1);
  generation_.notify_all();
}

void ComputePool::run(const std::function<void(unsigned)>& work) {
  const std::lock_guard lease(lease_);
  work_ = &work;
  running_.store(threads_ - 1, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  work(0);
  for (;;) {
    const std::uint32_t left = running_.load(std::memory_order_acquire);
    if (left == 0) break;
    wait_change(running_, left, spin_rounds_);
  }
  work_ = nullptr;
}

void ComputePool::worker(unsigned index) {
  std::uint32_t seen = 0;
  for (;;) {
    wait_change(generation_, seen, spin_rounds_);
    ++seen;
    if (stopping_.load(std::memory_order_acquire)) return;
    (*work_)(index);
    running_.fetch_sub(1, std::memory_order_acq_rel);
    running_.notify_one();
  }
}

void ComputePool::barrier() {
  if (threads_ == 1) return;
  const std::uint32_t phase = barrier_phase_.load(std::memory_order_acquire);
  if (barrier_arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
    barrier_arrived_.store(0, std::memory_order_relaxed);
    barrier_phase_.fetch_add(1, std::memory_order_release);
    barrier_phase_.notify_all();
  } else {
    wait_change(barrier_phase_, phase, spin_rounds_);
  }
}

}  // namespace minerva::engine
