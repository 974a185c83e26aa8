// Granite: granite (3), granitemoe and its kind with a shared expert, and granitemoehybrid (4)
// where all layers attend. Queries and keys are permuted on the way to GGUF; one matrix holds gate
// and up.
#include <algorithm>

#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kRules[] = {
    {"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", Change::RotaryQ},
    {"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", Change::RotaryK},
};
constexpr TensorRule kExpertRules[] = {
    {"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", Change::RotaryQ},
    {"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", Change::RotaryK},
    {"model.layers.{}.block_sparse_moe.router.layer", "blk.{}.ffn_gate_inp", Change::Float},
    {"model.layers.{}.block_sparse_moe.input_linear", "blk.{}.ffn_gate_exps", Change::FirstRows},
    {"model.layers.{}.block_sparse_moe.input_linear", "blk.{}.ffn_up_exps", Change::LastRows},
    {"model.layers.{}.block_sparse_moe.output_linear", "blk.{}.ffn_down_exps"},
    {"model.layers.{}.shared_mlp.input_linear", "blk.{}.ffn_gate_shexp", Change::FirstRows},
    {"model.layers.{}.shared_mlp.input_linear", "blk.{}.ffn_up_shexp", Change::LastRows},
    {"model.layers.{}.shared_mlp.output_linear", "blk.{}.ffn_down_shexp"},
};
// Without experts the shared one is the feed-forward.
constexpr TensorRule kHybridRules[] = {
    {"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", Change::RotaryQ},
    {"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", Change::RotaryK},
    {"model.layers.{}.shared_mlp.input_linear", "blk.{}.ffn_gate", Change::FirstRows},
    {"model.layers.{}.shared_mlp.input_linear", "blk.{}.ffn_up", Change::LastRows},
    {"model.layers.{}.shared_mlp.output_linear", "blk.{}.ffn_down"},
};

Result<void> write_granite(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(write_decoder(out));
  MINERVA_TRY(write_number(out, "attention_multiplier", "attention.scale"));
  MINERVA_TRY(write_number(out, "embedding_multiplier", "embedding_scale"));
  MINERVA_TRY(write_number(out, "residual_multiplier", "residual_scale"));
  return write_number(out, "logits_scaling", "logit_scale");
}

Result<void> write_granitemoe(FamilyWriter& out) {
  out.set_defaults({{"attention_multiplier", 1.0}, {"logits_scaling", 1.0}});
  MINERVA_TRY(write_granite(out));
  MINERVA_ASSIGN(const std::uint32_t all, out.config.count("num_local_experts"));
  MINERVA_ASSIGN(const std::uint32_t used, out.config.count("num_experts_per_tok"));
  MINERVA_ASSIGN(const std::uint32_t width, out.config.count("intermediate_size"));
  out.u32("expert_count", all);
  out.u32("expert_used_count", used);
  out.u32("expert_feed_forward_length", width);
  return write_count(out, "shared_intermediate_size", "expert_shared_feed_forward_length");
}

Result<void> write_hybrid(FamilyWriter& out) {
  MINERVA_ASSIGN(const auto kinds, out.config.texts("layer_types"));
  if (kinds.empty() || std::ranges::count(kinds, "attention") != std::ssize(kinds))
    return out.config.refuse("layer_types", "must all be attention for this family to be run here");
  MINERVA_ASSIGN(const double experts, out.config.number_or("num_local_experts", 8));
  if (experts != 0)
    return out.config.refuse("num_local_experts", "must be 0 for this family to be run here");
  MINERVA_ASSIGN(const std::uint32_t width, out.config.count("shared_intermediate_size"));
  MINERVA_ASSIGN(const std::string positions, out.config.text_or("position_embedding_type", ""));
  out.set_defaults({{"attention_multiplier", 1.0}, {"logits_scaling", 1.0}});
  // What the other families call the feed-forward's width.
  nlohmann::json config = out.config.json();
  config["intermediate_size"] = width;
  out.replace_config(std::move(config));
  MINERVA_TRY(write_granite(out));
  if (positions != "rope") out.flag("rope.scaling.finetuned", false);
  return {};
}

}  // namespace

Family granite_family() { return {{"granite"}, "granite", kRules, write_granite}; }
Family granitemoe_family() {
  return {{"granitemoe", "granitemoeshared"}, "granitemoe", kExpertRules, write_granitemoe};
}
Family granite_hybrid_family() {
  return {{"granitemoehybrid"}, "granite", kHybridRules, write_hybrid};
}

}  // namespace minerva::models
