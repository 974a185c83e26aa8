// nemotron: Minitron and Nemotron 4. LayerNorms with bias, partial rotation, a feed-forward without
// gate with a squared ReLU. The converter has already added 1 to the norm weights.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_nemotron(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "nemotron", NormKind::Layer));
  config.gated = false;
  config.activation = Activation::ReluSquared;
  config.ropes[0].halves = true;
  config.required = {"attn_norm.bias", "ffn_norm.bias"};
  return config;
}

}  // namespace minerva::engine
