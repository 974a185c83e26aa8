// starcoder2: LayerNorms with bias, a feed-forward without gate, biases everywhere; tanh GELU.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_starcoder2(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "starcoder2", NormKind::Layer));
  config.activation = Activation::GeluTanh;
  config.gated = false;
  config.ropes[0].halves = true;
  config.required = {"attn_norm.bias", "ffn_norm.bias",    "attn_q.bias", "attn_k.bias",
                     "attn_v.bias",    "attn_output.bias", "ffn_up.bias", "ffn_down.bias"};
  MINERVA_ASSIGN(const std::size_t window, read_window(file, "starcoder2."));
  for (LayerConfig& layer : config.layers) layer.window = window;
  return config;
}

}  // namespace minerva::engine
