// What a model file says of itself, for `list` and `show`. Reads metadata only, no weights.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/settings.h"
#include "formats/gguf.h"

namespace minerva::cli {

struct WeightShare {
  std::string type;
  std::uint64_t tensors = 0;
  std::uint64_t bytes = 0;
};

// By bytes, the largest first.
std::vector<WeightShare> weight_shares(const formats::GgufFile& file);

struct ContextPlan {
  std::uint64_t trained = 0;
  std::uint64_t context = 0;   // what serving it here gives a request
  std::uint64_t kv_bytes = 0;  // that one full context takes
};

struct ModelSummary {
  std::string architecture;
  std::string name;  // general.name
  std::uint64_t parameters = 0;
  std::uint64_t file_bytes = 0;
  std::vector<WeightShare> weights;
  ContextPlan context;
  // What keeps the native engine from running it; empty when nothing does.
  std::vector<std::string> unsupported;
  std::vector<std::string> warnings;
};

ModelSummary summarize(const formats::GgufFile& file, const Settings& settings);

}  // namespace minerva::cli
