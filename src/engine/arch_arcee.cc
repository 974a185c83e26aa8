// arcee: llama's graph with a feed-forward without gate, whose activation is a squared ReLU.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_arcee(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "arcee"));
  config.gated = false;
  config.activation = Activation::ReluSquared;
  return config;
}

}  // namespace minerva::engine
