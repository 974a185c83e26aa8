// A server of its own that a test starts and talks to over a port. GUARD_PROGRAM is the path of the
// guard; a test that includes this defines it.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "process/child.h"
#include "process/port.h"

namespace minerva::test {

// A program that listens; ends with the test.
class ListeningProgram {
 public:
  explicit ListeningProgram(std::vector<std::string> argv,
                            std::vector<std::string> environment = {}) {
    process::ChildOptions options;
    options.name = argv.front();
    options.argv = std::move(argv);
    options.environment = std::move(environment);
    options.environment.push_back("PATH=/usr/bin:/bin");
    options.guard = {GUARD_PROGRAM, "guard"};
    auto spawned = process::Child::spawn(std::move(options));
    EXPECT_TRUE(spawned) << spawned.error().message;
    if (spawned) child_ = std::move(*spawned);
  }
  bool wait_until_it_listens(std::uint16_t port) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (std::chrono::steady_clock::now() < give_up && child_->running()) {
      if (process::listens(child_->pid(), port)) return true;
      static_cast<void>(child_->wait_for(std::chrono::milliseconds(10)));
    }
    for (const auto& line : child_->last_log_lines(20)) ADD_FAILURE() << line;
    return false;
  }
  process::Child& child() { return *child_; }

 private:
  std::unique_ptr<process::Child> child_;
};

inline std::uint16_t a_port() { return process::free_loopback_port().value(); }

}  // namespace minerva::test
