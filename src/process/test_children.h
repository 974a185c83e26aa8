// What the tests of this room start, and how they wait for what other processes do.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "process/child.h"
#include "process/process_tree.h"

namespace minerva::process {

// Nothing tells us when another process has changed its state, so this looks again and again.
template <class Condition>
bool eventually(Condition condition, std::chrono::seconds time_max = std::chrono::seconds(30)) {
  const auto deadline = std::chrono::steady_clock::now() + time_max;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// An entry of the environment that no other process has.
inline std::string fresh_mark() {
  static int count = 0;
  return "MINERVA_TEST_MARK=" + std::to_string(::getpid()) + "." + std::to_string(++count);
}

inline ChildOptions options_of(std::vector<std::string> argv,
                               std::vector<std::string> environment = {}) {
  ChildOptions options;
  options.name = "test child";
  options.argv = std::move(argv);
  options.environment = std::move(environment);
  options.guard = {GUARD_PROGRAM, "guard"};
  return options;
}

inline std::unique_ptr<Child> start(ChildOptions options) {
  auto child = Child::spawn(std::move(options));
  if (!child) {
    ADD_FAILURE() << child.error().message;
    return nullptr;
  }
  return std::move(*child);
}

inline std::unique_ptr<Child> shell(const std::string& script,
                                    std::vector<std::string> environment = {}) {
  environment.push_back("PATH=/usr/bin:/bin");
  return start(options_of({"/bin/sh", "-c", script}, std::move(environment)));
}

inline bool printed(const Child& child, std::string_view text) {
  for (const std::string& line : child.last_log_lines(1000)) {
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

inline bool nobody_has(const std::string& mark) { return processes_with_environment(mark).empty(); }

// Short, so that a test of a child that ignores everything is not a long one.
inline constexpr StopLadder kShortLadder{std::chrono::milliseconds(50),
                                         std::chrono::milliseconds(50)};
// The most that a ladder promises (child.h), with what a busy machine may add.
inline constexpr auto kBounded = std::chrono::seconds(60);

}  // namespace minerva::process
