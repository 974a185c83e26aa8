// exaone4: norms of both branches' output only, and of each head's q and k. In the 32B model three
// layers of four have a window, and the fourth sees all and knows no positions; the 1.2B model has
// no windows.
#include "engine/model_config.h"

namespace minerva::engine {
namespace {

constexpr std::size_t kPattern = 4;

}  // namespace

Result<ModelConfig> read_exaone4(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "exaone4"));
  config.pre_norms = false;
  config.post_norms = true;
  config.qk_norm = QkNorm::Head;
  config.ropes[0].halves = true;
  MINERVA_ASSIGN(const std::size_t window, read_window(file, "exaone4."));
  if (window == 0) return config;
  MINERVA_TRY(set_windows(file, kPattern, config));
  for (LayerConfig& layer : config.layers) {
    if (layer.window == 0) layer.rope = kNoRope;
  }
  return config;
}

}  // namespace minerva::engine
