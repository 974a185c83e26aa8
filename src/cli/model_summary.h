// What a model file says of itself, for `list` and `show`. Reads metadata only, no weights.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/engine_kind.h"
#include "backend/model_spec.h"
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
  std::uint64_t context = 0;  // what serving it here gives a request
};

struct ModelSummary {
  std::string architecture;
  std::string name;  // general.name
  std::uint64_t parameters = 0;
  std::uint64_t file_bytes = 0;
  std::vector<WeightShare> weights;
  ContextPlan context;
  backend::MemoryNeed memory;  // with that context
  // What keeps the native engine from running it; empty when nothing does.
  std::vector<std::string> unsupported;
  std::vector<std::string> warnings;
};

// `file`: what models::open_model() made of the spec's path.
ModelSummary summarize(const formats::GgufFile& file, const backend::ModelSpec& spec,
                       const Settings& settings);

}  // namespace minerva::cli
