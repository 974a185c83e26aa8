// The address of a remote server, read strictly. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "backend/child/upstream.h"
#include "base/result.h"

namespace minerva::backend {

// "https://host[:port][/path]"; without a path it is /v1. Plain http only where nobody is in
// between (this machine, private networks by address) unless `insecure`. InvalidArgument for what
// is not one: user names, queries, anything that two readers could take for two hosts.
Result<UpstreamAddress> parse_remote_url(std::string_view url, bool insecure);

// Whether this IP address, or "localhost", is of this machine or a private network.
bool is_near(std::string_view host);

}  // namespace minerva::backend
