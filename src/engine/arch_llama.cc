// llama: Llama 1 to 3, Mistral, SmolLM and whatever else is converted under that name. q and k rows
// were permuted at conversion, so pairs are neighbours. Mistral 7B v0.1 has a window in all layers,
// Mixtral has experts. internlm2 (InternLM 2 and 2.5) is the same graph.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_llama(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "llama"));
  MINERVA_ASSIGN(const std::size_t window, read_window(file, "llama."));
  for (LayerConfig& layer : config.layers) layer.window = window;
  MINERVA_ASSIGN(const bool experts, has_experts(file, "llama."));
  if (experts) {
    MINERVA_ASSIGN(config.experts, read_experts(file, "llama.", {}));
  }
  return config;
}

Result<ModelConfig> read_internlm2(const formats::GgufFile& file) {
  return read_common(file, "internlm2");
}

}  // namespace minerva::engine
