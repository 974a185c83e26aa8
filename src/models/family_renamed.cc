// Families with words of their own for llama's parts: exaone (3 and 3.5), internlm2 (2 and 2.5),
// whose matrix of queries, keys and values goes KV head by KV head, internlm3, which is llama in
// GGUF, and bailing_moe (Ling and Ring 2.0).
#include "models/family.h"
#include "models/routed_rules.h"

namespace minerva::models {
namespace {

constexpr TensorRule kExaoneRules[] = {
    {"transformer.wte", "token_embd"},
    {"transformer.ln_f", "output_norm"},
    {"transformer.h.{}.ln_1", "blk.{}.attn_norm"},
    {"transformer.h.{}.ln_2", "blk.{}.ffn_norm"},
    {"transformer.h.{}.attn.attention.q_proj", "blk.{}.attn_q"},
    {"transformer.h.{}.attn.attention.k_proj", "blk.{}.attn_k"},
    {"transformer.h.{}.attn.attention.v_proj", "blk.{}.attn_v"},
    {"transformer.h.{}.attn.attention.out_proj", "blk.{}.attn_output"},
    {"transformer.h.{}.mlp.c_fc_0", "blk.{}.ffn_gate"},
    {"transformer.h.{}.mlp.c_fc_1", "blk.{}.ffn_up"},
    {"transformer.h.{}.mlp.c_proj", "blk.{}.ffn_down"},
};
constexpr TensorRule kInternlm2Rules[] = {
    {"model.tok_embeddings", "token_embd"},
    {"output", "output"},
    {"model.layers.{}.attention_norm", "blk.{}.attn_norm"},
    {"model.layers.{}.ffn_norm", "blk.{}.ffn_norm"},
    {"model.layers.{}.attention.wqkv", "blk.{}.attn_q", Change::GroupedQ},
    {"model.layers.{}.attention.wqkv", "blk.{}.attn_k", Change::GroupedK},
    {"model.layers.{}.attention.wqkv", "blk.{}.attn_v", Change::GroupedV},
    {"model.layers.{}.attention.wo", "blk.{}.attn_output"},
    {"model.layers.{}.feed_forward.w1", "blk.{}.ffn_gate"},
    {"model.layers.{}.feed_forward.w2", "blk.{}.ffn_down"},
    {"model.layers.{}.feed_forward.w3", "blk.{}.ffn_up"},
};
constexpr TensorRule kInternlm3Rules[] = {
    {"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", Change::RotaryQ},
    {"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", Change::RotaryK},
};
constexpr TensorRule kBailingFirst[] = {
    {"model.word_embeddings", "token_embd"},
    {"model.layers.{}.attention.query_key_value", "blk.{}.attn_qkv"},
    {"model.layers.{}.attention.dense", "blk.{}.attn_output"},
    {"model.layers.{}.attention.query_layernorm", "blk.{}.attn_q_norm"},
    {"model.layers.{}.attention.key_layernorm", "blk.{}.attn_k_norm"},
    {"model.layers.{}.mlp.gate.expert_bias", "blk.{}.exp_probs_b.bias", Change::Float, true},
    {"model.layers.{}.mlp.gate.gate_proj", "blk.{}.ffn_gate_inp", Change::Float},  // mlx-lm's
    {"model.layers.{}.final_layernorm", "blk.{}.layer_output_norm"},
};
constexpr auto kBailingRules = before_routed_rules(kBailingFirst);

Result<void> write_exaone(FamilyWriter& out) {
  out.set_defaults({{"rope_theta", 500'000.0}, {"max_position_embeddings", 4096}});
  nlohmann::json config = out.config.json();  // the same in the words of the others
  for (const auto& [ours, theirs] : {std::pair{"num_hidden_layers", "num_layers"},
                                     std::pair{"rms_norm_eps", "layer_norm_epsilon"},
                                     std::pair{"hidden_act", "activation_function"}}) {
    if (config.contains(theirs)) config[ours] = config[theirs];
  }
  out.replace_config(std::move(config));
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  return write_decoder(out);
}

Result<void> write_internlm(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(write_decoder_keys(out));
  MINERVA_ASSIGN(RopeFacts rope, read_rope_facts(out.config, 10'000));
  if (rope.type == "dynamic") {
    // It changes nothing before the end of the context, and there is nothing behind that here.
    rope.type.clear();
    rope.scaling = nlohmann::json::object();
  }
  return write_rope(out, rope);
}

Result<void> write_bailing(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-6}, {"first_k_dense_replace", 0}});
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  // The first generation's models have other graphs.
  MINERVA_ASSIGN(const std::string score, out.config.text_or("score_function", "softmax"));
  if (score != "sigmoid")
    return out.config.refuse("score_function", "must be sigmoid for this family to be run here");
  MINERVA_ASSIGN(const bool normed, out.config.flag_or("use_qk_norm", false));
  if (!normed)
    return out.config.refuse("use_qk_norm", "must be true for this family to be run here");
  MINERVA_TRY(must_be(out.config, "norm_head", false));
  MINERVA_TRY(must_be(out.config, "moe_router_enable_routed_scaling", true));
  MINERVA_ASSIGN(out.draft_layers, out.config.count_or_none("num_nextn_predict_layers"));
  MINERVA_TRY(write_decoder(out));
  MINERVA_ASSIGN(const double share, out.config.number_or("partial_rotary_factor", 1));
  MINERVA_ASSIGN(const double rotated, out.config.number_or("rotary_dim", share * out.head_dim));
  if (rotated != share * out.head_dim)
    return out.config.refuse("rotary_dim", "must be partial_rotary_factor of a head");
  nlohmann::json config = out.config.json();
  MINERVA_ASSIGN(const std::uint32_t shared, out.config.count_or_none("num_shared_experts"));
  MINERVA_ASSIGN(const std::uint32_t width, out.config.count("moe_intermediate_size"));
  MINERVA_ASSIGN(const std::uint32_t shared_width,
                 out.config.count_or("moe_shared_expert_intermediate_size", width));
  if (shared_width != width)
    return out.config.refuse("moe_shared_expert_intermediate_size",
                             "must be moe_intermediate_size");
  config["n_shared_experts"] = shared;
  out.replace_config(std::move(config));
  return write_routing(out, RouterGate::Sigmoid);
}

}  // namespace

Family exaone_family() { return {{"exaone"}, "exaone", kExaoneRules, write_exaone}; }
Family internlm2_family() { return {{"internlm2"}, "internlm2", kInternlm2Rules, write_internlm}; }
Family internlm3_family() { return {{"internlm3"}, "llama", kInternlm3Rules, write_internlm}; }
Family bailing_moe_family() {
  return {{"bailing_moe", "bailing_moe_v2"}, "bailingmoe2", kBailingRules, write_bailing};
}

}  // namespace minerva::models
