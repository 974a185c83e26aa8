// RoPE's shape as GGUF metadata has it: base, partial rotation, and the ways to stretch a context
// (linear, Llama 3's factors, YaRN, longrope).
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

using formats::GgufFile;

constexpr std::uint64_t kRotatedMax = 4'096;

// Divisors of the pairs' frequencies, kept in a tensor; empty where it is missing.
Result<std::vector<float>> read_factors(const GgufFile& file, const char* name, std::size_t pairs) {
  std::vector<float> factors;
  const formats::GgufTensor* tensor = file.find_tensor(name);
  if (tensor == nullptr) return factors;
  if (tensor->type != formats::DType::F32 || tensor->elements() != pairs) {
    return fail(ErrorCode::InvalidModel, fmt::format("{} has {} values, expected {} of F32", name,
                                                     tensor->elements(), pairs));
  }
  factors.resize(pairs);
  std::memcpy(factors.data(), tensor->data.data(), tensor->data.size());
  for (const float factor : factors) {
    if (!std::isfinite(factor) || factor <= 0) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("{} holds {}, not a positive number", name, factor));
    }
  }
  return factors;
}

Result<std::size_t> original_context(const GgufFile& file, const std::string& prefix) {
  const std::string key = prefix + "rope.scaling.original_context_length";
  MINERVA_ASSIGN(const std::size_t context, read_count(file, key, kContextMax, 0));
  if (context == 0) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} is missing; the file's rope scaling needs it", key), key);
  }
  return context;
}

// What attention gains from YaRN's longer context: ln of the factor, weighted.
double yarn_magnitude(double factor, double weight) {
  return factor <= 1 ? 1 : 0.1 * weight * std::log(factor) + 1;
}

Result<void> read_yarn(const GgufFile& file, const std::string& prefix, RopeConfig& rope) {
  const std::string scaling = prefix + "rope.scaling.";
  if (rope.base <= 1) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}rope.freq_base is {}; yarn needs one over 1", prefix, rope.base));
  }
  YarnConfig yarn;
  MINERVA_ASSIGN(yarn.factor, read_positive(file, scaling + "factor", 1));
  MINERVA_ASSIGN(const std::size_t context, original_context(file, prefix));
  yarn.original_context = static_cast<double>(context);
  MINERVA_ASSIGN(yarn.beta_fast, read_positive(file, scaling + "yarn_beta_fast", 32));
  MINERVA_ASSIGN(yarn.beta_slow, read_positive(file, scaling + "yarn_beta_slow", 1));
  MINERVA_ASSIGN(const double mix, file.get_float_or(scaling + "yarn_ext_factor", 1));
  if (mix != 1) {
    return fail(ErrorCode::Unsupported,
                fmt::format("{}yarn_ext_factor is {}; this engine runs 1", scaling, mix));
  }
  MINERVA_ASSIGN(const double weight, file.get_float_or(scaling + "yarn_log_multiplier", 0));
  if (!std::isfinite(weight) || weight < 0) {
    return fail(
        ErrorCode::InvalidModel,
        fmt::format("{}yarn_log_multiplier is {}, not a number from 0 on", scaling, weight));
  }
  // The whole magnitude, where the file has it; else what follows from the factor. With a
  // multiplier the softmax's scale would have taken the same back, and only the ratio is left.
  double magnitude = yarn_magnitude(yarn.factor, 1);
  if (weight > 0) magnitude /= yarn_magnitude(yarn.factor, weight);
  MINERVA_ASSIGN(magnitude, read_positive(file, scaling + "yarn_attn_factor", magnitude));
  rope.magnitude *= magnitude;
  rope.yarn = yarn;
  return {};
}

Result<void> read_scaling(const GgufFile& file, const std::string& prefix, RopeConfig& rope) {
  const std::string key = prefix + "rope.scaling.type";
  // phi3's files have the factors and no type.
  const bool factors = file.find_tensor("rope_factors_long.weight") != nullptr;
  MINERVA_ASSIGN(const std::string_view type, file.get_string_or(key, factors ? "longrope" : ""));
  if (factors && type != "longrope") {
    return fail(ErrorCode::Unsupported,
                fmt::format("{} is \"{}\", and rope_factors_long.weight is there, which longrope "
                            "alone reads",
                            key, type),
                key);
  }
  MINERVA_ASSIGN(rope.magnitude, read_positive(file, prefix + "rope.scaling.attn_factor", 1));
  if (type.empty()) {
    MINERVA_ASSIGN(const double linear, read_positive(file, prefix + "rope.scale_linear", 1));
    rope.frequency_scale = 1 / linear;
    return {};
  }
  if (type == "none") return {};
  if (type == "linear") {
    MINERVA_ASSIGN(const double factor, read_positive(file, prefix + "rope.scaling.factor", 1));
    rope.frequency_scale = 1 / factor;
    return {};
  }
  if (type == "yarn") return read_yarn(file, prefix, rope);
  if (type == "longrope") {
    MINERVA_ASSIGN(rope.factors, read_factors(file, "rope_factors_short.weight", rope.n_rot / 2));
    MINERVA_ASSIGN(rope.long_factors,
                   read_factors(file, "rope_factors_long.weight", rope.n_rot / 2));
    if (rope.factors.empty() || rope.long_factors.empty()) {
      return fail(ErrorCode::InvalidModel,
                  "longrope needs the tensors rope_factors_short.weight and "
                  "rope_factors_long.weight; the file lacks one of them");
    }
    // Files of minicpm do not say it: then it is all of the context.
    const bool said = file.has(prefix + "rope.scaling.original_context_length");
    MINERVA_ASSIGN(rope.original_context,
                   said ? original_context(file, prefix)
                        : read_count(file, prefix + "context_length", kContextMax, 0));
    return {};
  }
  return fail(
      ErrorCode::Unsupported,
      fmt::format("{} is \"{}\"; this engine runs none, linear, yarn and longrope", key, type),
      key);
}

// Angles stay within what sin_cos() takes: no pair turns by more than this a position.
Result<void> check_frequencies(const RopeConfig& rope, const std::string& prefix) {
  constexpr double kRadiansMax = 256;
  double largest = rope.frequency_scale * std::max(1.0, 1 / rope.base);
  if (rope.yarn) largest *= std::max(1.0, 1 / rope.yarn->factor);
  double divisor = 1;
  for (const float factor : rope.factors) divisor = std::min(divisor, static_cast<double>(factor));
  for (const float factor : rope.long_factors) {
    divisor = std::min(divisor, static_cast<double>(factor));
  }
  if (largest / divisor <= kRadiansMax) return {};
  return fail(
      ErrorCode::InvalidModel,
      fmt::format("{}rope.*: a pair would turn by {:.3g} radians a position; at most {} make "
                  "sense",
                  prefix, largest / divisor, kRadiansMax),
      prefix + "rope.freq_base");
}

}  // namespace

Result<RopeConfig> read_rope(const GgufFile& file, const std::string& prefix,
                             std::size_t head_dim) {
  RopeConfig rope;
  const std::string key = prefix + "rope.dimension_count";
  MINERVA_ASSIGN(rope.n_rot, read_count(file, key, kRotatedMax, head_dim));
  if (rope.n_rot % 2 != 0 || rope.n_rot > head_dim) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} is {}; it must be even and at most the head's dimension, {}", key,
                            rope.n_rot, head_dim));
  }
  MINERVA_ASSIGN(rope.base, read_positive(file, prefix + "rope.freq_base", 10'000));
  MINERVA_TRY(read_scaling(file, prefix, rope));
  // Llama 3.1 and later: whatever the type says.
  MINERVA_ASSIGN(std::vector<float> factors,
                 read_factors(file, "rope_freqs.weight", rope.n_rot / 2));
  if (!factors.empty() && (!rope.factors.empty() || rope.yarn)) {
    return fail(ErrorCode::Unsupported,
                "the file stretches its context twice: rope_freqs.weight "
                "and " +
                    prefix + "rope.scaling.type");
  }
  if (!factors.empty()) rope.factors = std::move(factors);
  MINERVA_TRY(check_frequencies(rope, prefix));
  return rope;
}

}  // namespace minerva::engine
