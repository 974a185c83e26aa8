// gemma: the first of them. llama's graph with tanh GELU and embeddings scaled by sqrt(width). The
// converter has already added 1 to the norm weights.
#include <cmath>

#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_gemma(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "gemma"));
  config.activation = Activation::GeluTanh;
  config.ropes[0].halves = true;
  config.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(config.width)));
  return config;
}

}  // namespace minerva::engine
