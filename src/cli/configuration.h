// The effective settings and where each came from: defaults, then config.toml, then the
// environment, then flags. Read once at start. What is unknown or wrong in any of them is an error
// that names it, its place and the nearest thing that is known.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/engine_settings.h"
#include "cli/settings.h"
#include "serve/model_rules.h"

namespace minerva::cli {

// Minerva's folder: MINERVA_HOME, or ~/.minerva.
struct Home {
  std::string folder;
  std::string config_file() const { return folder + "/config.toml"; }
  std::string history_file() const { return folder + "/history"; }
  // What loads of models took (models/learned_memory.h).
  std::string memory_file() const { return folder + "/state/memory.json"; }
};

// "NAME=value" lines, as a process gets them.
using Environment = std::span<const std::string>;

// What the command line said, by setting's name. Lists get one entry a flag.
using FlagValues = std::map<std::string, std::vector<std::string>, std::less<>>;

struct Configuration {
  Home home;
  Settings settings;
  // One for each row of setting_table(): "default", "PATH line 3", "MINERVA_PORT", "--port".
  std::vector<std::string> sources;
  // The tables of config.toml, and of the settings what serve needs.
  serve::ServingRules rules;
  EngineSettings engines;

  std::string_view source(std::string_view name) const;
  bool is_default(std::string_view name) const { return source(name) == "default"; }
};

Home find_home(Environment environment);

// An error of a flag has the flag as its param.
Result<Configuration> load_configuration(Environment environment, const FlagValues& flags);
// Without file, environment and flags.
Configuration default_configuration(Environment environment);

// What serve needs of the settings, into `rules`; again where a verb changes settings.
void settle_rules(Configuration& configuration);

// The text of a config.toml; `path` is for messages.
Result<void> apply_toml(Configuration& configuration, std::string_view text,
                        const std::string& path);

}  // namespace minerva::cli
