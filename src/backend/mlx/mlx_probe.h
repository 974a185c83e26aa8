// Whether this machine has mlx-lm: which interpreter would run it, and what that interpreter says.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "backend/engine_kind.h"
#include "backend/mlx/mlx_options.h"

namespace minerva::backend {

// An absolute path; NotFound says where it was looked for.
Result<std::string> find_mlx_python(const MlxOptions& options);

// The interpreter that "#!" in a script's first line names; empty where it names none.
std::string script_interpreter(std::string_view first_line);

// Imports the native library, which find_spec() and the version alone do not: with a broken one the
// package is there and no model can be loaded. 0.08 s. Waits for `time_max` at most.
Availability probe_mlx(const MlxOptions& options, Duration time_max);

// Changes when something was installed there or removed.
std::string mlx_fingerprint(const std::string& python);

// The environment of everything that runs this interpreter: offline, and nothing of the user's.
std::vector<std::string> mlx_environment(const MlxOptions& options, const std::string& folder);

}  // namespace minerva::backend
