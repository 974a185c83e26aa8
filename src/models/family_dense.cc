// Dense families with few words of their own: olmo2 and 3 and exaone4 (norms after the branches
// only), stablelm, starcoder2 and nemotron (LayerNorm with biases), glm4 (norms before and after,
// gate and up in one matrix), seed_oss, ernie4_5.
#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kOlmo2Rules[] = {
    {"model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"},
    {"model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"},
};
// The 12B model's heads have norms of their own, a tensor each.
constexpr TensorRule kStablelmRules[] = {
    {"model.layers.{}.self_attn.q_layernorm.norms.{}", "blk.{}.attn_q_norm"},
    {"model.layers.{}.self_attn.k_layernorm.norms.{}", "blk.{}.attn_k_norm"},
};
constexpr TensorRule kStarcoder2Rules[] = {
    {"model.layers.{}.mlp.c_fc", "blk.{}.ffn_up"},
    {"model.layers.{}.mlp.c_proj", "blk.{}.ffn_down"},
};
constexpr TensorRule kGlm4Rules[] = {
    {"model.layers.{}.post_self_attn_layernorm", "blk.{}.post_attention_norm"},
    {"model.layers.{}.post_mlp_layernorm", "blk.{}.post_ffw_norm"},
    {"model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up"},
};
constexpr TensorRule kSeedOssRules[] = {
    {"model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"},
};
constexpr TensorRule kNemotronRules[] = {
    {"model.norm.weight", "output_norm.weight", Change::PlusOne, true},
    {"model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight", Change::PlusOne, true},
    {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight", Change::PlusOne,
     true},
};

Result<void> write_silu(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  return write_decoder(out);
}

Result<void> write_stablelm(FamilyWriter& out) {
  out.set_defaults({{"layer_norm_eps", 1e-5}, {"partial_rotary_factor", 0.25}});
  MINERVA_TRY(write_silu(out));
  MINERVA_ASSIGN(const bool parallel, out.config.flag_or("use_parallel_residual", false));
  out.flag("use_parallel_residual", parallel);
  return write_number(out, "layer_norm_eps", "attention.layer_norm_epsilon");
}

Result<void> write_starcoder2(FamilyWriter& out) {
  out.set_defaults({{"norm_epsilon", 1e-5}});
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"gelu_pytorch_tanh"}));
  MINERVA_TRY(write_decoder(out));
  MINERVA_TRY(write_count(out, "sliding_window", "attention.sliding_window"));
  return write_number(out, "norm_epsilon", "attention.layer_norm_epsilon");
}

// GGUF's olmo2 with a window in three layers of four.
Result<void> write_olmo3(FamilyWriter& out) {
  out.set_defaults({{"sliding_window", 4096}});
  MINERVA_TRY(write_silu(out));
  MINERVA_TRY(check_window_layers(out, 4));
  return write_count(out, "sliding_window", "attention.sliding_window");
}

Result<void> write_glm4(FamilyWriter& out) {
  out.set_defaults({{"partial_rotary_factor", 0.5}});
  return write_silu(out);
}

// Windows in three layers of four, whose fourth knows no positions; or none anywhere.
Result<void> write_exaone4(FamilyWriter& out) {
  // A null says that there is none; it is not the same as nothing.
  if (!out.config.json().contains("sliding_window")) out.set_defaults({{"sliding_window", 4096}});
  MINERVA_TRY(write_silu(out));
  if (!out.config.has("sliding_window")) return {};
  MINERVA_TRY(check_window_layers(out, 4));
  return write_count(out, "sliding_window", "attention.sliding_window");
}

Result<void> write_nemotron(FamilyWriter& out) {
  MINERVA_ASSIGN(const double epsilon, out.config.number_or("norm_eps", 1e-5));
  out.set_defaults({{"layer_norm_eps", epsilon}, {"partial_rotary_factor", 0.5}});
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"relu2"}));
  MINERVA_TRY(write_decoder(out));
  return write_number(out, "layer_norm_eps", "attention.layer_norm_epsilon");
}

Result<void> write_seed_oss(FamilyWriter& out) {
  out.set_defaults({{"head_dim", 128}});
  return write_silu(out);
}

Result<void> write_ernie4_5(FamilyWriter& out) {
  out.set_defaults({{"head_dim", 128}, {"rope_theta", 500'000.0}});
  return write_silu(out);
}

}  // namespace

Family exaone4_family() { return {{"exaone4"}, "exaone4", kOlmo2Rules, write_exaone4}; }
Family nemotron_family() { return {{"nemotron"}, "nemotron", kNemotronRules, write_nemotron}; }
Family seed_oss_family() { return {{"seed_oss"}, "seed_oss", kSeedOssRules, write_seed_oss}; }
Family ernie4_5_family() { return {{"ernie4_5"}, "ernie4_5", {}, write_ernie4_5}; }
Family olmo2_family() { return {{"olmo2"}, "olmo2", kOlmo2Rules, write_silu}; }
Family olmo3_family() { return {{"olmo3"}, "olmo2", kOlmo2Rules, write_olmo3}; }
Family stablelm_family() { return {{"stablelm"}, "stablelm", kStablelmRules, write_stablelm}; }
Family starcoder2_family() {
  return {{"starcoder2"}, "starcoder2", kStarcoder2Rules, write_starcoder2};
}
Family glm4_family() { return {{"glm4"}, "glm4", kGlm4Rules, write_glm4}; }

}  // namespace minerva::models
