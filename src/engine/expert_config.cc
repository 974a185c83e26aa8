// What a model's metadata says of its experts.
#include <fmt/core.h>

#include <string>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

constexpr std::uint64_t kExpertsMax = 1'024;
constexpr std::uint64_t kWidthMax = 1 << 20;

// How llama.cpp's files name the functions that turn a router's logits into weights.
constexpr std::uint64_t kGateUnsaid = 0;
constexpr std::uint64_t kGateSoftmax = 1;
constexpr std::uint64_t kGateSigmoid = 2;
constexpr std::uint64_t kGateSoftmaxOfChosen = 3;

Result<std::size_t> count_of(const formats::GgufFile& file, const std::string& key,
                             std::uint64_t max) {
  MINERVA_TRY(file.get_uint(key));  // it must be there
  return read_count(file, key, max, 0);
}

Result<Gate> read_gate(const formats::GgufFile& file, const std::string& prefix,
                       const RouterTraits& traits, bool normalize_chosen) {
  const std::string key = prefix + "expert_gating_func";
  MINERVA_ASSIGN(const std::uint64_t gate, file.get_uint_or(key, kGateUnsaid));
  const auto may_be = [&](Gate kind) { return traits.either_gate || traits.gate == kind; };
  if (gate == kGateUnsaid) return traits.gate;
  if (gate == kGateSigmoid && may_be(Gate::Sigmoid)) return Gate::Sigmoid;
  if (gate == kGateSoftmax && may_be(Gate::Softmax)) return Gate::Softmax;
  if (gate == kGateSoftmaxOfChosen && normalize_chosen && may_be(Gate::Softmax)) {
    return Gate::Softmax;
  }
  const char* softmax = normalize_chosen ? "a softmax (1 or 3)" : "a softmax (1)";
  return fail(
      ErrorCode::Unsupported,
      fmt::format("{} is {}; this engine's routers of this architecture take {}{}{}", key, gate,
                  may_be(Gate::Softmax) ? softmax : "", traits.either_gate ? " or " : "",
                  may_be(Gate::Sigmoid) ? "a sigmoid (2)" : ""),
      key);
}

Result<void> read_groups(const formats::GgufFile& file, const std::string& prefix,
                         const RouterTraits& traits, ExpertsConfig& config) {
  const std::string key = prefix + "expert_group_count";
  MINERVA_ASSIGN(const std::uint64_t groups, file.get_uint_or(key, 0));
  if (groups <= 1) return {};
  if (!traits.groups) {
    return fail(ErrorCode::Unsupported,
                fmt::format("{} is {}; this engine chooses among all experts at once", key, groups),
                key);
  }
  MINERVA_ASSIGN(const std::size_t used,
                 count_of(file, prefix + "expert_group_used_count", kExpertsMax));
  if (groups > kExpertsUsedMax || config.count % groups != 0 || used > groups ||
      config.count / groups * used < config.used) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} is {} and expert_group_used_count {}; {} experts, of which a token "
                            "uses {}, cannot be grouped like that",
                            key, groups, used, config.count, config.used),
                key);
  }
  config.groups = static_cast<std::size_t>(groups);
  config.groups_used = used;
  // DeepSeek V3's way with sigmoids, and V2's with a softmax.
  config.group_best = config.gate == Gate::Sigmoid ? 2 : 1;
  return {};
}

}  // namespace

Result<bool> has_experts(const formats::GgufFile& file, const std::string& prefix) {
  MINERVA_ASSIGN(const std::uint64_t count, file.get_uint_or(prefix + "expert_count", 0));
  return count > 0;
}

Result<ExpertsConfig> read_experts(const formats::GgufFile& file, const std::string& prefix,
                                   const RouterTraits& traits) {
  ExpertsConfig config;
  const std::string used_key = prefix + "expert_used_count";
  MINERVA_ASSIGN(config.count, count_of(file, prefix + "expert_count", kExpertsMax));
  MINERVA_ASSIGN(config.used, count_of(file, used_key, kExpertsMax));
  if (config.used > config.count || config.used > kExpertsUsedMax) {
    return fail(
        ErrorCode::InvalidModel,
        fmt::format("{} is {}; the model has {} experts, and this engine takes up to {} for "
                    "a token",
                    used_key, config.used, config.count, kExpertsUsedMax),
        used_key);
  }
  const bool own_width = file.has(prefix + "expert_feed_forward_length");
  MINERVA_ASSIGN(
      config.ff_width,
      count_of(file, prefix + (own_width ? "expert_" : "") + "feed_forward_length", kWidthMax));
  MINERVA_ASSIGN(config.normalize_chosen,
                 file.get_bool_or(prefix + "expert_weights_norm", traits.normalize_chosen));
  MINERVA_ASSIGN(const double scale, file.get_float_or(prefix + "expert_weights_scale", 0));
  if (scale != 0) {  // 0 is how files say that there is none
    MINERVA_ASSIGN(const double positive, read_positive(file, prefix + "expert_weights_scale", 1));
    config.weight_scale = static_cast<float>(positive);
  }
  MINERVA_ASSIGN(config.gate, read_gate(file, prefix, traits, config.normalize_chosen));
  MINERVA_TRY(read_groups(file, prefix, traits, config));
  return config;
}

Result<void> read_shared_expert(const formats::GgufFile& file, const std::string& prefix,
                                bool must_be, ExpertsConfig& config) {
  const std::string width_key = prefix + "expert_shared_feed_forward_length";
  const std::string count_key = prefix + "expert_shared_count";
  if (must_be || file.has(width_key)) {
    MINERVA_ASSIGN(config.shared_ff_width, count_of(file, width_key, kWidthMax));
    return {};
  }
  MINERVA_ASSIGN(const std::uint64_t count, file.get_uint_or(count_key, 0));
  if (count > kExpertsMax) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} is {}, outside 0 to {}", count_key, count, kExpertsMax), count_key);
  }
  config.shared_ff_width = static_cast<std::size_t>(count) * config.ff_width;
  return {};
}

Result<void> read_dense_layers(const formats::GgufFile& file, ModelConfig& config) {
  const std::string key = config.architecture + ".leading_dense_block_count";
  MINERVA_ASSIGN(const std::uint64_t dense, file.get_uint_or(key, 0));
  if (dense >= config.layers.size()) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} is {}; the model has {} layers, and some must have experts", key,
                            dense, config.layers.size()),
                key);
  }
  for (std::size_t i = 0; i < dense; ++i) config.layers[i].dense = true;
  return {};
}

Result<void> read_draft_layers(const formats::GgufFile& file, ModelConfig& config) {
  const std::string key = config.architecture + ".nextn_predict_layers";
  MINERVA_ASSIGN(const std::uint64_t drafts, file.get_uint_or(key, 0));
  if (drafts >= config.layers.size()) {
    return fail(
        ErrorCode::InvalidModel,
        fmt::format("{} is {}; the file has {} layers in all", key, drafts, config.layers.size()),
        key);
  }
  config.draft_layers = static_cast<std::size_t>(drafts);
  config.layers.resize(config.layers.size() - config.draft_layers);
  return {};
}

}  // namespace minerva::engine
