// Calls back when a time has come: for deadlines, which must hold even where an engine hangs.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/clock.h"

namespace minerva::serve {

// Any thread. One thread of its own, on which callbacks run, without a lock held; they must not
// block, and must not destroy the watch. Joined by the destructor; what is not due then is dropped.
class DeadlineWatch {
 public:
  using Id = std::pair<TimePoint, std::uint64_t>;

  explicit DeadlineWatch(const Clock& clock);
  ~DeadlineWatch();
  DeadlineWatch(const DeadlineWatch&) = delete;
  DeadlineWatch& operator=(const DeadlineWatch&) = delete;

  Id add(TimePoint when, std::function<void()> callback);
  void remove(const Id& id);  // it may be running at this moment, or have run

 private:
  void run();

  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Id, std::function<void()>> entries_;
  std::uint64_t next_ = 0;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace minerva::serve
