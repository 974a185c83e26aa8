// qwen3moe: qwen3 with experts; the weights of those that a token uses add up to 1.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_qwen3moe(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "qwen3moe"));
  config.ropes[0].halves = true;
  config.qk_norm = QkNorm::Head;
  MINERVA_ASSIGN(config.experts, read_experts(file, "qwen3moe.", true));
  return config;
}

}  // namespace minerva::engine
