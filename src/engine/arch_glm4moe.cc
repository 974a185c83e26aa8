// glm4moe: GLM-4.5 to 4.7. Partial rotation, biases on q, k and v in some, norms of each head's q
// and k in others; the first layers are dense, the others have experts with sigmoids as scores and
// a bias in their choice, and one that every token uses. The last layers only guess at further
// tokens.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_glm4moe(const formats::GgufFile& file) {
  const std::string prefix = "glm4moe.";
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "glm4moe"));
  config.ropes[0].halves = true;
  config.ff_norm_name = "post_attention_norm";
  if (has_layer_tensor(file, "attn_q_norm.weight")) config.qk_norm = QkNorm::Head;
  MINERVA_TRY(read_draft_layers(file, config));
  MINERVA_ASSIGN(config.experts,
                 read_experts(file, prefix,
                              {.normalize_chosen = false, .gate = Gate::Sigmoid, .groups = true}));
  MINERVA_TRY(read_shared_expert(file, prefix, false, config.experts));
  config.experts.choice_bias = true;
  MINERVA_TRY(read_dense_layers(file, config));
  return config;
}

}  // namespace minerva::engine
