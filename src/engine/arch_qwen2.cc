// qwen2: llama's graph with biases on q, k and v, and pairs half a head apart.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_qwen2(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "qwen2"));
  config.ropes[0].halves = true;
  config.required = {"attn_q.bias", "attn_k.bias", "attn_v.bias"};
  return config;
}

}  // namespace minerva::engine
