// The wiring: engines, service and HTTP server in one object.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "cli/local_server.h"

namespace minerva::app {

// A cli::LocalServerFactory.
Result<std::unique_ptr<cli::LocalServer>> start_engine_server(
    const cli::Configuration& configuration, const std::string& version);

}  // namespace minerva::app
