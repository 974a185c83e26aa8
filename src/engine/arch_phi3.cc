// phi3: Phi-3, 3.5 and 4-mini. q, k and v in one tensor, gate and up in another; a window in every
// layer (none: 0 or missing); longrope in the long-context models, and only a part of each head
// turns in Phi-4-mini.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_phi3(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "phi3"));
  config.ropes[0].halves = true;
  MINERVA_ASSIGN(const std::size_t window, read_window(file, "phi3."));
  for (LayerConfig& layer : config.layers) layer.window = window;
  return config;
}

}  // namespace minerva::engine
