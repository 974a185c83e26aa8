// stablelm: LayerNorms with bias and partial rotation; biases on q, k and v in some. The 12B model
// has attention and feed-forward side by side, and norms of q and k with weights of their own for
// each head.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_stablelm(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "stablelm", NormKind::Layer));
  config.ropes[0].halves = true;
  MINERVA_ASSIGN(config.parallel, file.get_bool_or("stablelm.use_parallel_residual", false));
  if (has_layer_tensor(file, "attn_q_norm.weight")) config.qk_norm = QkNorm::EachHead;
  config.required = {"attn_norm.bias"};
  return config;
}

}  // namespace minerva::engine
