// The threads that compute. One pool a process, leased step by step: run() gives all of it to one
// caller at a time. Work is split by the caller; results never depend on how (docs/numerics.md).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace minerva::engine {

class ComputePool {
 public:
  explicit ComputePool(unsigned threads);
  ~ComputePool();
  ComputePool(const ComputePool&) = delete;
  ComputePool& operator=(const ComputePool&) = delete;

  unsigned size() const { return threads_; }

  // Calls work(0) .. work(size()-1), each on a thread of its own (the caller is thread 0), and
  // returns when all have returned. `work` must not throw. Callers queue for the pool.
  void run(const std::function<void(unsigned)>& work);

  // Inside run(): waits until every thread has arrived. Every thread must call it equally often.
  void barrier();

 private:
  void worker(unsigned index);

  const unsigned threads_;
  const int spin_rounds_;
  std::mutex lease_;
  const std::function<void(unsigned)>* work_ = nullptr;
  std::atomic<std::uint32_t> generation_{0};  // grows when there is work; odd bits mean nothing
  std::atomic<std::uint32_t> running_{0};
  std::atomic<bool> stopping_{false};
  alignas(64) std::atomic<std::uint32_t> barrier_arrived_{0};
  alignas(64) std::atomic<std::uint32_t> barrier_phase_{0};
  std::vector<std::jthread> workers_;
};

// The share of [0, count) that belongs to thread `index` of `threads`: contiguous, in order.
struct Share {
  std::size_t begin;
  std::size_t end;
};
constexpr Share share_of(std::size_t count, unsigned index, unsigned threads) {
  return {count * index / threads, count * (index + 1) / threads};
}

}  // namespace minerva::engine
