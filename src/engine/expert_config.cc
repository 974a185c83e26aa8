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
constexpr std::uint64_t kGateSoftmaxOfChosen = 3;

Result<std::size_t> count_of(const formats::GgufFile& file, const std::string& key,
                             std::uint64_t max) {
  MINERVA_TRY(file.get_uint(key));  // it must be there
  return read_count(file, key, max, 0);
}

}  // namespace

Result<bool> has_experts(const formats::GgufFile& file, const std::string& prefix) {
  MINERVA_ASSIGN(const std::uint64_t count, file.get_uint_or(prefix + "expert_count", 0));
  return count > 0;
}

Result<ExpertsConfig> read_experts(const formats::GgufFile& file, const std::string& prefix,
                                   bool normalize_chosen) {
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
                 file.get_bool_or(prefix + "expert_weights_norm", normalize_chosen));
  MINERVA_ASSIGN(const double scale, file.get_float_or(prefix + "expert_weights_scale", 0));
  if (scale != 0) {  // 0 is how files say that there is none
    MINERVA_ASSIGN(const double positive, read_positive(file, prefix + "expert_weights_scale", 1));
    config.weight_scale = static_cast<float>(positive);
  }
  const std::string gate_key = prefix + "expert_gating_func";
  MINERVA_ASSIGN(const std::uint64_t gate, file.get_uint_or(gate_key, kGateUnsaid));
  const bool known = gate == kGateUnsaid || gate == kGateSoftmax ||
                     (gate == kGateSoftmaxOfChosen && config.normalize_chosen);
  if (!known) {
    return fail(ErrorCode::Unsupported,
                fmt::format("{} is {}; this engine's routers take a softmax ({})", gate_key, gate,
                            config.normalize_chosen ? "1 or 3" : "1"),
                gate_key);
  }
  const std::string groups_key = prefix + "expert_group_count";
  MINERVA_ASSIGN(const std::uint64_t groups, file.get_uint_or(groups_key, 0));
  if (groups > 1) {
    return fail(
        ErrorCode::Unsupported,
        fmt::format("{} is {}; this engine chooses among all experts at once", groups_key, groups),
        groups_key);
  }
  return config;
}

Result<void> read_shared_expert(const formats::GgufFile& file, const std::string& prefix,
                                ExpertsConfig& config) {
  MINERVA_ASSIGN(config.shared_ff_width,
                 count_of(file, prefix + "expert_shared_feed_forward_length", kWidthMax));
  return {};
}

}  // namespace minerva::engine
