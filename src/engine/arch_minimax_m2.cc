// minimax-m2: norms of q and k over all heads at once, partial rotation, experts with sigmoids as
// scores and a bias in their choice, whose weights are made to add up to 1.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_minimax_m2(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "minimax-m2"));
  config.ropes[0].halves = true;
  config.qk_norm = QkNorm::Whole;
  MINERVA_ASSIGN(config.experts, read_experts(file, "minimax-m2.", {.gate = Gate::Sigmoid}));
  config.experts.choice_bias = true;
  return config;
}

}  // namespace minerva::engine
