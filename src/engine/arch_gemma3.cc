// gemma3: five sliding-window layers to one that sees all, each kind with its own RoPE base; RMS
// norms of q and k and of both branches' outputs; embeddings scaled by sqrt(width); tanh GELU. The
// converter has already added 1 to the norm weights.
#include <cmath>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

// What files leave out: every sixth layer sees all, and the others' RoPE base.
constexpr std::size_t kPattern = 6;
constexpr double kLocalRopeBase = 10'000;
constexpr std::size_t kLayersOf27B = 62;

}  // namespace

Result<ModelConfig> read_gemma3(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "gemma3"));
  config.activation = Activation::GeluTanh;
  config.qk_norm = QkNorm::Head;
  config.post_norms = true;
  config.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(config.width)));
  if (config.layers.size() == kLayersOf27B && !file.has("gemma3.attention.scale")) {
    // The 27B model scales by its width per head, not by the head's dimension.
    config.attention_scale = static_cast<float>(
        1 / std::sqrt(static_cast<double>(config.width) / static_cast<double>(config.heads)));
  }
  config.ropes[0].halves = true;
  RopeConfig local = config.ropes[0];
  MINERVA_ASSIGN(local.base, read_positive(file, "gemma3.rope.freq_base_swa", kLocalRopeBase));
  local.frequency_scale = 1;
  local.factors.clear();
  local.yarn.reset();
  local.magnitude = 1;
  config.ropes.push_back(std::move(local));
  MINERVA_TRY(set_windows(file, kPattern, config));
  for (LayerConfig& layer : config.layers) layer.rope = layer.window == 0 ? 0 : 1;
  return config;
}

}  // namespace minerva::engine
