// qwen3next (Qwen3-Next), and qwen35 and qwen35moe (Qwen3.5's language models; for text the three
// positions of a token are the same): gated delta rules in most layers' place of attention, whose
// output has a gate in the others. Norms of each head's q and k; the MoEs have a shared expert, of
// which a token takes as much as a router of its own says.
#include <fmt/core.h>

#include <string>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

constexpr std::uint64_t kHeadsMax = 1'024;
constexpr std::uint64_t kDimMax = 1'024;
constexpr std::uint64_t kInnerMax = 1 << 20;
constexpr std::uint64_t kIntervalMax = 1'024;
constexpr std::size_t kInterval = 4;  // where the file says nothing

Result<std::size_t> count_of(const formats::GgufFile& file, const std::string& key,
                             std::uint64_t max) {
  MINERVA_TRY(file.get_uint(key));  // it must be there
  return read_count(file, key, max, 0);
}

Result<DeltaConfig> read_delta(const formats::GgufFile& file, const std::string& prefix) {
  DeltaConfig delta;
  MINERVA_ASSIGN(delta.taps, count_of(file, prefix + "ssm.conv_kernel", kTapsMax));
  MINERVA_ASSIGN(delta.key_heads, count_of(file, prefix + "ssm.group_count", kHeadsMax));
  MINERVA_ASSIGN(delta.value_heads, count_of(file, prefix + "ssm.time_step_rank", kHeadsMax));
  MINERVA_ASSIGN(delta.key_dim, count_of(file, prefix + "ssm.state_size", kDimMax));
  MINERVA_ASSIGN(const std::size_t inner, count_of(file, prefix + "ssm.inner_size", kInnerMax));
  delta.value_dim = inner / delta.value_heads;
  if (delta.value_heads % delta.key_heads != 0 || inner % delta.value_heads != 0) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{0}ssm.time_step_rank is {1}, and must be a multiple of "
                            "ssm.group_count, {2}, and divide ssm.inner_size, {3}",
                            prefix, delta.value_heads, delta.key_heads, inner),
                prefix + "ssm.time_step_rank");
  }
  if (delta.key_dim % 16 != 0 || delta.value_dim % 16 != 0 || inner % 32 != 0 ||
      delta.value_dim > kDimMax) {
    return fail(ErrorCode::Unsupported,
                fmt::format("{0}ssm.state_size is {1}, and ssm.inner_size {2} for {3} heads; this "
                            "engine runs heads that are multiples of 16 of up to {4}",
                            prefix, delta.key_dim, inner, delta.value_heads, kDimMax),
                prefix + "ssm.state_size");
  }
  return delta;
}

// Which layers have a delta rule: a list says so, or all but every `interval`-th one.
Result<void> read_kinds(const formats::GgufFile& file, const std::string& prefix,
                        ModelConfig& config) {
  const std::string list = prefix + "attention.recurrent_layers";
  if (file.has(list)) {
    MINERVA_ASSIGN(const auto recurrent, file.get_bools(list));
    if (recurrent.size() != config.layers.size() + config.draft_layers) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("{} has {} values; the file has {} layers", list, recurrent.size(),
                              config.layers.size() + config.draft_layers),
                  list);
    }
    for (std::size_t i = 0; i < config.layers.size(); ++i) config.layers[i].delta = recurrent[i];
    return {};
  }
  MINERVA_ASSIGN(const std::size_t interval,
                 read_count(file, prefix + "full_attention_interval", kIntervalMax, kInterval));
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    config.layers[i].delta = (i + 1) % interval != 0;
  }
  return {};
}

Result<ModelConfig> read_any(const formats::GgufFile& file, const std::string& architecture) {
  const std::string prefix = architecture + ".";
  MINERVA_ASSIGN(ModelConfig config, read_common(file, architecture));
  config.ropes[0].halves = true;
  config.qk_norm = QkNorm::Head;
  config.attention_gate = true;
  config.ff_norm_name = "post_attention_norm";
  MINERVA_TRY(read_draft_layers(file, config));
  MINERVA_ASSIGN(config.delta, read_delta(file, prefix));
  MINERVA_TRY(read_kinds(file, prefix, config));
  return config;
}

Result<void> read_routing(const formats::GgufFile& file, ModelConfig& config) {
  const std::string prefix = config.architecture + ".";
  MINERVA_ASSIGN(config.experts, read_experts(file, prefix, {}));
  MINERVA_TRY(read_shared_expert(file, prefix, true, config.experts));
  config.experts.shared_gate = true;
  return {};
}

}  // namespace

Result<ModelConfig> read_qwen3next(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_any(file, "qwen3next"));
  MINERVA_TRY(read_routing(file, config));
  return config;
}

Result<ModelConfig> read_qwen35(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_any(file, "qwen35"));
  config.delta.spread = true;
  return config;
}

Result<ModelConfig> read_qwen35moe(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_any(file, "qwen35moe"));
  config.delta.spread = true;
  MINERVA_TRY(read_routing(file, config));
  return config;
}

}  // namespace minerva::engine
