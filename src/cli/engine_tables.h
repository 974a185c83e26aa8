// The tables of config.toml: [models."NAME"], [backends.llama_cpp], [backends.mlx], [remotes.NAME].
// Private to the room.
#pragma once

#include <toml++/toml.h>

#include <string_view>

#include "base/result.h"
#include "cli/configuration.h"
#include "cli/toml_fields.h"

namespace minerva::cli {

bool is_table_name(std::string_view name);  // "models", "backends", "remotes"

// One of these tables, whole. `models` may also be a list, which is not read here.
Result<void> read_engine_table(Configuration& configuration, std::string_view name,
                               const toml::node& node, const TomlFile& file);

// What can be seen only when all is read: engines that are named and not configured, names that
// two models have.
Result<void> check_engine_names(const Configuration& configuration);

}  // namespace minerva::cli
