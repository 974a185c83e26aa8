// Mixtures of experts in all layers: mixtral (GGUF's llama with experts), minimax_m2, phimoe,
// qwen2_moe, qwen3_moe and olmoe, and gpt_oss, whose experts come as MXFP4 with the rows of gate
// and up mixed. A folder has a tensor for each expert, or one for all where mlx-lm wrote it; GGUF
// has one.
#include <fmt/format.h>

#include <algorithm>

#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kMixtralRules[] = {
    {"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", Change::RotaryQ},
    {"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", Change::RotaryK},
    {"model.layers.{}.block_sparse_moe.gate", "blk.{}.ffn_gate_inp", Change::Float},
    {"model.layers.{}.block_sparse_moe.experts.{}.w1", "blk.{}.ffn_gate_exps"},
    {"model.layers.{}.block_sparse_moe.experts.{}.w2", "blk.{}.ffn_down_exps"},
    {"model.layers.{}.block_sparse_moe.experts.{}.w3", "blk.{}.ffn_up_exps"},
    {"model.layers.{}.block_sparse_moe.switch_mlp.gate_proj", "blk.{}.ffn_gate_exps"},
    {"model.layers.{}.block_sparse_moe.switch_mlp.down_proj", "blk.{}.ffn_down_exps"},
    {"model.layers.{}.block_sparse_moe.switch_mlp.up_proj", "blk.{}.ffn_up_exps"},
};
constexpr TensorRule kBlockRules[] = {
    {"model.layers.{}.block_sparse_moe.gate", "blk.{}.ffn_gate_inp", Change::Float},
    {"model.layers.{}.block_sparse_moe.e_score_correction_bias", "blk.{}.exp_probs_b.bias",
     Change::Float, true},
    {"model.layers.{}.block_sparse_moe.experts.{}.w1", "blk.{}.ffn_gate_exps"},
    {"model.layers.{}.block_sparse_moe.experts.{}.w2", "blk.{}.ffn_down_exps"},
    {"model.layers.{}.block_sparse_moe.experts.{}.w3", "blk.{}.ffn_up_exps"},
    {"model.layers.{}.block_sparse_moe.switch_mlp.gate_proj", "blk.{}.ffn_gate_exps"},
    {"model.layers.{}.block_sparse_moe.switch_mlp.down_proj", "blk.{}.ffn_down_exps"},
    {"model.layers.{}.block_sparse_moe.switch_mlp.up_proj", "blk.{}.ffn_up_exps"},
};
constexpr TensorRule kQwenRules[] = {
    {"model.layers.{}.mlp.gate", "blk.{}.ffn_gate_inp", Change::Float},
    {"model.layers.{}.mlp.shared_expert.gate_proj", "blk.{}.ffn_gate_shexp"},
    {"model.layers.{}.mlp.shared_expert.down_proj", "blk.{}.ffn_down_shexp"},
    {"model.layers.{}.mlp.shared_expert.up_proj", "blk.{}.ffn_up_shexp"},
    {"model.layers.{}.mlp.shared_expert_gate", "blk.{}.ffn_gate_inp_shexp", Change::Float},
};
constexpr TensorRule kGptOssRules[] = {
    {"model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"},
    {"model.layers.{}.self_attn.sinks", "blk.{}.attn_sinks.weight", Change::Same, true},
    {"model.layers.{}.mlp.router", "blk.{}.ffn_gate_inp", Change::Float},
    {"model.layers.{}.mlp.experts.gate_up_proj_blocks", "blk.{}.ffn_gate_exps.weight",
     Change::EvenRows, true},
    {"model.layers.{}.mlp.experts.gate_up_proj_blocks", "blk.{}.ffn_up_exps.weight",
     Change::OddRows, true},
    {"model.layers.{}.mlp.experts.gate_up_proj_scales", "", Change::Skip, true},
    {"model.layers.{}.mlp.experts.gate_up_proj_bias", "blk.{}.ffn_gate_exps.bias", Change::EvenRows,
     true},
    {"model.layers.{}.mlp.experts.gate_up_proj_bias", "blk.{}.ffn_up_exps.bias", Change::OddRows,
     true},
    {"model.layers.{}.mlp.experts.down_proj_blocks", "blk.{}.ffn_down_exps.weight", Change::Same,
     true},
    {"model.layers.{}.mlp.experts.down_proj_scales", "", Change::Skip, true},
    {"model.layers.{}.mlp.experts.down_proj_bias", "blk.{}.ffn_down_exps.bias", Change::Same, true},
    // Without MXFP4, with inputs as rows.
    {"model.layers.{}.mlp.experts.gate_up_proj", "blk.{}.ffn_gate_exps.weight", Change::EvenColumns,
     true},
    {"model.layers.{}.mlp.experts.gate_up_proj", "blk.{}.ffn_up_exps.weight", Change::OddColumns,
     true},
    {"model.layers.{}.mlp.experts.down_proj", "blk.{}.ffn_down_exps.weight", Change::Columns, true},
    // As mlx-lm writes it.
    {"model.layers.{}.mlp.experts.gate_proj", "blk.{}.ffn_gate_exps"},
    {"model.layers.{}.mlp.experts.up_proj", "blk.{}.ffn_up_exps"},
    {"model.layers.{}.mlp.experts.down_proj", "blk.{}.ffn_down_exps"},
};

Result<void> write_expert_counts(FamilyWriter& out,
                                 std::initializer_list<std::string_view> all_keys) {
  MINERVA_ASSIGN(const std::uint32_t all, out.config.count_of(all_keys));
  MINERVA_ASSIGN(const std::uint32_t used,
                 out.config.count_of({"num_experts_per_tok", "experts_per_token"}));
  out.u32("expert_count", all);
  out.u32("expert_used_count", used);
  return {};
}

Result<void> write_mixtral(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(write_decoder(out));
  MINERVA_TRY(write_count(out, "sliding_window", "attention.sliding_window"));
  return write_expert_counts(out, {"num_local_experts"});
}

Result<void> write_minimax_m2(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-6}, {"rope_theta", 5e6}, {"head_dim", 128}});
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(must_be_one_of(out.config, "scoring_func", {"sigmoid"}));
  MINERVA_TRY(must_be_one_of(out.config, "qk_norm_type", {"per_layer"}));
  MINERVA_TRY(must_be(out.config, "use_qk_norm", true));
  MINERVA_TRY(must_be(out.config, "use_routing_bias", true));
  MINERVA_ASSIGN(const auto kinds, out.config.numbers("attn_type_list"));
  if (std::ranges::any_of(kinds, [](float kind) { return kind != 1; }))
    return out.config.refuse("attn_type_list", "must all be 1 for this family to be run here");
  MINERVA_ASSIGN(const double shared, out.config.number_or("shared_intermediate_size", 0));
  if (shared != 0) return out.config.refuse("shared_intermediate_size", "must be 0");
  MINERVA_TRY(write_decoder_keys(out));
  MINERVA_ASSIGN(RopeFacts rope, read_rope_facts(out.config, 10'000));
  if (out.config.has("rotary_dim")) {
    MINERVA_ASSIGN(const std::uint32_t rotated, out.config.count("rotary_dim"));
    if (rotated > out.head_dim) return out.config.refuse("rotary_dim", "is over head_dim");
    rope.rotated = static_cast<double>(rotated) / out.head_dim;
  }
  MINERVA_TRY(write_rope(out, rope));
  MINERVA_TRY(write_expert_counts(out, {"num_local_experts"}));
  out.u32("expert_gating_func", static_cast<std::uint32_t>(RouterGate::Sigmoid));
  return write_count(out, "intermediate_size", "expert_feed_forward_length");
}

// How near to the best expert others must be to share its weight; GGUF does not say it.
constexpr double kPhimoeShare = 0.01;

Result<void> write_phimoe(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-5}, {"rope_theta", 1e6}});
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_ASSIGN(const double share, out.config.number_or("router_jitter_noise", kPhimoeShare));
  if (share != kPhimoeShare) return out.config.refuse("router_jitter_noise", "must be 0.01");
  MINERVA_TRY(write_decoder_keys(out));
  MINERVA_TRY(write_count(out, "sliding_window", "attention.sliding_window"));
  MINERVA_TRY(write_expert_counts(out, {"num_local_experts"}));
  MINERVA_ASSIGN(const RopeFacts rope, read_rope_facts(out.config, 10'000));
  if (rope.type == "longrope" || rope.type == "su") return write_longrope(out, rope);
  return write_rope(out, rope);
}

Result<void> write_qwen2(FamilyWriter& out) {
  MINERVA_TRY(write_qwen_experts(out, false));
  return write_count(out, "shared_expert_intermediate_size", "expert_shared_feed_forward_length");
}

Result<void> write_qwen3(FamilyWriter& out) { return write_qwen_experts(out, true); }

Result<void> write_olmoe(FamilyWriter& out) {
  if (out.config.has("clip_qkv")) return out.config.refuse("clip_qkv", "must be null");
  nlohmann::json config = out.config.json();  // one width, in the dense models' word
  config.erase("moe_intermediate_size");
  out.replace_config(std::move(config));
  MINERVA_TRY(write_qwen_experts(out, false));
  return write_count(out, "intermediate_size", "expert_feed_forward_length");
}

// Of gate and up, before they are joined; GGUF does not say it.
constexpr double kGptOssLimit = 7;

Result<void> write_gpt_oss(FamilyWriter& out) {
  out.set_defaults({{"rope_theta", 150'000.0}, {"head_dim", 64}, {"sliding_window", 128}});
  out.rounded_ramp = false;
  MINERVA_ASSIGN(const double limit, out.config.number_or("swiglu_limit", kGptOssLimit));
  if (limit != kGptOssLimit)
    return out.config.refuse("swiglu_limit", fmt::format("must be {}", kGptOssLimit));
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(write_decoder(out));
  MINERVA_TRY(check_window_layers(out, 2));
  MINERVA_TRY(write_count(out, "sliding_window", "attention.sliding_window"));
  MINERVA_TRY(write_count(out, "intermediate_size", "expert_feed_forward_length"));
  return write_expert_counts(out, {"num_local_experts"});
}

}  // namespace

Result<void> write_qwen_experts(FamilyWriter& out, bool renormalised) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(must_be(out.config, "use_sliding_window", false));
  MINERVA_TRY(write_decoder(out));
  return write_qwen_routing(out, renormalised);
}

Result<void> write_qwen_routing(FamilyWriter& out, bool renormalised) {
  MINERVA_ASSIGN(const bool given, out.config.flag_or("norm_topk_prob", false));
  if (given != renormalised)
    return out.config.refuse("norm_topk_prob", fmt::format("must be {}", renormalised));
  MINERVA_ASSIGN(const std::uint32_t step, out.config.count_or("decoder_sparse_step", 1));
  MINERVA_ASSIGN(const auto dense, out.config.numbers("mlp_only_layers"));
  if (step != 1 || !dense.empty())
    return out.config.refuse("decoder_sparse_step", "must be 1, and mlp_only_layers empty");
  MINERVA_TRY(write_expert_counts(out, {"num_experts", "num_local_experts"}));
  return write_count(out, "moe_intermediate_size", "expert_feed_forward_length");
}

Family minimax_m2_family() { return {{"minimax_m2"}, "minimax-m2", kBlockRules, write_minimax_m2}; }
Family phimoe_family() { return {{"phimoe"}, "phimoe", kBlockRules, write_phimoe}; }
Family mixtral_family() { return {{"mixtral"}, "llama", kMixtralRules, write_mixtral}; }
Family qwen2_moe_family() { return {{"qwen2_moe"}, "qwen2moe", kQwenRules, write_qwen2}; }
Family qwen3_moe_family() { return {{"qwen3_moe"}, "qwen3moe", kQwenRules, write_qwen3}; }
Family olmoe_family() { return {{"olmoe"}, "olmoe", kQwenRules, write_olmoe}; }
Family gpt_oss_family() { return {{"gpt_oss"}, "gpt-oss", kGptOssRules, write_gpt_oss}; }

}  // namespace minerva::models
