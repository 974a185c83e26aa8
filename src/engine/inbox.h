// Where other threads leave their requests for the one thread that computes, and that thread: what
// the batcher and the encoders' queue have in common.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"

namespace minerva::engine {

template <class Request>
class Inbox {
 public:
  // At most so many requests are inside, those that were taken and have not left included.
  explicit Inbox(std::size_t inside_max) : inside_max_(inside_max) {}

  // --- any thread ---
  // QueueFull when too many are inside, Unavailable once stopping.
  Result<void> put(std::shared_ptr<Request> request) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return fail(ErrorCode::Unavailable, "the model is being unloaded");
      if (inside() >= inside_max_) {
        return fail(ErrorCode::QueueFull,
                    fmt::format("{} requests are inside, and {} may be; try again later", inside(),
                                inside_max_));
      }
      inside_.fetch_add(1);
      arrived_.push_back(std::move(request));
    }
    changed_.notify_one();
    return {};
  }
  void wake() { set(woken_); }
  void stop() { set(stopping_); }
  std::size_t inside() const { return inside_.load(std::memory_order_relaxed); }

  // --- the thread that computes ---
  // Until there is news: a request, wake() or stop(). None: as long as it takes.
  void wait(std::optional<Duration> time_max) {
    std::unique_lock lock(mutex_);
    const auto news = [this] { return stopping_ || woken_ || !arrived_.empty(); };
    if (time_max) {
      changed_.wait_for(lock, *time_max, news);
    } else {
      changed_.wait(lock, news);
    }
    woken_ = false;
  }
  struct Taken {
    std::vector<std::shared_ptr<Request>> requests;  // oldest first
    bool stop = false;                               // and there will be no more
  };
  Taken take() {
    const std::lock_guard lock(mutex_);
    return {std::exchange(arrived_, {}), stopping_};
  }
  // So many of those that were taken have ended.
  void leave(std::size_t count) { inside_.fetch_sub(count, std::memory_order_relaxed); }

 private:
  void set(bool& flag) {
    {
      const std::lock_guard lock(mutex_);
      flag = true;
    }
    changed_.notify_one();
  }

  const std::size_t inside_max_;
  std::atomic<std::size_t> inside_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Request>> arrived_;  // guarded by mutex_
  bool woken_ = false;                             // guarded by mutex_
  bool stopping_ = false;                          // guarded by mutex_
};

// Runs `loop` on a thread of its own. When it throws, out of memory most likely, the inbox is
// stopped and it runs again, to end its requests: the program goes on.
template <class Request>
std::thread start_worker(const char* name, Inbox<Request>& inbox, std::function<void()> loop) {
  return std::thread([name, &inbox, loop = std::move(loop)] {
    try {
      loop();
    } catch (const std::exception& e) {
      log_error("the {} stopped: {}", name, e.what());
      inbox.stop();
      loop();
    }
  });
}

}  // namespace minerva::engine
