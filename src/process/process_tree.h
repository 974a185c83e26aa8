// The processes of this machine as /proc shows them: who descends from whom, what a tree uses, and
// who carries a mark in its environment. A look at one moment: processes come and go meanwhile, so
// whoever must reach all of them looks again. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "process/child.h"

namespace minerva::process {

// A line of /proc/PID/stat.
struct ProcessStat {
  std::int64_t pid = 0;
  char state = '?';
  std::int64_t parent = 0;
  std::int64_t session = 0;
  std::uint64_t ticks = 0;  // of CPU time, with those of children that were waited for
};
std::optional<ProcessStat> parse_process_stat(std::string_view line);

// All descendants, without `root` itself; parents come before their children.
std::vector<ProcessStat> descendants(std::int64_t root);
std::vector<ProcessStat> members_of_session(std::int64_t session);

// Memory and CPU time of these processes together.
TreeUsage usage_of(const std::vector<ProcessStat>& processes);

// SIGKILL to all descendants of a reaper that cannot do it itself, then to the reaper. Bounded by
// a number of rounds.
void kill_from_outside(std::int64_t reaper);

// Processes that were started with this entry ("NAME=value") in their environment.
std::vector<std::int64_t> processes_with_environment(std::string_view entry);

}  // namespace minerva::process
