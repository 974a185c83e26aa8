// What Child and its guard say to each other, over one SOCK_SEQPACKET socket: a message is one
// packet, and its end tells either side that the other has gone. Both are the same binary, so the
// struct is its own format.
#pragma once

#include <cstdint>

namespace minerva::process {

// The guard finds its end of the socket here; 1 and 2 are the pipe for what the child prints.
inline constexpr int kGuardSocket = 3;

enum class GuardWord : std::int32_t {
  // To the guard.
  Signal = 1,  // first: the number
  KillTree,
  // From the guard.
  Started,   // first: pid of the child, second: pid of the guard that is its parent
  Failed,    // first: errno, second: a StartStage
  Exited,    // first: exit code, second: signal or 0
  TreeGone,  // no descendant is left
};

enum class StartStage : std::int64_t { Guard, WorkingDirectory, Program };

struct GuardMessage {
  GuardWord word{};
  std::int32_t unused = 0;  // so that no byte of the struct is without a value
  std::int64_t first = 0;
  std::int64_t second = 0;
};

}  // namespace minerva::process
