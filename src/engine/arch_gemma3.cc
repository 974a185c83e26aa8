// gemma3: five sliding-window layers to one that sees all, each kind with its own RoPE base; RMS
// norms of q and k and of both branches' outputs; embeddings scaled by sqrt(width); tanh GELU. The
// converter has already added 1 to the norm weights.
#include <fmt/core.h>

#include <cmath>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

// What files leave out: every sixth layer sees all, and the others' RoPE base.
constexpr std::uint64_t kPattern = 6;
constexpr double kLocalRopeBase = 10'000;
constexpr std::size_t kLayersOf27B = 62;
constexpr std::uint64_t kWindowMax = 1 << 24;

}  // namespace

Result<ModelConfig> read_gemma3(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "gemma3"));
  config.activation = Activation::GeluTanh;
  config.qk_norm = true;
  config.post_norms = true;
  config.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(config.width)));
  if (config.layers.size() == kLayersOf27B) {
    // The 27B model scales by its width per head, not by the head's dimension.
    config.attention_scale = static_cast<float>(
        1 / std::sqrt(static_cast<double>(config.width) / static_cast<double>(config.heads)));
  }
  MINERVA_ASSIGN(const std::uint64_t window, file.get_uint("gemma3.attention.sliding_window"));
  if (window == 0 || window > kWindowMax) {
    return fail(
        ErrorCode::InvalidModel,
        fmt::format("gemma3.attention.sliding_window is {}, outside 1 to {}", window, kWindowMax));
  }
  config.ropes[0].halves = true;
  RopeConfig local = config.ropes[0];
  MINERVA_ASSIGN(local.base, file.get_float_or("gemma3.rope.freq_base_swa", kLocalRopeBase));
  if (!std::isfinite(local.base) || local.base <= 0) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("gemma3.rope.freq_base_swa is {}, not a positive number", local.base));
  }
  local.frequency_scale = 1;
  local.factors.clear();
  config.ropes.push_back(std::move(local));
  MINERVA_ASSIGN(const std::uint64_t pattern,
                 file.get_uint_or("gemma3.attention.sliding_window_pattern", kPattern));
  if (pattern == 0) {
    return fail(ErrorCode::InvalidModel, "gemma3.attention.sliding_window_pattern is 0");
  }
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    const bool global = (i + 1) % pattern == 0;
    config.layers[i] = {global ? 0 : static_cast<std::size_t>(window), global ? 0U : 1U};
  }
  return config;
}

}  // namespace minerva::engine
