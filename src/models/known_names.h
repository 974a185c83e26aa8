// Names of models against what a person wrote, and names that files of split models have. Pure
// functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace minerva::models {

// "model-00001-of-00003" is part 1 of 3 of "model".
struct ModelStem {
  std::string name;
  unsigned part = 1;
  unsigned parts = 1;
};
ModelStem model_stem(std::string_view path);

// NotFound: "unknown model 'x'; known: a, b", the nearest first, twenty at most.
Error unknown_model(std::string_view name, std::vector<std::string> known);

// `names`, the most alike to `name` first (edit distance, then by alphabet).
std::vector<std::string> nearest_first(std::string_view name, std::vector<std::string> names);

}  // namespace minerva::models
