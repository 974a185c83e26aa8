// Whether a model folder brings code of its own. Python engines run what a model's configuration
// tells them to, so a folder that could is refused before any of them sees it, unless the user has
// allowed exactly these files. Our own engine runs no code of a model's.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "models/model_folder.h"

namespace minerva::models {

struct CodeScan {
  std::string found;  // "the key auto_map in config.json"; empty: no code
  std::string hash;   // "sha256:…" over all scripts and all JSON of the folder; set with `found`
};

// InvalidModel when a file cannot be judged.
Result<CodeScan> scan_code(const ModelFolder& folder);

// Refuses a folder with code whose hash is not in `allow_code`; the message names the place and the
// line to write.
Result<void> check_code(const ModelFolder& folder, std::span<const std::string> allow_code);

}  // namespace minerva::models
