// seed_oss: qwen2's graph; the file names the feed-forward's norm after attention.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_seed_oss(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "seed_oss"));
  config.ropes[0].halves = true;
  config.ff_norm_name = "post_attention_norm";
  config.required = {"attn_q.bias", "attn_k.bias", "attn_v.bias"};
  return config;
}

}  // namespace minerva::engine
