// Attention through latents: deepseek_v2, deepseek_v3 and glm4_moe_lite (GLM-4.7-Flash), all GGUF's
// deepseek2. One matrix makes every head's key and value of the latent (attn_kv_b).
#include "models/family.h"
#include "models/routed_rules.h"

namespace minerva::models {
namespace {

constexpr TensorRule kAttention[] = {
    {"model.layers.{}.self_attn.q_a_proj", "blk.{}.attn_q_a"},
    {"model.layers.{}.self_attn.q_a_layernorm", "blk.{}.attn_q_a_norm"},
    {"model.layers.{}.self_attn.q_b_proj", "blk.{}.attn_q_b"},
    {"model.layers.{}.self_attn.kv_a_proj_with_mqa", "blk.{}.attn_kv_a_mqa"},
    {"model.layers.{}.self_attn.kv_a_layernorm", "blk.{}.attn_kv_a_norm"},
    {"model.layers.{}.self_attn.kv_b_proj", "blk.{}.attn_kv_b"},
};
constexpr auto kRules = before_routed_rules(kAttention);

Result<void> write_attention(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(must_be(out.config, "rope_interleave", true));
  MINERVA_ASSIGN(const double step, out.config.number_or("moe_layer_freq", 1));
  if (step != 1) return out.config.refuse("moe_layer_freq", "must be 1");
  MINERVA_ASSIGN(const std::uint32_t value_dim, out.config.count("v_head_dim"));
  MINERVA_TRY(read_latent_heads(out, value_dim));
  MINERVA_ASSIGN(out.draft_layers, out.config.count_or_none("num_nextn_predict_layers"));
  MINERVA_TRY(write_decoder(out));
  return write_latent_ranks(out);
}

Result<void> write_v2(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-6}, {"first_k_dense_replace", 0}, {"n_shared_experts", 2}});
  MINERVA_TRY(must_be_one_of(out.config, "topk_method", {"greedy", "group_limited_greedy"}));
  MINERVA_TRY(must_be_one_of(out.config, "scoring_func", {"softmax"}));
  MINERVA_TRY(must_be(out.config, "norm_topk_prob", false));
  MINERVA_ASSIGN(const std::string method, out.config.text_or("topk_method", "greedy"));
  if (method == "greedy") {
    nlohmann::json config = out.config.json();
    config.erase("n_group");
    out.replace_config(std::move(config));
  }
  MINERVA_TRY(write_attention(out));
  return write_routing(out, RouterGate::Softmax);
}

Result<void> write_v3(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-6},
                    {"first_k_dense_replace", 3},
                    {"n_shared_experts", 1},
                    {"norm_topk_prob", true},
                    {"routed_scaling_factor", 2.5}});
  MINERVA_TRY(must_be_one_of(out.config, "topk_method", {"noaux_tc"}));
  MINERVA_TRY(must_be_one_of(out.config, "scoring_func", {"sigmoid"}));
  MINERVA_TRY(write_attention(out));
  return write_routing(out, RouterGate::Sigmoid);
}

Result<void> write_glm(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-5},
                    {"first_k_dense_replace", 1},
                    {"n_shared_experts", 1},
                    {"norm_topk_prob", true},
                    {"routed_scaling_factor", 1.8}});
  MINERVA_TRY(must_be_one_of(out.config, "topk_method", {"noaux_tc"}));
  MINERVA_ASSIGN(const std::uint32_t dense, out.config.count("first_k_dense_replace"));
  MINERVA_ASSIGN(const auto kinds, out.config.texts("mlp_layer_types"));
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i] == (i < dense ? "dense" : "sparse")) continue;
    return out.config.refuse("mlp_layer_types", "must be dense first and sparse from then on");
  }
  MINERVA_TRY(write_attention(out));
  return write_routing(out, RouterGate::Sigmoid);
}

}  // namespace

std::span<const TensorRule> latent_rules() { return kAttention; }

Result<void> read_latent_heads(FamilyWriter& out, std::uint32_t value_dim) {
  MINERVA_ASSIGN(const std::uint32_t plain, out.config.count("qk_nope_head_dim"));
  MINERVA_ASSIGN(const std::uint32_t rotated, out.config.count("qk_rope_head_dim"));
  if (plain > (1U << 16) || rotated > (1U << 16))
    return out.config.refuse("qk_nope_head_dim", "or qk_rope_head_dim is too large");
  out.value_dim = value_dim;
  out.key_dim = plain + rotated;
  // The part that RoPE knows of.
  nlohmann::json config = out.config.json();
  config["head_dim"] = rotated;
  out.replace_config(std::move(config));
  return {};
}

Result<void> write_latent_ranks(FamilyWriter& out) {
  if (out.kv_heads != out.heads)
    return out.config.refuse("num_key_value_heads", "must be num_attention_heads");
  MINERVA_TRY(write_count(out, "q_lora_rank", "attention.q_lora_rank"));
  MINERVA_ASSIGN(const std::uint32_t rank, out.config.count("kv_lora_rank"));
  out.u32("attention.kv_lora_rank", rank);
  return {};
}

Family deepseek_v2_family() { return {{"deepseek_v2"}, "deepseek2", kRules, write_v2}; }
Family deepseek_v3_family() { return {{"deepseek_v3", "kimi_k2"}, "deepseek2", kRules, write_v3}; }
Family glm4_moe_lite_family() { return {{"glm4_moe_lite"}, "deepseek2", kRules, write_glm}; }

}  // namespace minerva::models
