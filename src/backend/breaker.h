// Whether it is worth asking somebody who has failed. Closed: yes. Open: not before a time that
// doubles with each failure in a row. Half-open: that time is up, and one trial may go. A pure
// value; whoever owns it guards it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/clock.h"

namespace minerva::backend {

struct BreakerOptions {
  unsigned failures_to_open = 2;  // in a row
  Duration first_wait = std::chrono::seconds(1);
  Duration longest_wait = std::chrono::seconds(60);
};

class Breaker {
 public:
  enum class State : std::uint8_t { Closed, Open, HalfOpen };

  explicit Breaker(BreakerOptions options = {}) : options_(options) {}

  State state(TimePoint now) const {
    if (failures_ < options_.failures_to_open) return State::Closed;
    return now < open_until_ || trial_ ? State::Open : State::HalfOpen;
  }
  bool allows(TimePoint now) const { return state(now) != State::Open; }
  // When to come again; zero while it allows.
  Duration wait(TimePoint now) const {
    if (allows(now)) return {};
    // A trial that is out will have ended soon.
    return std::max<Duration>(open_until_ - now, options_.first_wait);
  }
  // Somebody is let through. In the half-open state that is the one trial.
  void attempt(TimePoint now) {
    if (state(now) == State::HalfOpen) trial_ = true;
  }
  void success() {
    failures_ = 0;
    trial_ = false;
  }
  void failure(TimePoint now) {
    trial_ = false;
    ++failures_;
    if (failures_ < options_.failures_to_open) return;
    const unsigned doublings = std::min(failures_ - options_.failures_to_open, 16U);
    const Duration wait = options_.first_wait * (std::int64_t{1} << doublings);
    open_until_ = now + std::min(wait, options_.longest_wait);
  }
  // The trial came to no verdict (its client left).
  void abandon() { trial_ = false; }
  unsigned failures() const { return failures_; }

 private:
  BreakerOptions options_;
  unsigned failures_ = 0;
  bool trial_ = false;
  TimePoint open_until_{};
};

constexpr std::string_view to_string(Breaker::State state) {
  switch (state) {
    case Breaker::State::Closed:
      return "closed";
    case Breaker::State::Open:
      return "open";
    case Breaker::State::HalfOpen:
      return "half-open";
  }
  return "closed";
}

}  // namespace minerva::backend
