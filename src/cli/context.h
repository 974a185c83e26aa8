// What every verb is given. Owned by run_command() for the time of one command.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "cli/configuration.h"
#include "cli/local_server.h"
#include "models/model_store.h"

namespace minerva::cli {

struct Context {
  Configuration configuration;
  std::string version;
  LocalServerFactory start_server;
  EngineKindsFactory engine_kinds;  // may be empty
  const Clock& clock;

  const Settings& settings() const { return configuration.settings; }
};

// The models of the configured folder, and those of other programs.
std::shared_ptr<const models::ModelStore> open_store(const Settings& settings);

// A name or a path, as a person gives it; with its problem, if it has one.
Result<models::ModelEntry> look_up_model(const Settings& settings, const std::string& name_or_path);
// The same; InvalidModel when it cannot be used.
Result<models::ModelEntry> find_model(const Settings& settings, const std::string& name_or_path);

// Where a server that listens on this address is asked from this machine.
std::string reachable_host(const std::string& host);

// "98.4 MB": decimal, as file managers say it.
std::string size_text(std::uint64_t bytes);

}  // namespace minerva::cli
