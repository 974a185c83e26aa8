// The wiring: engines, service and HTTP server in one object.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/local_server.h"

namespace minerva::app {

// A cli::LocalServerFactory, but for our environment, of which children get a part.
Result<std::unique_ptr<cli::LocalServer>> start_engine_server(
    const cli::Configuration& configuration, const std::string& version,
    std::vector<std::string> environment);

// A cli::EngineKindsFactory. What the kinds share lives as long as the last of them.
Result<std::vector<std::shared_ptr<backend::EngineKind>>> find_engines(
    const cli::Configuration& configuration, const std::string& version,
    std::vector<std::string> environment);

}  // namespace minerva::app
