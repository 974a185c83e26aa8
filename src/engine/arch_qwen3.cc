// qwen3: RMS norms of each head's q and k instead of qwen2's biases.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_qwen3(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "qwen3"));
  config.ropes[0].halves = true;
  config.qk_norm = QkNorm::Head;
  return config;
}

}  // namespace minerva::engine
