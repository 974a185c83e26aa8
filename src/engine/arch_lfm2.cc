// lfm2 and lfm2moe: most layers have a short convolution between two gates in attention's place;
// the others norm each head's q and k. The MoE's first layers are dense; its scores are sigmoids
// with a bias in the choice, made to add up to 1.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

constexpr std::int64_t kHeadsMax = 4'096;
constexpr std::uint64_t kTokensMax = 16;

// Layers without KV heads have a convolution.
Result<void> read_layers(const formats::GgufFile& file, const std::string& prefix,
                         ModelConfig& config) {
  const std::string key = prefix + "attention.head_count_kv";
  MINERVA_ASSIGN(const auto kv_heads, file.get_ints(key));
  MINERVA_TRY(file.get_uint(prefix + "shortconv.l_cache"));  // it must be there
  MINERVA_ASSIGN(const std::size_t tokens,
                 read_count(file, prefix + "shortconv.l_cache", kTokensMax, 1));
  if (kv_heads.size() != config.layers.size()) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} has {} numbers; the model has {} layers", key, kv_heads.size(),
                            config.layers.size()),
                key);
  }
  for (std::size_t i = 0; i < kv_heads.size(); ++i) {
    LayerConfig& layer = config.layers[i];
    const std::int64_t heads = kv_heads[i];
    if (heads == 0) {
      layer.convolution = tokens;
      layer.window = tokens;
      layer.rope = kNoRope;
      layer.kv_heads = 1;
      layer.head_dim = config.width / 2;  // half of the values are kept as a key
      continue;
    }
    if (heads < 0 || heads > kHeadsMax || config.heads % static_cast<std::size_t>(heads) != 0) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("{} has a {}, which does not divide attention.head_count, {}", key,
                              heads, config.heads),
                  key);
    }
    layer.kv_heads = static_cast<std::size_t>(heads);
    config.kv_heads = std::max(config.kv_heads, layer.kv_heads);
  }
  return {};
}

Result<ModelConfig> read_either(const formats::GgufFile& file, const std::string& architecture) {
  const std::string prefix = architecture + ".";
  MINERVA_ASSIGN(ModelConfig config, read_base(file, architecture));
  config.head_dim = config.width / config.heads;
  if (config.width % 32 != 0 || config.width % config.heads != 0 || config.head_dim % 16 != 0) {
    return fail(ErrorCode::Unsupported,
                fmt::format("{0}embedding_length is {1} and attention.head_count {2}; this engine "
                            "runs widths and heads that are multiples of 32 and 16",
                            prefix, config.width, config.heads),
                prefix + "embedding_length");
  }
  config.kv_heads = 1;
  config.qk_norm = QkNorm::Head;
  config.attention_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(config.head_dim)));
  MINERVA_ASSIGN(RopeConfig rope, read_rope(file, prefix, config.head_dim));
  rope.halves = true;
  config.ropes.push_back(std::move(rope));
  MINERVA_TRY(read_layers(file, prefix, config));
  // The norm of the output has this name in files, by a mistake that stayed.
  if (file.find_tensor("output_norm.weight") == nullptr) {
    config.output_norm_name = "token_embd_norm";
  }
  return config;
}

}  // namespace

Result<ModelConfig> read_lfm2(const formats::GgufFile& file) { return read_either(file, "lfm2"); }

Result<ModelConfig> read_lfm2moe(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_either(file, "lfm2moe"));
  MINERVA_ASSIGN(config.experts,
                 read_experts(file, "lfm2moe.", {.gate = Gate::Sigmoid, .either_gate = true}));
  MINERVA_TRY(read_dense_layers(file, config));
  const std::size_t last = config.layers.size() - 1;
  config.experts.choice_bias = has_layer_tensor(file, "exp_probs_b.bias", last);
  return config;
}

}  // namespace minerva::engine
