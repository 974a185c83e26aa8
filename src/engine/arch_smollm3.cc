// smollm3: llama's graph, but every fourth layer knows no positions.
#include "engine/model_config.h"

namespace minerva::engine {
namespace {

constexpr std::size_t kPattern = 4;

}  // namespace

Result<ModelConfig> read_smollm3(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "smollm3"));
  for (std::size_t i = kPattern - 1; i < config.layers.size(); i += kPattern) {
    config.layers[i].rope = kNoRope;
  }
  return config;
}

}  // namespace minerva::engine
