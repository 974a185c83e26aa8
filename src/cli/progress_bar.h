// A bar on stderr for work that takes seconds; nothing at all where stderr is no terminal.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "base/clock.h"

namespace minerva::cli {

class ProgressBar {
 public:
  // What an engine's progress callback has as its type.
  using Callback = std::function<void(std::uint64_t done, std::uint64_t total)>;

  // `what` stands before the bar: "loading".
  ProgressBar(std::string what, const Clock& clock);
  // Wipes the bar.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Any thread. Draws some ten times a second.
  void update(std::uint64_t done, std::uint64_t total);
  // Wipes the bar, before other lines are written; the next update draws it anew.
  void clear();
  // Must not be called once the bar is gone.
  Callback callback();

 private:
  const std::string what_;
  const Clock& clock_;
  const bool visible_;
  std::mutex mutex_;
  bool drawn_ = false;
  std::uint64_t most_ = 0;  // calls of several threads may come in any order
  TimePoint next_;
};

// "loading  [=====>    ]  52 %", cut to the columns.
std::string progress_line(const std::string& what, std::uint64_t done, std::uint64_t total,
                          std::size_t columns);

}  // namespace minerva::cli
