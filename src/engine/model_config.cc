#include "engine/model_config.h"

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <cstring>

namespace minerva::engine {
namespace {

using formats::GgufFile;

// Bounds that no real model comes near; they keep every product below far from overflow.
constexpr std::uint64_t kLayersMax = 1'024;
constexpr std::uint64_t kWidthMax = 1 << 20;
constexpr std::uint64_t kHeadsMax = 4'096;
constexpr std::uint64_t kHeadDimMax = 4'096;
constexpr std::uint64_t kContextMax = std::uint64_t{1} << 32;

struct Architecture {
  std::string_view name;
  Result<ModelConfig> (*read)(const GgufFile&);
};
constexpr std::array kArchitectures = {
    Architecture{"llama", read_llama},
    Architecture{"gemma3", read_gemma3},
};

Result<std::size_t> count(const GgufFile& file, const std::string& key, std::uint64_t max) {
  MINERVA_ASSIGN(const std::uint64_t value, file.get_uint(key));
  if (value == 0 || value > max) {
    return fail(ErrorCode::InvalidModel, fmt::format("{} is {}, outside 1 to {}", key, value, max),
                key);
  }
  return static_cast<std::size_t>(value);
}

// A count that may be missing.
Result<std::size_t> count_or(const GgufFile& file, const std::string& key, std::uint64_t max,
                             std::size_t otherwise) {
  if (!file.has(key)) return otherwise;
  return count(file, key, max);
}

Result<double> positive_or(const GgufFile& file, const std::string& key, double otherwise) {
  if (!file.has(key)) return otherwise;
  MINERVA_ASSIGN(const double value, file.get_float(key));
  if (!std::isfinite(value) || value <= 0) {
    return fail(ErrorCode::InvalidModel, fmt::format("{} is {}, not a positive number", key, value),
                key);
  }
  return value;
}

Result<void> read_rope_scaling(const GgufFile& file, const std::string& prefix, RopeConfig& rope) {
  const std::string key = prefix + "rope.scaling.type";
  if (!file.has(key)) {
    MINERVA_ASSIGN(const double linear, positive_or(file, prefix + "rope.scale_linear", 1));
    rope.frequency_scale = 1 / linear;
    return {};
  }
  MINERVA_ASSIGN(const std::string_view type, file.get_string(key));
  if (type == "none") return {};
  if (type == "linear") {
    MINERVA_ASSIGN(const double factor, positive_or(file, prefix + "rope.scaling.factor", 1));
    rope.frequency_scale = 1 / factor;
    return {};
  }
  return fail(ErrorCode::Unsupported,
              fmt::format("{} is \"{}\"; this engine runs none and linear", key, type), key);
}

// Llama 3.1 and later keep a divisor for each pair's frequency in a tensor.
Result<void> read_rope_factors(const GgufFile& file, RopeConfig& rope) {
  const formats::GgufTensor* tensor = file.find_tensor("rope_freqs.weight");
  if (tensor == nullptr) return {};
  if (tensor->type != formats::DType::F32 || tensor->elements() != rope.n_rot / 2) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("rope_freqs.weight has {} values, expected {} of F32",
                            tensor->elements(), rope.n_rot / 2));
  }
  rope.factors.resize(rope.n_rot / 2);
  std::memcpy(rope.factors.data(), tensor->data.data(), tensor->data.size());
  for (const float factor : rope.factors) {
    if (!std::isfinite(factor) || factor <= 0) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("rope_freqs.weight holds {}, not a positive number", factor));
    }
  }
  return {};
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

Result<ModelConfig> read_common(const GgufFile& file, std::string_view architecture) {
  ModelConfig config;
  config.architecture = architecture;
  const std::string prefix = std::string(architecture) + ".";
  if (auto name = file.get_string("general.name")) config.name = *name;

  MINERVA_ASSIGN(const std::size_t layers, count(file, prefix + "block_count", kLayersMax));
  MINERVA_ASSIGN(config.width, count(file, prefix + "embedding_length", kWidthMax));
  MINERVA_ASSIGN(config.ff_width, count(file, prefix + "feed_forward_length", kWidthMax));
  MINERVA_ASSIGN(config.trained_context, count(file, prefix + "context_length", kContextMax));
  MINERVA_ASSIGN(config.heads, count(file, prefix + "attention.head_count", kHeadsMax));
  MINERVA_ASSIGN(config.kv_heads,
                 count_or(file, prefix + "attention.head_count_kv", kHeadsMax, config.heads));
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
  MINERVA_ASSIGN(config.head_dim, count_or(file, prefix + "attention.key_length", kHeadDimMax,
                                           config.width / config.heads));
  MINERVA_ASSIGN(const std::size_t value_dim,
                 count_or(file, prefix + "attention.value_length", kHeadDimMax, config.head_dim));
  if (value_dim != config.head_dim || config.head_dim % 16 != 0) {
    return fail(ErrorCode::Unsupported,
                fmt::format("heads of {} key and {} value dimensions; this engine runs equal ones "
                            "that are multiples of 16",
                            config.head_dim, value_dim));
  }
  MINERVA_ASSIGN(const double eps,
                 positive_or(file, prefix + "attention.layer_norm_rms_epsilon", 1e-5));
  config.norm_eps = static_cast<float>(eps);
  config.attention_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(config.head_dim)));
  MINERVA_ASSIGN(config.vocabulary, vocabulary_size(file));

  RopeConfig rope;
  MINERVA_ASSIGN(rope.n_rot,
                 count_or(file, prefix + "rope.dimension_count", kHeadDimMax, config.head_dim));
  if (rope.n_rot % 2 != 0 || rope.n_rot > config.head_dim) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}rope.dimension_count is {}; it must be even and at most the head's "
                            "dimension, {}",
                            prefix, rope.n_rot, config.head_dim));
  }
  MINERVA_ASSIGN(rope.base, positive_or(file, prefix + "rope.freq_base", 10'000));
  MINERVA_TRY(read_rope_scaling(file, prefix, rope));
  MINERVA_TRY(read_rope_factors(file, rope));
  config.ropes.push_back(std::move(rope));
  config.layers.resize(layers);

  if (file.has(prefix + "expert_count")) {
    MINERVA_ASSIGN(const std::uint64_t experts, file.get_uint(prefix + "expert_count"));
    if (experts > 0) {
      return fail(ErrorCode::Unsupported,
                  fmt::format("{} with {} experts: this engine runs dense models only",
                              architecture, experts));
    }
  }
  return config;
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
    if (architecture.name == name) return architecture.read(file);
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  return fail(ErrorCode::Unsupported,
              fmt::format("the model's architecture is \"{}\"; this engine runs {}", name, known),
              "general.architecture");
}

}  // namespace minerva::engine
