// lfm2 and lfm2_moe: short convolutions in most layers' place of attention.
#include <algorithm>

#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kRules[] = {
    {"model.embedding_norm", "token_embd_norm"},
    {"model.layers.{}.operator_norm", "blk.{}.attn_norm"},
    {"model.layers.{}.ffn_norm", "blk.{}.ffn_norm"},
    {"model.layers.{}.conv.conv", "blk.{}.shortconv.conv", Change::Squeeze},
    {"model.layers.{}.conv.in_proj", "blk.{}.shortconv.in_proj"},
    {"model.layers.{}.conv.out_proj", "blk.{}.shortconv.out_proj"},
    {"model.layers.{}.self_attn.out_proj", "blk.{}.attn_output"},
    {"model.layers.{}.self_attn.q_layernorm", "blk.{}.attn_q_norm"},
    {"model.layers.{}.self_attn.k_layernorm", "blk.{}.attn_k_norm"},
    {"model.layers.{}.feed_forward.w1", "blk.{}.ffn_gate"},
    {"model.layers.{}.feed_forward.w2", "blk.{}.ffn_down"},
    {"model.layers.{}.feed_forward.w3", "blk.{}.ffn_up"},
    {"model.layers.{}.feed_forward.gate", "blk.{}.ffn_gate_inp", Change::Float},
    {"model.layers.{}.feed_forward.expert_bias", "blk.{}.exp_probs_b.bias", Change::Float, true},
    {"model.layers.{}.feed_forward.experts.{}.w1", "blk.{}.ffn_gate_exps"},
    {"model.layers.{}.feed_forward.experts.{}.w2", "blk.{}.ffn_down_exps"},
    {"model.layers.{}.feed_forward.experts.{}.w3", "blk.{}.ffn_up_exps"},
    {"lm_head", "", Change::Skip},
};

// Which layers have a convolution.
Result<void> read_kinds(FamilyWriter& out) {
  MINERVA_ASSIGN(const std::uint32_t layers, out.config.count("num_hidden_layers"));
  MINERVA_ASSIGN(const std::uint32_t heads, out.config.count("num_attention_heads"));
  MINERVA_ASSIGN(const std::uint32_t kv_heads, out.config.count_or("num_key_value_heads", heads));
  MINERVA_ASSIGN(const auto types, out.config.texts("layer_types"));
  MINERVA_ASSIGN(const auto attending, out.config.numbers("full_attn_idxs"));
  if (layers > 1024) return out.config.refuse("num_hidden_layers", "must be at most 1024");
  if (types.size() != layers && !(types.empty() && !attending.empty()))
    return out.config.refuse("layer_types", "must have a member for each layer");
  for (std::uint32_t i = 0; i < layers; ++i) {
    bool attends = std::ranges::find(attending, static_cast<float>(i)) != attending.end();
    if (!types.empty()) attends = types[i] == "full_attention";
    if (!types.empty() && !attends && types[i] != "conv")
      return out.config.refuse("layer_types", "must be conv and full_attention");
    out.kv_heads_of_layers.push_back(attends ? static_cast<std::int32_t>(kv_heads) : 0);
  }
  return {};
}

// The feed-forward's width follows from the one that is given.
Result<double> adjusted_width(const ConfigReader& config) {
  MINERVA_ASSIGN(const std::uint32_t given, config.count_of({"block_ff_dim", "intermediate_size"}));
  MINERVA_ASSIGN(const bool adjusted, config.flag_or("block_auto_adjust_ff_dim", true));
  if (!adjusted) return given;
  MINERVA_ASSIGN(const double by, config.number_or("block_ffn_dim_multiplier", 1));
  MINERVA_ASSIGN(const std::uint32_t step, config.count_or("block_multiple_of", 256));
  if (by <= 0 || by > 64 || given > (1U << 20) || step > (1U << 16))
    return config.refuse("block_ff_dim", "or block_ffn_dim_multiplier is out of range");
  const std::uint32_t two_thirds = 2 * given / 3;
  const auto scaled = static_cast<std::uint32_t>(by * two_thirds);
  return (scaled + step - 1) / step * step;
}

Result<void> write_both(FamilyWriter& out) {
  MINERVA_TRY(must_be(out.config, "conv_bias", false));
  MINERVA_TRY(must_be(out.config, "tie_embedding", true));
  MINERVA_TRY(must_be(out.config, "tie_word_embeddings", true));
  MINERVA_ASSIGN(const double epsilon, out.config.number_or("norm_eps", 1e-5));
  out.set_defaults({{"rms_norm_eps", epsilon}, {"conv_L_cache", 3}, {"rope_theta", 1e6}});
  MINERVA_TRY(read_kinds(out));
  MINERVA_TRY(write_decoder(out));
  return write_count(out, "conv_L_cache", "shortconv.l_cache");
}

Result<void> write_lfm2(FamilyWriter& out) {
  MINERVA_ASSIGN(const double width, adjusted_width(out.config));
  nlohmann::json config = out.config.json();
  config["intermediate_size"] = static_cast<std::uint32_t>(width);
  out.replace_config(std::move(config));
  return write_both(out);
}

Result<void> write_lfm2_moe(FamilyWriter& out) {
  nlohmann::json config = out.config.json();
  config["first_k_dense_replace"] = 2;
  if (config.contains("num_dense_layers")) {
    config["first_k_dense_replace"] = config["num_dense_layers"];
  }
  config.erase("n_shared_experts");
  config.erase("n_group");
  out.replace_config(std::move(config));
  out.set_defaults({{"norm_topk_prob", true}, {"routed_scaling_factor", 1.0}});
  MINERVA_TRY(must_be(out.config, "use_expert_bias", true));
  MINERVA_TRY(write_both(out));
  return write_routing(out, RouterGate::Sigmoid);
}

}  // namespace

Family lfm2_family() { return {{"lfm2"}, "lfm2", kRules, write_lfm2}; }
Family lfm2_moe_family() { return {{"lfm2_moe"}, "lfm2moe", kRules, write_lfm2_moe}; }

}  // namespace minerva::models
