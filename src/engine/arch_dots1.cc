// dots1: qwen3's attention; the first layers are dense, the others have experts with sigmoids as
// scores and a bias in their choice, and some that every token uses.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_dots1(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "dots1"));
  config.ropes[0].halves = true;
  config.qk_norm = QkNorm::Head;
  MINERVA_ASSIGN(
      config.experts,
      read_experts(
          file, "dots1.",
          {.normalize_chosen = false, .gate = Gate::Sigmoid, .either_gate = true, .groups = true}));
  MINERVA_TRY(read_shared_expert(file, "dots1.", false, config.experts));
  MINERVA_TRY(read_dense_layers(file, config));
  const std::size_t last = config.layers.size() - 1;
  config.experts.choice_bias = has_layer_tensor(file, "exp_probs_b.bias", last);
  return config;
}

}  // namespace minerva::engine
