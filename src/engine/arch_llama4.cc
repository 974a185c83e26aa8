// llama4: three layers of four see the chunk of the text that they are in; the fourth sees all,
// knows no positions, and its queries grow with theirs. Heads of the others' q and k are normed
// without weights behind RoPE, but in the model of 128 experts. Every so many layers have experts,
// of which a token's reads it times a sigmoid, beside one that every token uses.
#include <fmt/core.h>

#include <string>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

constexpr std::size_t kPattern = 4;
// What files do not say.
constexpr std::size_t kChunk = 8192;
constexpr float kTemperatureScale = 0.1F;
constexpr std::size_t kTemperatureLength = 8192;
constexpr std::size_t kExpertsWithoutNorm = 128;

}  // namespace

Result<ModelConfig> read_llama4(const formats::GgufFile& file) {
  const std::string prefix = "llama4.";
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "llama4"));
  MINERVA_ASSIGN(config.experts,
                 read_experts(file, prefix, {.normalize_chosen = false, .gate = Gate::Sigmoid}));
  config.experts.weights_input = true;
  config.experts.shared_ff_width = config.experts.ff_width;
  if (config.experts.count != kExpertsWithoutNorm) {
    config.qk_norm = QkNorm::Head;
    config.qk_norm_after_rope = true;
    config.qk_norm_plain = true;
  }
  MINERVA_ASSIGN(const std::size_t step,
                 read_count(file, prefix + "interleave_moe_layer_step", config.layers.size(), 1));
  const std::string chunk_key = prefix + "attention.sliding_window";
  MINERVA_ASSIGN(std::size_t chunk, read_window(file, prefix));
  if (chunk == 0 && file.has(chunk_key)) {
    return fail(ErrorCode::Unsupported,
                fmt::format("{} is 0; this engine's llama4 graph has chunks", chunk_key),
                chunk_key);
  }
  if (chunk == 0) chunk = kChunk;
  const std::string pattern_key = prefix + "attention.sliding_window_pattern";
  MINERVA_ASSIGN(const std::size_t pattern, read_count(file, pattern_key, 1 << 10, kPattern));
  if (pattern != kPattern) {
    return fail(ErrorCode::Unsupported,
                fmt::format("{} is {}; every {}th layer sees all in this engine's llama4 graph",
                            pattern_key, pattern, kPattern),
                pattern_key);
  }
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    LayerConfig& layer = config.layers[i];
    layer.dense = (i + 1) % step != 0;
    if ((i + 1) % kPattern == 0) {
      layer.rope = kNoRope;
    } else {
      layer.window = chunk;
      layer.chunked = true;
    }
  }
  config.temperature_without_rope = true;
  config.temperature_offset = 1;
  MINERVA_ASSIGN(const double scale,
                 read_positive(file, prefix + "attention.temperature_scale", kTemperatureScale));
  config.temperature_scale = static_cast<float>(scale);
  MINERVA_ASSIGN(
      config.temperature_length,
      read_count(file, prefix + "attention.temperature_length", kContextMax, kTemperatureLength));
  return config;
}

}  // namespace minerva::engine
