// granite: llama's graph with scales on the embedding, both branches, the scores and the logits.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_granite(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "granite"));
  MINERVA_ASSIGN(const double divisor, read_positive(file, "granite.logit_scale", 1));
  config.logit_scale = static_cast<float>(1 / divisor);
  return config;
}

}  // namespace minerva::engine
