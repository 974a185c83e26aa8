// Work that computes or waits, done on the pool while a connection's coroutine sleeps. Private to
// the room.
#pragma once

#include <atomic>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/log.h"
#include "http/server_state.h"

namespace minerva::http {

// Counts work that waits, from its making until it has been done.
class WaitSlot {
 public:
  explicit WaitSlot(std::atomic<std::size_t>& count) : count_(&count) { ++*count_; }
  WaitSlot(WaitSlot&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  WaitSlot& operator=(WaitSlot&&) = delete;
  ~WaitSlot() {
    if (count_ != nullptr) --*count_;
  }

 private:
  std::atomic<std::size_t>* count_;
};

// While it lives, a client that goes away wakes the coroutine.
class PeerWatch {
 public:
  explicit PeerWatch(Connection& connection) : connection_(connection) { connection_.watch_peer(); }
  ~PeerWatch() { connection_.stop_watching(); }
  PeerWatch(const PeerWatch&) = delete;
  PeerWatch& operator=(const PeerWatch&) = delete;

 private:
  Connection& connection_;
};

template <class T>
struct PoolJob {
  std::atomic<bool> done{false};
  std::optional<T> value;  // read it after done; none: the work threw
};

// Runs `work` on a pool and then wakes the connection. Whoever leaves before it is done leaves
// the value to the pool's thread, which destroys it.
template <class Work>
std::shared_ptr<PoolJob<std::invoke_result_t<Work>>> run_on_pool(boost::asio::thread_pool& pool,
                                                                 Exchange& exchange, Work work) {
  auto job = std::make_shared<PoolJob<std::invoke_result_t<Work>>>();
  boost::asio::post(pool,
                    [job, waker = exchange.connection.waker(), work = std::move(work)]() mutable {
                      try {
                        job->value.emplace(work());
                      } catch (const std::exception& error) {
                        log_error("a request's work failed: {}", error.what());
                      }
                      job->done.store(true, std::memory_order_release);
                      waker->signal();
                    });
  return job;
}

}  // namespace minerva::http
