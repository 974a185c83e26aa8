// The server that a verb talks HTTP to: one that is already there, or one that it starts in this
// process on a port of its own.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "cli/context.h"
#include "cli/local_server.h"

namespace minerva::cli {

struct Peer {
  std::string host;
  unsigned port = 0;
  std::string model;
  std::unique_ptr<LocalServer> own;  // empty: attached to another process
};

// `model`: a name or a path; empty: the server's, or the only one there is.
Result<Peer> find_peer(const Context& context, const std::string& model);

}  // namespace minerva::cli
