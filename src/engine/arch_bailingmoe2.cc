// bailingmoe2: Ling and Ring 2.0. q, k and v in one tensor, norms of each head's q and k, partial
// rotation; the first layers are dense, the others have experts in groups, with sigmoids as scores
// and a bias in their choice, and one that every token uses. The last layers of some only guess at
// further tokens.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_bailingmoe2(const formats::GgufFile& file) {
  const std::string prefix = "bailingmoe2.";
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "bailingmoe2"));
  config.ropes[0].halves = true;
  config.qk_norm = QkNorm::Head;
  MINERVA_TRY(read_draft_layers(file, config));
  MINERVA_ASSIGN(
      config.experts,
      read_experts(
          file, prefix,
          {.normalize_chosen = false, .gate = Gate::Sigmoid, .either_gate = true, .groups = true}));
  MINERVA_TRY(read_shared_expert(file, prefix, false, config.experts));
  MINERVA_TRY(read_dense_layers(file, config));
  const std::size_t last = config.layers.size() - 1;
  config.experts.choice_bias = has_layer_tensor(file, "exp_probs_b.bias", last);
  return config;
}

}  // namespace minerva::engine
