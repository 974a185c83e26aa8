// qwen2moe: qwen2 with experts, whose weights are a softmax over all of them as it is, and one
// shared expert, of which a token takes as much as a router of its own says.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_qwen2moe(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "qwen2moe"));
  config.ropes[0].halves = true;
  config.required = {"attn_q.bias", "attn_k.bias", "attn_v.bias"};
  MINERVA_ASSIGN(config.experts, read_experts(file, "qwen2moe.", {.normalize_chosen = false}));
  MINERVA_TRY(read_shared_expert(file, "qwen2moe.", true, config.experts));
  config.experts.shared_gate = true;
  return config;
}

}  // namespace minerva::engine
