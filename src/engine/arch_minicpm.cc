// minicpm (MiniCPM 1, 2 and 4) and minicpm3: llama's graph with scales on the embedding, both
// branches and the logits, as granite has them, and longrope in some. minicpm3 attends through
// latents, whose rotated pairs are halves apart.
#include <cmath>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

// Of all models that were made; older files do not say them.
constexpr double kEmbeddingScale = 12;
constexpr double kDepthScale = 1.4;
constexpr double kLogitWidth = 256;

Result<void> read_scales(const formats::GgufFile& file, const std::string& prefix,
                         ModelConfig& config) {
  const auto layers = static_cast<double>(config.layers.size());
  MINERVA_ASSIGN(const double embedding,
                 read_positive(file, prefix + "embedding_scale", kEmbeddingScale));
  MINERVA_ASSIGN(const double residual,
                 read_positive(file, prefix + "residual_scale", kDepthScale / std::sqrt(layers)));
  MINERVA_ASSIGN(
      const double divisor,
      read_positive(file, prefix + "logit_scale", static_cast<double>(config.width) / kLogitWidth));
  config.embedding_scale = static_cast<float>(embedding);
  config.residual_scale = static_cast<float>(residual);
  config.logit_scale = static_cast<float>(1 / divisor);
  return {};
}

}  // namespace

Result<ModelConfig> read_minicpm(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "minicpm"));
  MINERVA_TRY(read_scales(file, "minicpm.", config));
  return config;
}

Result<ModelConfig> read_minicpm3(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_base(file, "minicpm3"));
  MINERVA_TRY(read_latent(file, "minicpm3.", config.width / config.heads, config));
  config.ropes[0].halves = true;
  MINERVA_TRY(read_scales(file, "minicpm3.", config));
  return config;
}

}  // namespace minerva::engine
