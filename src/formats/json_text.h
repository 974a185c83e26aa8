// JSON inside model files and beside them. Read strictly in a flat pass before a tree is made of
// it: what is too deep, too large or says a thing twice is refused. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace minerva::formats {

struct JsonTextLimits {
  std::size_t depth_max = 64;
  std::size_t values_max = 4'000'000;  // keys and values together: bounds the tree's memory
};

// InvalidModel: what is wrong and at which byte, or which key stands twice.
Result<nlohmann::json> parse_json_text(std::string_view text, const JsonTextLimits& limits = {});

}  // namespace minerva::formats
