#include "engine/model_config.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace minerva::engine {
namespace {

using formats::GgufFile;

// Bounds that no real model comes near; they keep every product below far from overflow.
constexpr std::uint64_t kLayersMax = 1'024;
constexpr std::uint64_t kWidthMax = 1 << 20;
constexpr std::uint64_t kHeadsMax = 4'096;
constexpr std::uint64_t kHeadDimMax = 4'096;
constexpr std::uint64_t kWindowMax = 1 << 24;
constexpr std::uint64_t kPatternMax = 1 << 10;
// A float holds them, their inverses and their products with any sane number.
constexpr double kNumberMin = 1e-20;
constexpr double kNumberMax = 1e20;

struct Architecture {
  std::string_view name;
  Result<ModelConfig> (*read)(const GgufFile&);
};
constexpr std::array kArchitectures = {
    Architecture{"llama", read_llama},
    Architecture{"mistral3", read_mistral3},
    Architecture{"qwen2", read_qwen2},
    Architecture{"qwen3", read_qwen3},
    Architecture{"qwen2moe", read_qwen2moe},
    Architecture{"qwen3moe", read_qwen3moe},
    Architecture{"gpt-oss", read_gpt_oss},
    Architecture{"gemma2", read_gemma2},
    Architecture{"gemma3", read_gemma3},
    Architecture{"phi3", read_phi3},
    Architecture{"granite", read_granite},
    Architecture{"command-r", read_command_r},
    Architecture{"cohere2", read_cohere2},
    Architecture{"olmo2", read_olmo2},
    Architecture{"smollm3", read_smollm3},
    Architecture{"stablelm", read_stablelm},
    Architecture{"starcoder2", read_starcoder2},
    Architecture{"glm4", read_glm4},
    Architecture{"qwen2vl", read_qwen2vl},
    Architecture{"qwen3next", read_qwen3next},
    Architecture{"qwen35", read_qwen35},
    Architecture{"qwen35moe", read_qwen35moe},
    Architecture{"qwen3vl", read_qwen3vl},
    Architecture{"qwen3vlmoe", read_qwen3vlmoe},
    Architecture{"gemma", read_gemma},
    Architecture{"gemma4", read_gemma4},
    Architecture{"seed_oss", read_seed_oss},
    Architecture{"arcee", read_arcee},
    Architecture{"nemotron", read_nemotron},
    Architecture{"exaone4", read_exaone4},
    Architecture{"hunyuan-dense", read_hunyuan_dense},
    Architecture{"hunyuan-moe", read_hunyuan_moe},
    Architecture{"ernie4_5", read_ernie4_5},
    Architecture{"ernie4_5-moe", read_ernie4_5_moe},
    Architecture{"olmoe", read_olmoe},
    Architecture{"granitemoe", read_granitemoe},
    Architecture{"glm4moe", read_glm4moe},
    Architecture{"dots1", read_dots1},
    Architecture{"lfm2", read_lfm2},
    Architecture{"lfm2moe", read_lfm2moe},
    Architecture{"deepseek2", read_deepseek2},
    Architecture{"exaone", read_exaone},
    Architecture{"llama4", read_llama4},
    Architecture{"phimoe", read_phimoe},
    Architecture{"minimax-m2", read_minimax_m2},
    Architecture{"apertus", read_apertus},
    Architecture{"internlm2", read_internlm2},
    Architecture{"minicpm", read_minicpm},
    Architecture{"minicpm3", read_minicpm3},
    Architecture{"bailingmoe2", read_bailingmoe2},
};

Result<std::size_t> count(const GgufFile& file, const std::string& key, std::uint64_t max) {
  MINERVA_ASSIGN(const std::uint64_t value, file.get_uint(key));
  if (value == 0 || value > max) {
    return fail(ErrorCode::InvalidModel, fmt::format("{} is {}, outside 1 to {}", key, value, max),
                key);
  }
  return static_cast<std::size_t>(value);
}

Result<float> positive_float(const GgufFile& file, const std::string& key, double otherwise) {
  MINERVA_ASSIGN(const double value, read_positive(file, key, otherwise));
  return static_cast<float>(value);
}

// Scales of granite, gemma2 and others; each is 1 or off where the file has none.
Result<void> read_scales(const GgufFile& file, const std::string& prefix, ModelConfig& config) {
  const double scale = 1 / std::sqrt(static_cast<double>(config.head_dim));
  MINERVA_ASSIGN(config.attention_scale, positive_float(file, prefix + "attention.scale", scale));
  MINERVA_ASSIGN(config.embedding_scale, positive_float(file, prefix + "embedding_scale", 1));
  MINERVA_ASSIGN(config.residual_scale, positive_float(file, prefix + "residual_scale", 1));
  return {};
}

// A window that the architecture's graph does not have would be dropped in silence.
Result<void> refuse_unused_window(const GgufFile& file, const ModelConfig& config) {
  MINERVA_ASSIGN(const std::size_t window, read_window(file, config.architecture + "."));
  if (window == 0 || window >= config.trained_context) return {};
  for (const LayerConfig& layer : config.layers) {
    if (layer.window != 0) return {};
  }
  return fail(ErrorCode::Unsupported,
              fmt::format("{}.attention.sliding_window is {}; this engine's {} graph has no window",
                          config.architecture, window, config.architecture));
}

Result<void> refuse_unused_experts(const GgufFile& file, const ModelConfig& config) {
  MINERVA_ASSIGN(const bool experts, has_experts(file, config.architecture + "."));
  if (!experts || config.experts.count != 0) return {};
  return fail(ErrorCode::Unsupported,
              fmt::format("{0}.expert_count is over 0; this engine's {0} graph has no experts",
                          config.architecture),
              config.architecture + ".expert_count");
}

// Decoders that were made into encoders see the whole text.
Result<void> refuse_whole_sight(const GgufFile& file, const ModelConfig& config) {
  const std::string key = config.architecture + ".attention.causal";
  MINERVA_ASSIGN(const bool causal, file.get_bool_or(key, true));
  if (causal) return {};
  return fail(
      ErrorCode::Unsupported,
      fmt::format("{} is false; in this engine's {} graph a token sees those before it only", key,
                  config.architecture),
      key);
}

Result<std::size_t> vocabulary_size(const GgufFile& file) {
  const formats::GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) {
    return fail(ErrorCode::InvalidModel, "the file has no tensor token_embd.weight");
  }
  const std::uint64_t rows = embedding->dims[1];
  if (embedding->n_dims != 2 || rows == 0 || rows > (1U << 24)) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("token_embd.weight has {} rows in {} dimensions; expected 2 dimensions "
                            "and 1 to {} rows",
                            rows, embedding->n_dims, 1U << 24));
  }
  return static_cast<std::size_t>(rows);
}

}  // namespace

Result<std::size_t> read_count(const GgufFile& file, const std::string& key, std::uint64_t max,
                               std::size_t otherwise) {
  if (!file.has(key)) return otherwise;
  return count(file, key, max);
}

Result<std::vector<std::size_t>> read_counts(const GgufFile& file, const std::string& key,
                                             std::uint64_t max, std::size_t layers) {
  const auto list = file.get_ints(key);
  if (!list) {
    MINERVA_ASSIGN(const std::size_t value, count(file, key, max));
    return std::vector<std::size_t>(layers, value);
  }
  if (list->size() != layers) {
    return fail(
        ErrorCode::InvalidModel,
        fmt::format("{} has {} numbers; the model has {} layers", key, list->size(), layers), key);
  }
  std::vector<std::size_t> values;
  for (const std::int64_t value : *list) {
    if (value < 1 || static_cast<std::uint64_t>(value) > max) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("{} has a {}, outside 1 to {}", key, value, max), key);
    }
    values.push_back(static_cast<std::size_t>(value));
  }
  return values;
}

Result<double> read_positive(const GgufFile& file, const std::string& key, double otherwise) {
  if (!file.has(key)) return otherwise;
  MINERVA_ASSIGN(const double value, file.get_float(key));
  if (!(value >= kNumberMin && value <= kNumberMax)) {  // NaN is neither
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} is {}, not a positive number from {} to {}", key, value, kNumberMin,
                            kNumberMax),
                key);
  }
  return value;
}

Result<std::size_t> read_window(const GgufFile& file, const std::string& prefix) {
  const std::string key = prefix + "attention.sliding_window";
  MINERVA_ASSIGN(const std::uint64_t window, file.get_uint_or(key, 0));
  if (window > kWindowMax) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} is {}, outside 0 to {}", key, window, kWindowMax), key);
  }
  return static_cast<std::size_t>(window);
}

Result<void> set_windows(const GgufFile& file, std::size_t pattern, ModelConfig& config) {
  const std::string prefix = config.architecture + ".";
  MINERVA_ASSIGN(const std::size_t window, read_window(file, prefix));
  if (window == 0) {
    return fail(
        ErrorCode::InvalidModel,
        fmt::format("{}attention.sliding_window is missing or 0; most layers need it", prefix),
        prefix + "attention.sliding_window");
  }
  const std::string pattern_key = prefix + "attention.sliding_window_pattern";
  if (const auto windowed = file.get_bools(pattern_key)) {
    if (windowed->size() != config.layers.size()) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("{} has {} values; the model has {} layers", pattern_key,
                              windowed->size(), config.layers.size()),
                  pattern_key);
    }
    for (std::size_t i = 0; i < windowed->size(); ++i) {
      config.layers[i].window = (*windowed)[i] ? window : 0;
    }
    return {};
  }
  MINERVA_ASSIGN(const std::size_t every, read_count(file, pattern_key, kPatternMax, pattern));
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    config.layers[i].window = (i + 1) % every == 0 ? 0 : window;
  }
  return {};
}

bool has_layer_tensor(const GgufFile& file, std::string_view name, std::size_t layer) {
  return file.find_tensor(fmt::format("blk.{}.{}", layer, name)) != nullptr;
}

Result<ModelConfig> read_base(const GgufFile& file, std::string_view architecture, NormKind norm) {
  ModelConfig config;
  config.norm = norm;
  config.architecture = architecture;
  const std::string prefix = std::string(architecture) + ".";
  if (auto name = file.get_string("general.name")) config.name = *name;

  MINERVA_ASSIGN(const std::size_t layers, count(file, prefix + "block_count", kLayersMax));
  MINERVA_ASSIGN(config.width, count(file, prefix + "embedding_length", kWidthMax));
  // Files of models whose layers all have experts may leave the dense width out.
  const std::string ff_key = prefix + "feed_forward_length";
  const std::string expert_key = prefix + "expert_feed_forward_length";
  const bool experts_only = !file.has(ff_key) && file.has(expert_key);
  MINERVA_ASSIGN(const auto ff_widths,
                 read_counts(file, experts_only ? expert_key : ff_key, kWidthMax, layers));
  config.ff_width = std::ranges::max(ff_widths);
  MINERVA_ASSIGN(config.trained_context, count(file, prefix + "context_length", kContextMax));
  MINERVA_ASSIGN(config.heads, count(file, prefix + "attention.head_count", kHeadsMax));
  const char* eps =
      norm == NormKind::Rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
  MINERVA_ASSIGN(config.norm_eps, positive_float(file, prefix + eps, 1e-5));
  MINERVA_ASSIGN(config.vocabulary, vocabulary_size(file));
  config.layers.resize(layers);
  for (std::size_t i = 0; i < layers; ++i) config.layers[i].ff_width = ff_widths[i];
  return config;
}

Result<ModelConfig> read_common(const GgufFile& file, std::string_view architecture,
                                NormKind norm) {
  MINERVA_ASSIGN(ModelConfig config, read_base(file, architecture, norm));
  const std::string prefix = config.architecture + ".";
  MINERVA_ASSIGN(config.kv_heads,
                 read_count(file, prefix + "attention.head_count_kv", kHeadsMax, config.heads));
  if (config.heads % config.kv_heads != 0) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}attention.head_count is {}, not a multiple of head_count_kv, {}",
                            prefix, config.heads, config.kv_heads));
  }
  if (!file.has(prefix + "attention.key_length") && config.width % config.heads != 0) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}embedding_length is {}, not a multiple of attention.head_count, {}",
                            prefix, config.width, config.heads));
  }
  MINERVA_ASSIGN(config.head_dim, read_count(file, prefix + "attention.key_length", kHeadDimMax,
                                             config.width / config.heads));
  MINERVA_ASSIGN(const std::size_t value_dim,
                 read_count(file, prefix + "attention.value_length", kHeadDimMax, config.head_dim));
  if (value_dim != config.head_dim || config.head_dim % 16 != 0) {
    return fail(ErrorCode::Unsupported,
                fmt::format("heads of {} key and {} value dimensions; this engine runs equal ones "
                            "that are multiples of 16",
                            config.head_dim, value_dim));
  }
  MINERVA_TRY(read_scales(file, prefix, config));
  MINERVA_ASSIGN(RopeConfig rope, read_rope(file, prefix, config.head_dim));
  config.ropes.push_back(std::move(rope));
  return config;
}

std::size_t widest_kv(const ModelConfig& config) {
  std::size_t widest = 0;
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    widest = std::max(widest, kv_heads_of(config, i) * head_dim_of(config, i));
  }
  return widest;
}

std::size_t attended_width(const ModelConfig& config) {
  std::size_t widest = config.heads * config.head_dim;
  if (has_convolutions(config)) widest = std::max(widest, config.width);
  return std::max(widest, config.delta.value_heads * config.delta.value_dim);
}

bool has_convolutions(const ModelConfig& config) {
  return std::ranges::any_of(config.layers,
                             [](const LayerConfig& layer) { return layer.convolution != 0; });
}

std::span<const std::string_view> supported_architectures() {
  static constexpr auto kNames = [] {
    std::array<std::string_view, kArchitectures.size()> names;
    for (std::size_t i = 0; i < names.size(); ++i) names[i] = kArchitectures[i].name;
    return names;
  }();
  return kNames;
}

Result<ModelConfig> read_config(const GgufFile& file) {
  MINERVA_ASSIGN(const std::string_view name, file.get_string("general.architecture"));
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name != name) {
      known += (known.empty() ? "" : ", ") + std::string(architecture.name);
      continue;
    }
    MINERVA_ASSIGN(ModelConfig config, architecture.read(file));
    MINERVA_TRY(refuse_unused_window(file, config));
    MINERVA_TRY(refuse_unused_experts(file, config));
    MINERVA_TRY(refuse_whole_sight(file, config));
    const auto dense = [](const LayerConfig& layer) { return layer.dense; };
    if (config.experts.count != 0 && !config.experts.beside_dense &&
        std::ranges::none_of(config.layers, dense)) {
      config.ff_width = 0;
      for (LayerConfig& layer : config.layers) layer.ff_width = 0;
    }
    return config;
  }
  return fail(ErrorCode::Unsupported,
              fmt::format("the model's architecture is \"{}\"; this engine runs {}", name, known),
              "general.architecture");
}

}  // namespace minerva::engine
