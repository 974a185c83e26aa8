// Time is passed in, so that tests move it by hand. SteadyClock is the machine's; FakeClock moves
// only when told to. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>

namespace minerva {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

class SteadyClock final : public Clock {
 public:
  TimePoint now() const override {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
  }
};

class FakeClock final : public Clock {
 public:
  TimePoint now() const override { return TimePoint(Duration(nanos_.load())); }
  void advance(Duration by) { nanos_.fetch_add(by.count()); }

 private:
  std::atomic<Duration::rep> nanos_{1'000'000'000};
};

}  // namespace minerva
