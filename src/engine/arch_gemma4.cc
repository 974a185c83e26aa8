// gemma4: windows in most layers, whose heads are smaller than those of the layers that see all; in
// these only a part of a head's pairs turns, and values may be made of what keys are made of. Norms
// of q, k and v, and of both branches' input and output; each layer ends with a factor. The small
// models' layers have inputs of their own, and the last ones no keys and values; the MoE has its
// experts beside a dense feed-forward.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

constexpr std::uint64_t kHeadsMax = 4'096;
constexpr std::uint64_t kHeadDimMax = 4'096;
constexpr std::uint64_t kInputWidthMax = 1 << 14;
constexpr double kLocalRopeBase = 10'000;

Result<std::size_t> read_head_dim(const formats::GgufFile& file, const std::string& suffix) {
  const std::string key = "gemma4.attention.key_length" + suffix;
  MINERVA_TRY(file.get_uint(key));  // it must be there
  MINERVA_ASSIGN(const std::size_t dim, read_count(file, key, kHeadDimMax, 0));
  MINERVA_ASSIGN(const std::size_t value_dim,
                 read_count(file, "gemma4.attention.value_length" + suffix, kHeadDimMax, dim));
  if (dim % 16 != 0 || value_dim != dim) {
    return fail(ErrorCode::Unsupported,
                fmt::format("{} is {} and that of values {}; this engine runs equal ones that are "
                            "multiples of 16",
                            key, dim, value_dim),
                key);
  }
  return dim;
}

Result<void> read_heads(const formats::GgufFile& file, ModelConfig& config) {
  const std::string key = "gemma4.attention.head_count_kv";
  MINERVA_ASSIGN(const auto kv_heads, read_counts(file, key, kHeadsMax, config.layers.size()));
  MINERVA_ASSIGN(const std::size_t global_dim, read_head_dim(file, ""));
  MINERVA_ASSIGN(const std::size_t local_dim, read_head_dim(file, "_swa"));
  config.head_dim = std::max(global_dim, local_dim);
  config.kv_heads = std::ranges::max(kv_heads);
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    if (config.heads % kv_heads[i] != 0) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("gemma4.attention.head_count is {}, not a multiple of head_count_kv, "
                              "{} in layer {}",
                              config.heads, kv_heads[i], i),
                  key);
    }
    LayerConfig& layer = config.layers[i];
    layer.kv_heads = kv_heads[i];
    layer.head_dim = layer.window == 0 ? global_dim : local_dim;
    layer.rope = layer.window == 0 ? 0 : 1;
  }
  MINERVA_ASSIGN(RopeConfig rope, read_rope(file, "gemma4.", global_dim));
  rope.halves = true;
  RopeConfig local{.n_rot = local_dim, .halves = true};
  MINERVA_ASSIGN(local.base, read_positive(file, "gemma4.rope.freq_base_swa", kLocalRopeBase));
  MINERVA_ASSIGN(local.n_rot,
                 read_count(file, "gemma4.rope.dimension_count_swa", local_dim, local_dim));
  if (local.n_rot % 2 != 0 || local.base < 1) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("gemma4.rope.dimension_count_swa is {} and freq_base_swa {}; they must "
                            "be even and 1 or more",
                            local.n_rot, local.base),
                "gemma4.rope.dimension_count_swa");
  }
  config.ropes = {std::move(rope), std::move(local)};
  return {};
}

Result<void> read_windows(const formats::GgufFile& file, ModelConfig& config) {
  const std::string key = "gemma4.attention.sliding_window_pattern";
  MINERVA_ASSIGN(const std::size_t window, read_window(file, "gemma4."));
  MINERVA_ASSIGN(const auto windowed, file.get_bools(key));
  if (windowed.size() != config.layers.size() || window == 0) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} has {} values and attention.sliding_window is {}; the model has {} "
                            "layers, some of which need a window",
                            key, windowed.size(), window, config.layers.size()),
                key);
  }
  for (std::size_t i = 0; i < windowed.size(); ++i) {
    config.layers[i].window = windowed[i] ? window : 0;
  }
  return {};
}

// The last layers attend to what the last one of their kind before them keeps.
Result<void> read_shared_layers(const formats::GgufFile& file, ModelConfig& config) {
  const std::string key = "gemma4.attention.shared_kv_layers";
  MINERVA_ASSIGN(const std::uint64_t shared, file.get_uint_or(key, 0));
  const std::size_t layers = config.layers.size();
  for (std::size_t i = shared < layers ? layers - shared : 0; i < layers && shared != 0; ++i) {
    std::size_t source = shared < layers ? layers - static_cast<std::size_t>(shared) : 0;
    while (source > 0 &&
           (config.layers[source - 1].window == 0) != (config.layers[i].window == 0)) {
      --source;
    }
    if (source == 0 || config.layers[source - 1].kv_heads != config.layers[i].kv_heads) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("{} is {}; layer {} finds no layer of its kind among the {} first "
                              "ones",
                              key, shared, i, shared < layers ? layers - shared : 0),
                  key);
    }
    config.layers[i].shares_kv_of = source - 1;
  }
  return {};
}

}  // namespace

Result<ModelConfig> read_gemma4(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_base(file, "gemma4"));
  config.activation = Activation::GeluTanh;
  config.qk_norm = QkNorm::Head;
  config.value_norm = true;
  config.post_norms = true;
  config.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(config.width)));
  config.layer_scales = has_layer_tensor(file, "layer_output_scale.weight");
  MINERVA_TRY(read_windows(file, config));
  MINERVA_TRY(read_heads(file, config));
  MINERVA_TRY(read_shared_layers(file, config));
  if (file.has("gemma4.final_logit_softcapping")) {
    MINERVA_ASSIGN(const double cap, read_positive(file, "gemma4.final_logit_softcapping", 1));
    config.logit_softcap = static_cast<float>(cap);
  }
  const std::string input_key = "gemma4.embedding_length_per_layer_input";
  MINERVA_ASSIGN(const std::uint64_t input, file.get_uint_or(input_key, 0));
  if (input > kInputWidthMax) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} is {}, outside 0 to {}", input_key, input, kInputWidthMax),
                input_key);
  }
  config.layer_input_width = static_cast<std::size_t>(input);
  MINERVA_ASSIGN(const bool experts, has_experts(file, "gemma4."));
  if (experts) {
    MINERVA_ASSIGN(config.experts, read_experts(file, "gemma4.", {}));
    config.experts.beside_dense = true;
  }
  return config;
}

}  // namespace minerva::engine
