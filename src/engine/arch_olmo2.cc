// olmo2: norms of both branches' output only, and of q and k over all heads at once. OLMo 3 comes
// under the same name: three layers of four have a window, and only the fourth stretches its RoPE.
#include "engine/model_config.h"

namespace minerva::engine {
namespace {

constexpr std::size_t kPattern = 4;

}  // namespace

Result<ModelConfig> read_olmo2(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "olmo2"));
  config.pre_norms = false;
  config.post_norms = true;
  config.qk_norm = QkNorm::Whole;
  config.ropes[0].halves = true;
  MINERVA_ASSIGN(const std::size_t window, read_window(file, "olmo2."));
  if (window == 0) return config;
  MINERVA_TRY(set_windows(file, kPattern, config));
  config.ropes.push_back(
      {.base = config.ropes[0].base, .n_rot = config.ropes[0].n_rot, .halves = true});
  for (LayerConfig& layer : config.layers) layer.rope = layer.window == 0 ? 0 : 1;
  return config;
}

}  // namespace minerva::engine
