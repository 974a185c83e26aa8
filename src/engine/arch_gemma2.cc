// gemma2: every other layer has a window, the first among them; scores and logits are capped
// softly; norms of both branches' input and output; embeddings scaled by sqrt(width); tanh GELU.
// The converter has already added 1 to the norm weights.
#include <cmath>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

constexpr std::size_t kPattern = 2;
// What files leave out.
constexpr double kAttentionCap = 50;
constexpr double kLogitCap = 30;
constexpr std::size_t kLayersOf27B = 46;

}  // namespace

Result<ModelConfig> read_gemma2(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "gemma2"));
  config.activation = Activation::GeluTanh;
  config.post_norms = true;
  config.ropes[0].halves = true;
  config.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(config.width)));
  if (config.layers.size() == kLayersOf27B && !file.has("gemma2.attention.scale")) {
    // The 27B model scales by its width per head, not by the head's dimension.
    config.attention_scale = static_cast<float>(
        1 / std::sqrt(static_cast<double>(config.width) / static_cast<double>(config.heads)));
  }
  MINERVA_ASSIGN(const double attention_cap,
                 read_positive(file, "gemma2.attn_logit_softcapping", kAttentionCap));
  MINERVA_ASSIGN(const double logit_cap,
                 read_positive(file, "gemma2.final_logit_softcapping", kLogitCap));
  config.attention_softcap = static_cast<float>(attention_cap);
  config.logit_softcap = static_cast<float>(logit_cap);
  MINERVA_TRY(set_windows(file, kPattern, config));
  return config;
}

}  // namespace minerva::engine
