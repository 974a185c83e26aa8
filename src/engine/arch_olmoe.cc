// olmoe: norms of q and k over all heads at once; experts, weighted by a softmax over all of them.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_olmoe(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "olmoe"));
  config.ropes[0].halves = true;
  config.qk_norm = QkNorm::Whole;
  MINERVA_ASSIGN(config.experts, read_experts(file, "olmoe.", {.normalize_chosen = false}));
  return config;
}

}  // namespace minerva::engine
