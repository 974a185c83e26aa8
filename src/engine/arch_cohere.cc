// command-r and cohere2: attention and feed-forward side by side behind one LayerNorm without bias,
// and a factor on the logits. Pairs are neighbours by the makers' own design, so that nothing was
// permuted. command-r's largest model norms q and k with weights of their own for each head. In
// cohere2 every fourth layer sees all and knows no positions; the others have a window.
#include "engine/model_config.h"

namespace minerva::engine {
namespace {

constexpr std::size_t kPattern = 4;

Result<ModelConfig> read_cohere(const formats::GgufFile& file, const std::string& architecture) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, architecture, NormKind::Layer));
  config.parallel = true;
  MINERVA_ASSIGN(const double scale, read_positive(file, architecture + ".logit_scale", 1));
  config.logit_scale = static_cast<float>(scale);
  return config;
}

}  // namespace

Result<ModelConfig> read_command_r(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_cohere(file, "command-r"));
  if (has_layer_tensor(file, "attn_q_norm.weight")) config.qk_norm = QkNorm::EachHead;
  return config;
}

Result<ModelConfig> read_cohere2(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_cohere(file, "cohere2"));
  MINERVA_TRY(set_windows(file, kPattern, config));
  for (LayerConfig& layer : config.layers) {
    if (layer.window == 0) layer.rope = kNoRope;
  }
  return config;
}

}  // namespace minerva::engine
