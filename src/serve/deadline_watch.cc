#include "serve/deadline_watch.h"

#include <algorithm>
#include <chrono>

namespace minerva::serve {
namespace {

// The clock may be one that is moved by hand, so it is looked at now and then even when nothing
// seems due; five times a second costs nothing.
constexpr Duration kLookEvery = std::chrono::milliseconds(200);
constexpr Duration kIdle = std::chrono::seconds(60);

}  // namespace

DeadlineWatch::DeadlineWatch(const Clock& clock) : clock_(clock), thread_([this] { run(); }) {}

DeadlineWatch::~DeadlineWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

DeadlineWatch::Id DeadlineWatch::add(TimePoint when, std::function<void()> callback) {
  Id id;
  {
    const std::lock_guard lock(mutex_);
    id = {when, next_++};
    entries_.emplace(id, std::move(callback));
  }
  changed_.notify_all();
  return id;
}

void DeadlineWatch::remove(const Id& id) {
  const std::lock_guard lock(mutex_);
  entries_.erase(id);
}

void DeadlineWatch::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (entries_.empty()) {
      changed_.wait_for(lock, kIdle);
      continue;
    }
    const Duration left = entries_.begin()->first.first - clock_.now();
    if (left > Duration::zero()) {
      changed_.wait_for(lock, std::min(left, kLookEvery));
      continue;
    }
    auto due = entries_.extract(entries_.begin());
    lock.unlock();
    due.mapped()();
    // Destroyed here, without the lock: it may own what calls remove().
    due = {};
    lock.lock();
  }
}

}  // namespace minerva::serve
