// Mixtures of experts whose first layers are dense and whose scores have a bias while experts are
// chosen: glm4_moe and dots1 (sigmoids), ernie4_5_moe (a softmax).
#include <algorithm>

#include "models/family.h"
#include "models/routed_rules.h"

namespace minerva::models {
namespace {

// GGUF names glm4_moe's norms otherwise.
constexpr TensorRule kGlmNorm[] = {
    {"model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"},
};
constexpr auto kGlmRules = before_routed_rules(kGlmNorm);
// What ernie4_5_moe keeps of a block that guesses at a further token; GGUF has no place for it.
constexpr TensorRule kErnieDraft[] = {
    {"model.mtp_block.{}.input_layernorm", "", Change::Skip},
    {"model.mtp_block.{}.post_attention_layernorm", "", Change::Skip},
    {"model.mtp_block.{}.self_attn.q_proj", "", Change::Skip},
    {"model.mtp_block.{}.self_attn.k_proj", "", Change::Skip},
    {"model.mtp_block.{}.self_attn.v_proj", "", Change::Skip},
    {"model.mtp_block.{}.self_attn.o_proj", "", Change::Skip},
    {"model.mtp_block.{}.mlp.gate_proj", "", Change::Skip},
    {"model.mtp_block.{}.mlp.up_proj", "", Change::Skip},
    {"model.mtp_block.{}.mlp.down_proj", "", Change::Skip},
    {"model.mtp_emb_norm.{}", "", Change::Skip},
    {"model.mtp_hidden_norm.{}", "", Change::Skip},
    {"model.mtp_linear_proj.{}", "", Change::Skip},
};
constexpr auto kErnieRules = before_routed_rules(kErnieDraft);

Result<void> write_glm4_moe(FamilyWriter& out) {
  out.set_defaults({{"partial_rotary_factor", 0.5},
                    {"norm_topk_prob", true},
                    {"routed_scaling_factor", 1.0},
                    {"first_k_dense_replace", 1},
                    {"n_shared_experts", 1}});
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_ASSIGN(out.draft_layers, out.config.count_or_none("num_nextn_predict_layers"));
  MINERVA_TRY(write_decoder(out));
  return write_routing(out, RouterGate::Sigmoid);
}

Result<void> write_dots1(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_ASSIGN(const auto kinds, out.config.texts("layer_types"));
  if (std::ranges::count(kinds, "full_attention") != std::ssize(kinds))
    return out.config.refuse("layer_types", "must all be full_attention for this family");
  MINERVA_TRY(write_decoder(out));
  if (kinds.empty() && out.config.has("sliding_window")) {
    MINERVA_ASSIGN(const std::uint32_t full, out.config.count_or("max_window_layers", 62));
    if (full < out.layers) {
      return out.config.refuse("max_window_layers",
                               "must not be less than num_hidden_layers for this family");
    }
  }
  return write_routing(out, RouterGate::Sigmoid);
}

Result<void> write_ernie4_5_moe(FamilyWriter& out) {
  out.set_defaults({{"rope_theta", 500'000.0},
                    {"moe_layer_start_index", 1},
                    {"moe_layer_interval", 1},
                    {"moe_num_shared_experts", 2},
                    {"norm_topk_prob", true}});
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(write_decoder(out));
  MINERVA_ASSIGN(const double end, out.config.number_or("moe_layer_end_index", -1));
  if (end >= 0 && end < out.layers - 1)
    return out.config.refuse("moe_layer_end_index", "must be the last layer's");
  MINERVA_TRY(write_count(out, "moe_layer_interval", "interleave_moe_layer_step"));
  // The same in the words of the others.
  nlohmann::json config = out.config.json();
  for (const auto& [ours, theirs] :
       {std::pair{"n_routed_experts", "moe_num_experts"}, std::pair{"num_experts_per_tok", "moe_k"},
        std::pair{"n_shared_experts", "moe_num_shared_experts"},
        std::pair{"first_k_dense_replace", "moe_layer_start_index"}}) {
    if (config.contains(theirs)) config[ours] = config[theirs];
  }
  out.replace_config(std::move(config));
  return write_routing(out, RouterGate::Softmax);
}

}  // namespace

Family glm4_moe_family() { return {{"glm4_moe"}, "glm4moe", kGlmRules, write_glm4_moe}; }
Family dots1_family() { return {{"dots1"}, "dots1", kRoutedRules, write_dots1}; }
Family ernie4_5_moe_family() {
  return {{"ernie4_5_moe"}, "ernie4_5-moe", kErnieRules, write_ernie4_5_moe};
}

Result<void> write_routing(FamilyWriter& out, RouterGate gate) {
  const ConfigReader& config = out.config;
  MINERVA_ASSIGN(const std::uint32_t all,
                 config.count_of({"n_routed_experts", "num_experts", "num_local_experts"}));
  MINERVA_ASSIGN(const std::uint32_t used, config.count("num_experts_per_tok"));
  MINERVA_ASSIGN(const std::uint32_t width, config.count("moe_intermediate_size"));
  out.u32("expert_count", all);
  out.u32("expert_used_count", used);
  out.u32("expert_feed_forward_length", width);
  out.u32("expert_gating_func", static_cast<std::uint32_t>(gate));
  MINERVA_ASSIGN(const std::uint32_t shared, config.count_or_none("n_shared_experts"));
  if (shared != 0) {
    if (shared > 1024) return config.refuse("n_shared_experts", "must be at most 1024");
    if (width > (1U << 20)) return config.refuse("moe_intermediate_size", "is too large");
    out.u32("expert_shared_count", shared);
    out.u32("expert_shared_feed_forward_length", shared * width);
  }
  MINERVA_ASSIGN(const bool normed, config.flag_or("norm_topk_prob", false));
  out.flag("expert_weights_norm", normed);
  MINERVA_TRY(write_number(out, "routed_scaling_factor", "expert_weights_scale"));
  MINERVA_ASSIGN(const std::uint32_t dense, config.count_or_none("first_k_dense_replace"));
  if (dense != 0) out.u32("leading_dense_block_count", dense);
  MINERVA_ASSIGN(const std::uint32_t groups, config.count_or("n_group", 1));
  if (groups > 1) {
    MINERVA_ASSIGN(const std::uint32_t kept, config.count("topk_group"));
    out.u32("expert_group_count", groups);
    out.u32("expert_group_used_count", kept);
  }
  return {};
}

}  // namespace minerva::models
