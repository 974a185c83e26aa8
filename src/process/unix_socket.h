// Unix sockets that only their own user may reach. Pure functions; any thread, but listening sets
// the process's file mode mask for a moment.
#pragma once

#include <string>

#include "base/result.h"

namespace minerva::process {

// A listening socket at this path; the caller closes the descriptor. Forbidden unless the path's
// folder is no symlink, ours, and closed to everybody else (mode 0700), and the path is free. The
// folder's mode is what protects the socket, and so it is looked at before anything listens.
Result<int> listen_privately(const std::string& path);

// Forbidden unless the process at the other end of this socket runs as the same user.
Result<void> check_same_user(int socket);

}  // namespace minerva::process
