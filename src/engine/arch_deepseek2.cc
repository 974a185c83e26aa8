// deepseek2: DeepSeek V2 to V3.1, Kimi K2, GLM-4.7-Flash. Attention through latents; the first
// layers are dense, the others have experts (V2: a softmax over all; later: sigmoids with a bias in
// their choice) beside some that every token uses, in groups in the large models. YaRN, whose
// magnitude goes into the scale of attention.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

constexpr std::uint64_t kRankMax = 1 << 14;
constexpr std::size_t kCacheDimMax = 4'096;

// A file's multiplier is a tenth of the makers' number.
Result<void> read_yarn_scale(const formats::GgufFile& file, const std::string& prefix,
                             ModelConfig& config) {
  RopeConfig& rope = config.ropes[0];
  const std::string scaling = prefix + "rope.scaling.";
  if (!rope.yarn || !file.has(scaling + "yarn_log_multiplier")) return {};
  MINERVA_ASSIGN(const double tenth, file.get_float(scaling + "yarn_log_multiplier"));
  if (tenth == 0) return {};
  MINERVA_ASSIGN(rope.magnitude, read_positive(file, scaling + "attn_factor", 1));
  const double magnitude = 1 + tenth * std::log(std::max(rope.yarn->factor, 1.0));
  config.attention_scale *= static_cast<float>(magnitude * magnitude);
  return {};
}

}  // namespace

Result<void> read_latent(const formats::GgufFile& file, const std::string& prefix,
                         std::size_t value_dim, ModelConfig& config) {
  const std::string attention = prefix + "attention.";
  LatentConfig& latent = config.latent;
  MINERVA_TRY(file.get_uint(attention + "kv_lora_rank"));  // it must be there
  MINERVA_ASSIGN(latent.rank, read_count(file, attention + "kv_lora_rank", kRankMax, 0));
  MINERVA_ASSIGN(latent.query_rank, read_count(file, attention + "q_lora_rank", kRankMax, 0));
  // Files whose heads are one of the latent's dimension say the others' in keys of their own.
  const char* mla = file.has(attention + "key_length_mla") ? "_mla" : "";
  MINERVA_TRY(file.get_uint(attention + "key_length" + mla));
  if (value_dim == 0) MINERVA_TRY(file.get_uint(attention + "value_length" + mla));
  MINERVA_ASSIGN(const std::size_t key_dim,
                 read_count(file, attention + "key_length" + mla, kCacheDimMax, 0));
  MINERVA_ASSIGN(latent.value_dim,
                 read_count(file, attention + "value_length" + mla, kCacheDimMax, value_dim));
  MINERVA_ASSIGN(RopeConfig rope, read_rope(file, prefix, key_dim));
  latent.plain = key_dim - rope.n_rot;
  config.kv_heads = 1;
  config.head_dim = latent.rank + rope.n_rot;
  if (latent.plain == 0 || latent.rank % 16 != 0 || latent.value_dim % 16 != 0 ||
      config.head_dim % 16 != 0 || config.head_dim > kCacheDimMax) {
    return fail(
        ErrorCode::Unsupported,
        fmt::format("{}: keys of {} values, of which {} rotate, values of {} and a latent "
                    "of {}; this engine runs multiples of 16 that are {} together at most",
                    attention, key_dim, rope.n_rot, latent.value_dim, latent.rank, kCacheDimMax),
        attention + "kv_lora_rank");
  }
  config.attention_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(key_dim)));
  config.ropes.push_back(std::move(rope));
  return {};
}

Result<ModelConfig> read_deepseek2(const formats::GgufFile& file) {
  const std::string prefix = "deepseek2.";
  MINERVA_ASSIGN(ModelConfig config, read_base(file, "deepseek2"));
  MINERVA_TRY(read_draft_layers(file, config));
  MINERVA_TRY(read_latent(file, prefix, 0, config));
  MINERVA_TRY(read_yarn_scale(file, prefix, config));
  if (file.has(prefix + "attention.temperature_scale")) {
    return fail(ErrorCode::Unsupported,
                prefix +
                    "attention.temperature_scale is there; this engine's deepseek2 graph has "
                    "queries that do not grow",
                prefix + "attention.temperature_scale");
  }
  MINERVA_ASSIGN(const bool experts, has_experts(file, prefix));
  if (!experts) return config;
  MINERVA_ASSIGN(
      config.experts,
      read_experts(file, prefix, {.normalize_chosen = false, .either_gate = true, .groups = true}));
  MINERVA_TRY(read_shared_expert(file, prefix, false, config.experts));
  MINERVA_TRY(read_dense_layers(file, config));
  const std::size_t last = config.layers.size() - 1;
  config.experts.choice_bias = has_layer_tensor(file, "exp_probs_b.bias", last);
  return config;
}

}  // namespace minerva::engine
