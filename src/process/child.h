// A supervised child process, started through a guard: a process of our own binary that puts the
// child into a session of its own, is the reaper of all its descendants, and holds a socket from
// us. When that closes (we have ended, however) the guard ends the whole tree: SIGTERM, and SIGKILL
// 2 s later. A second guard does the same for the first. So nothing is left behind, not by SIGKILL
// to one of us and not by grandchildren. A child that ends takes its descendants along in the same
// way.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace minerva::process {

struct ChildOptions {
  std::string name;               // for our log: "llama_cpp smollm2"
  std::vector<std::string> argv;  // [0] is an absolute path; execve, never a shell
  // "NAME=value", exactly these: nothing of our own environment is inherited.
  std::vector<std::string> environment;
  std::string working_directory = "/";
  std::string log_path;             // gets what the child prints too, 0600; empty: no file
  std::size_t log_lines_max = 200;  // kept in memory
  std::size_t log_line_bytes_max = 4096;
  unsigned cpus = 0;               // how many processors it may use; 0: all of ours
  std::vector<std::string> guard;  // how the guard is started: our binary and its verb
};

struct ExitStatus {
  int code = 0;               // of exit(); 128 + signal where a signal ended it, as a shell says it
  int signal = 0;             // 0: it exited
  std::string words() const;  // "exit code 1", "SIGSEGV"
};

// How a child is stopped: SIGTERM, SIGTERM again, SIGKILL to all of its tree, each after a wait.
struct StopLadder {
  Duration first = std::chrono::seconds(5);
  Duration second = std::chrono::seconds(2);
};

// Of the child and all its descendants.
struct TreeUsage {
  std::uint64_t pss_bytes = 0;
  std::uint64_t mapped_bytes = 0;  // of that, pages of files
  Duration cpu_time{};
  std::size_t processes = 0;
};

// Any thread. The destructor kills the tree and waits for it.
class Child {
 public:
  // Returns once the program runs, or with the reason why it does not (no such file, no
  // permission).
  static Result<std::unique_ptr<Child>> spawn(ChildOptions options);
  virtual ~Child() = default;

  virtual std::int64_t pid() const = 0;                       // of the child, not of the guard
  virtual std::optional<ExitStatus> exit_status() const = 0;  // none while it runs
  bool running() const { return !exit_status().has_value(); }
  virtual bool wait_for(Duration time_max) = 0;  // true once it has ended
  virtual Result<void> signal(int number) = 0;
  // The ladder; returns when the whole tree has ended, which is bounded by the ladder and 5 s.
  virtual ExitStatus stop(const StopLadder& ladder) = 0;
  virtual void kill() = 0;  // SIGKILL to the tree; does not wait
  // What it printed last, both streams, oldest first; control characters escaped.
  virtual std::vector<std::string> last_log_lines(std::size_t count) const = 0;
  virtual TreeUsage usage() const = 0;
};

}  // namespace minerva::process
