// gemma4: layers of two kinds with heads of their own, layers that share keys and values, inputs
// for each layer, experts beside the dense feed-forward. Norms count from 0 in the folder, too.
#include <fmt/format.h>

#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kRules[] = {
    {"model.embed_tokens_per_layer", "per_layer_token_embd"},
    {"model.per_layer_model_projection", "per_layer_model_proj"},
    {"model.per_layer_projection_norm", "per_layer_proj_norm"},
    {"model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"},
    {"model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm"},
    {"model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"},
    {"model.layers.{}.layer_scalar", "blk.{}.layer_output_scale.weight", Change::Same, true},
    {"model.layers.{}.per_layer_input_gate", "blk.{}.inp_gate"},
    {"model.layers.{}.per_layer_projection", "blk.{}.proj"},
    {"model.layers.{}.post_per_layer_input_norm", "blk.{}.post_norm"},
    {"model.layers.{}.router.proj", "blk.{}.ffn_gate_inp", Change::Float},
    {"model.layers.{}.router.scale", "blk.{}.ffn_gate_inp.scale", Change::Same, true},
    {"model.layers.{}.router.per_expert_scale", "blk.{}.ffn_down_exps.scale", Change::Same, true},
    {"model.layers.{}.experts.gate_up_proj", "blk.{}.ffn_gate_up_exps.weight", Change::Same, true},
    {"model.layers.{}.experts.down_proj", "blk.{}.ffn_down_exps.weight", Change::Same, true},
    {"model.layers.{}.pre_feedforward_layernorm_2", "blk.{}.pre_ffw_norm_2"},
    {"model.layers.{}.post_feedforward_layernorm_1", "blk.{}.post_ffw_norm_1"},
    {"model.layers.{}.post_feedforward_layernorm_2", "blk.{}.post_ffw_norm_2"},
    {"lm_head", "", Change::Skip},
};
constexpr std::uint32_t kPeriod = 6;
// So large a divisor stops a pair.
constexpr float kStopped = 1e30F;

// Whether each layer has a window. The last layer never has.
Result<std::vector<bool>> read_kinds(const FamilyWriter& out, std::uint32_t layers) {
  MINERVA_ASSIGN(const auto types, out.config.texts("layer_types"));
  if (!types.empty() && types.size() != layers)
    return out.config.refuse("layer_types", fmt::format("must have {} members", layers));
  std::vector<bool> windowed;
  for (std::uint32_t i = 0; i < layers; ++i) {
    if (!types.empty() && types[i] != "full_attention" && types[i] != "sliding_attention")
      return out.config.refuse("layer_types", "has a kind that is not known");
    windowed.push_back(i + 1 != layers &&
                       (types.empty() ? (i + 1) % kPeriod != 0 : types[i] != "full_attention"));
  }
  return windowed;
}

Result<void> write_ropes(FamilyWriter& out, std::uint32_t global_dim, std::uint32_t local_dim) {
  MINERVA_ASSIGN(const RopeFacts local, read_rope_facts(out.config, 10'000, "sliding_attention"));
  MINERVA_ASSIGN(const RopeFacts global, read_rope_facts(out.config, 1e6, "full_attention"));
  const bool given = out.config.object("rope_parameters") != nullptr;
  if (!local.type.empty() || (given && global.type != "proportional"))
    return out.config.refuse("rope_parameters",
                             "must be default for sliding_attention and proportional for "
                             "full_attention");
  const ConfigReader scaling(global.scaling, out.config.where());
  MINERVA_ASSIGN(const double factor, scaling.number_or("factor", 1));
  if (factor != 1) return out.config.refuse("rope_parameters", "must have no factor");
  out.u32("rope.dimension_count", global_dim);
  out.u32("rope.dimension_count_swa", local_dim);
  out.f32("rope.freq_base", global.base);
  out.f32("rope.freq_base_swa", local.base);
  const double share = given ? global.rotated : 0.25;
  const auto turning = static_cast<std::uint32_t>(share * global_dim) / 2;
  std::vector<float> factors(global_dim / 2, kStopped);
  std::fill_n(factors.begin(), std::min<std::size_t>(turning, factors.size()), 1.0F);
  out.tensor("rope_freqs.weight", std::move(factors));
  return {};
}

Result<void> write_experts(FamilyWriter& out) {
  MINERVA_ASSIGN(const bool experts, out.config.flag_or("enable_moe_block", false));
  if (!experts) return {};
  for (const auto& [key, to] :
       {std::pair{"num_experts", "expert_count"}, std::pair{"top_k_experts", "expert_used_count"},
        std::pair{"moe_intermediate_size", "expert_feed_forward_length"}}) {
    MINERVA_ASSIGN(const std::uint32_t count, out.config.count(key));
    out.u32(to, count);
  }
  return {};
}

Result<void> write(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-6},
                    {"head_dim", 256},
                    {"global_head_dim", 512},
                    {"hidden_size_per_layer_input", 256},
                    {"max_position_embeddings", 131072},
                    {"sliding_window", 512}});
  const ConfigReader& config = out.config;
  MINERVA_TRY(must_be_one_of(config, "hidden_activation", {"gelu_pytorch_tanh"}));
  // It says what sees what is behind it: nothing, or parts of an image.
  constexpr std::string_view kSight = "use_bidirectional_attention";
  if (const auto sees = config.flag_or(kSight, true); !sees || *sees)
    MINERVA_TRY(must_be_one_of(config, kSight, {"vision"}));
  MINERVA_ASSIGN(const std::uint32_t layers, config.count("num_hidden_layers"));
  if (layers > 1024) return config.refuse("num_hidden_layers", "must be at most 1024");
  MINERVA_ASSIGN(out.heads, config.count("num_attention_heads"));
  MINERVA_ASSIGN(out.kv_heads, config.count_or("num_key_value_heads", out.heads));
  MINERVA_ASSIGN(const std::uint32_t local_dim, config.count("head_dim"));
  MINERVA_ASSIGN(const std::uint32_t global_dim, config.count("global_head_dim"));
  if (local_dim > 4096 || global_dim > 4096)
    return config.refuse("global_head_dim", "and head_dim must be at most 4096");
  MINERVA_ASSIGN(const bool shares_values, config.flag_or("attention_k_eq_v", false));
  MINERVA_ASSIGN(const std::uint32_t global_kv,
                 config.count_or("num_global_key_value_heads", out.kv_heads));
  MINERVA_ASSIGN(const std::uint32_t ff_width, config.count("intermediate_size"));
  MINERVA_ASSIGN(const bool twice, config.flag_or("use_double_wide_mlp", false));
  MINERVA_ASSIGN(const auto windowed, read_kinds(out, layers));
  MINERVA_ASSIGN(const std::uint32_t shared, config.count_or_none("num_kv_shared_layers"));
  if (shared >= layers || ff_width > (1U << 20))
    return config.refuse("num_kv_shared_layers", "or intermediate_size is too large");

  std::vector<std::int32_t> kv_heads;
  std::vector<std::int32_t> ff_widths;
  for (std::uint32_t i = 0; i < layers; ++i) {
    const bool global = !windowed[i] && shares_values;
    kv_heads.push_back(static_cast<std::int32_t>(global ? global_kv : out.kv_heads));
    ff_widths.push_back(
        static_cast<std::int32_t>(twice && i >= layers - shared ? 2 * ff_width : ff_width));
  }
  for (const auto& [key, to] : {std::pair{"hidden_size", "embedding_length"},
                                std::pair{"max_position_embeddings", "context_length"},
                                std::pair{"vocab_size", "vocab_size"},
                                std::pair{"sliding_window", "attention.sliding_window"}}) {
    MINERVA_ASSIGN(const std::uint32_t count, config.count(key));
    out.u32(to, count);
  }
  out.u32("block_count", layers);
  out.i32s("feed_forward_length", ff_widths);
  out.u32("attention.head_count", out.heads);
  out.i32s("attention.head_count_kv", kv_heads);
  out.u32("attention.key_length", global_dim);
  out.u32("attention.value_length", global_dim);
  out.u32("attention.key_length_swa", local_dim);
  out.u32("attention.value_length_swa", local_dim);
  out.flags("attention.sliding_window_pattern", windowed);
  out.u32("attention.shared_kv_layers", shared);
  MINERVA_ASSIGN(const std::uint32_t input_width,
                 config.count_or_none("hidden_size_per_layer_input"));
  out.u32("embedding_length_per_layer_input", input_width);
  MINERVA_TRY(write_number(out, "rms_norm_eps", "attention.layer_norm_rms_epsilon"));
  MINERVA_TRY(write_number(out, "final_logit_softcapping", "final_logit_softcapping"));
  MINERVA_TRY(write_experts(out));
  return write_ropes(out, global_dim, local_dim);
}

}  // namespace

Family gemma4_family() { return {{"gemma4_text"}, "gemma4", kRules, write}; }

}  // namespace minerva::models
