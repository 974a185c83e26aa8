// Whether an engine that has work still gets on. It is given a look at the engine now and then, and
// says when it has been still for longer than that engine ever is. Pure; one owner.
#pragma once

#include <cstdint>
#include <optional>

#include "backend/backend.h"
#include "base/clock.h"

namespace minerva::serve {

struct WatchdogOptions {
  Duration patience_min = std::chrono::seconds(10);
  Duration patience_max = std::chrono::minutes(10);
  // Until it was measured: what a slow processor reads of a prompt.
  double prefill_tokens_per_second = 100;
};

class Watchdog {
 public:
  enum class Verdict : std::uint8_t {
    Fine,
    Suspect,  // still for longer than its patience: ask it for a token
  };

  explicit Watchdog(WatchdogOptions options = {}) : options_(options) {}

  struct Look {
    TimePoint now{};
    backend::Activity activity;
    std::optional<Duration> cpu_time;  // where it was measured this time
    std::uint64_t prompt_tokens = 0;   // of the longest prompt that has no token yet
  };
  Verdict look(const Look& look);
  // It gave a token when it was asked: it lives.
  void passed(TimePoint now);
  // A new engine, of which nothing is known but what the last one was like.
  void restart();

  // How long it may be still now.
  Duration patience(std::uint64_t prompt_tokens) const;

 private:
  const WatchdogOptions options_;
  bool began_ = false;
  std::uint64_t progress_ = 0;
  TimePoint since_{};  // the last progress, or the moment it got work
  // The first processor time that was measured since then, and the last.
  std::optional<Duration> cpu_since_;
  Duration cpu_last_{};
  bool extended_ = false;   // once, because it computed
  Duration usual_gap_{};    // between two signs of progress, averaged
  Duration longest_gap_{};  // decays
};

}  // namespace minerva::serve
