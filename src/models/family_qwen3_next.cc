// qwen3_next, qwen3_5 and qwen3_5_moe: gated delta rules in most layers' place of attention, whose
// output has a gate in the others. Norms count from 1 in the folder, but those of the rules'
// outputs. qwen3_5 is the language model of models that see; it has value heads in an order of its
// own in GGUF, and qwen3_next mixes the heads' rows in the folder.
#include <fmt/format.h>

#include "models/family.h"

namespace minerva::models {
namespace {

constexpr std::uint32_t kHeadsMax = 1024;
constexpr std::uint32_t kDimMax = 1024;

constexpr TensorRule kRules[] = {
    {"model.norm", "output_norm", Change::PlusOne},
    {"model.layers.{}.input_layernorm", "blk.{}.attn_norm", Change::PlusOne},
    {"model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm", Change::PlusOne},
    {"model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm", Change::PlusOne},
    {"model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm", Change::PlusOne},
    {"model.layers.{}.linear_attn.in_proj_qkvz", "blk.{}.attn_qkv", Change::MixedOfAll},
    {"model.layers.{}.linear_attn.in_proj_qkvz", "blk.{}.attn_gate", Change::GatesOfAll},
    {"model.layers.{}.linear_attn.in_proj_ba", "blk.{}.ssm_ba"},
    {"model.layers.{}.linear_attn.in_proj_qkv", "blk.{}.attn_qkv", Change::MixedHeads},
    {"model.layers.{}.linear_attn.in_proj_z", "blk.{}.attn_gate", Change::ValueHeads},
    {"model.layers.{}.linear_attn.in_proj_b", "blk.{}.ssm_beta", Change::ValueHeads},
    {"model.layers.{}.linear_attn.in_proj_a", "blk.{}.ssm_alpha", Change::ValueHeads},
    {"model.layers.{}.linear_attn.conv1d", "blk.{}.ssm_conv1d", Change::Taps},
    {"model.layers.{}.linear_attn.A_log", "blk.{}.ssm_a", Change::Decay, true},
    {"model.layers.{}.linear_attn.dt_bias", "blk.{}.ssm_dt.bias", Change::ValueHeads, true},
    {"model.layers.{}.linear_attn.norm", "blk.{}.ssm_norm"},
    {"model.layers.{}.linear_attn.out_proj", "blk.{}.ssm_out", Change::ValueColumns},
    {"model.layers.{}.mlp.gate", "blk.{}.ffn_gate_inp", Change::Float},
    {"model.layers.{}.mlp.shared_expert.gate_proj", "blk.{}.ffn_gate_shexp"},
    {"model.layers.{}.mlp.shared_expert.down_proj", "blk.{}.ffn_down_shexp"},
    {"model.layers.{}.mlp.shared_expert.up_proj", "blk.{}.ffn_up_shexp"},
    {"model.layers.{}.mlp.shared_expert_gate", "blk.{}.ffn_gate_inp_shexp", Change::Float},
    // Of all experts together, without an ending.
    {"model.layers.{}.mlp.experts.gate_up_proj", "blk.{}.ffn_gate_exps.weight", Change::FirstRows,
     true},
    {"model.layers.{}.mlp.experts.gate_up_proj", "blk.{}.ffn_up_exps.weight", Change::LastRows,
     true},
    {"model.layers.{}.mlp.experts.down_proj", "blk.{}.ffn_down_exps.weight", Change::Same, true},
};

// Which layers have delta rules: all but every `interval`-th one, or as a list says.
Result<void> write_kinds(FamilyWriter& out) {
  MINERVA_ASSIGN(const std::uint32_t interval, out.config.count_or("full_attention_interval", 4));
  MINERVA_ASSIGN(const auto kinds, out.config.texts("layer_types"));
  std::vector<bool> recurrent;
  bool regular = true;
  for (const std::string& kind : kinds) {
    recurrent.push_back(kind == "linear_attention");
    if (!recurrent.back() && kind != "full_attention")
      return out.config.refuse("layer_types", "must be linear_attention and full_attention");
    regular = regular && recurrent.back() == (recurrent.size() % interval != 0);
  }
  if (!kinds.empty() && kinds.size() != out.layers)
    return out.config.refuse("layer_types", "must have a member for each layer");
  if (regular) {
    out.u32("full_attention_interval", interval);
  } else {
    out.flags("attention.recurrent_layers", recurrent);
  }
  return {};
}

Result<void> write_delta(FamilyWriter& out, bool spread) {
  const ConfigReader& config = out.config;
  DeltaHeads& heads = out.delta;
  MINERVA_ASSIGN(const std::uint32_t taps, config.count("linear_conv_kernel_dim"));
  MINERVA_ASSIGN(heads.key_dim, config.count("linear_key_head_dim"));
  MINERVA_ASSIGN(heads.value_dim, config.count("linear_value_head_dim"));
  MINERVA_ASSIGN(heads.key_heads, config.count("linear_num_key_heads"));
  MINERVA_ASSIGN(heads.value_heads, config.count("linear_num_value_heads"));
  if (heads.key_heads > kHeadsMax || heads.value_heads > kHeadsMax ||
      heads.value_heads % heads.key_heads != 0) {
    return config.refuse(
        "linear_num_value_heads",
        fmt::format("must be a multiple of linear_num_key_heads, and both at most {}", kHeadsMax));
  }
  if (heads.key_dim > kDimMax || heads.value_dim > kDimMax)
    return config.refuse("linear_key_head_dim",
                         fmt::format("or linear_value_head_dim is over {}", kDimMax));
  heads.spread = spread;
  out.u32("ssm.conv_kernel", taps);
  out.u32("ssm.state_size", heads.key_dim);
  out.u32("ssm.group_count", heads.key_heads);
  out.u32("ssm.time_step_rank", heads.value_heads);
  out.u32("ssm.inner_size", static_cast<std::uint32_t>(heads.values()));
  return write_kinds(out);
}

Result<void> write_experts(FamilyWriter& out) {
  MINERVA_TRY(write_qwen_routing(out, true));
  MINERVA_ASSIGN(const std::uint32_t width, out.config.count("shared_expert_intermediate_size"));
  out.u32("expert_shared_feed_forward_length", width);
  return {};
}

// Text knows one position of a token, where images have three: their shares of a head's pairs are
// for GGUF's other readers.
Result<void> write_sections(FamilyWriter& out) {
  std::vector<std::int32_t> sections = {11, 11, 10, 0};  // where nothing is said
  nlohmann::json config = out.config.json();
  if (const auto rope = config.find("rope_parameters"); rope != config.end() && rope->is_object()) {
    const ConfigReader reader(*rope, out.config.where());
    MINERVA_ASSIGN(const auto given, reader.numbers("mrope_section"));
    MINERVA_TRY(must_be(reader, "mrope_interleaved", true));
    if (!given.empty() && given.size() != 3)
      return reader.refuse("mrope_section", "must be three numbers");
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (given[i] < 0 || given[i] > 4096)
        return reader.refuse("mrope_section", "must be three numbers up to 4096");
      sections[i] = static_cast<std::int32_t>(given[i]);
    }
    rope->erase("mrope_section");
    rope->erase("mrope_interleaved");
  }
  out.replace_config(std::move(config));
  out.i32s("rope.dimension_sections", sections);
  return {};
}

Result<void> write_any(FamilyWriter& out, bool spread) {
  out.left_out = "mtp.";
  out.set_defaults({{"rms_norm_eps", 1e-6},
                    {"head_dim", 256},
                    {"partial_rotary_factor", 0.25},
                    {"linear_conv_kernel_dim", 4},
                    {"linear_key_head_dim", 128},
                    {"linear_value_head_dim", 128},
                    {"linear_num_key_heads", 16},
                    {"linear_num_value_heads", 32},
                    {"norm_topk_prob", true}});
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(must_be(out.config, "attn_output_gate", true));
  MINERVA_TRY(must_be_one_of(out.config, "output_gate_type", {"swish", "silu"}));
  MINERVA_TRY(must_be(out.config, "use_sliding_window", false));
  MINERVA_TRY(write_decoder(out));
  return write_delta(out, spread);
}

Result<void> write_qwen3_next(FamilyWriter& out) {
  MINERVA_TRY(write_any(out, false));
  return write_experts(out);
}

Result<void> write_qwen3_5(FamilyWriter& out) {
  MINERVA_TRY(write_sections(out));
  return write_any(out, true);
}

Result<void> write_qwen3_5_moe(FamilyWriter& out) {
  MINERVA_TRY(write_sections(out));
  // No layer is dense; GGUF asks for the width nevertheless.
  MINERVA_ASSIGN(const std::uint32_t width, out.config.count("moe_intermediate_size"));
  out.set_defaults({{"intermediate_size", width}});
  MINERVA_TRY(write_any(out, true));
  return write_experts(out);
}

}  // namespace

Family qwen3_next_family() { return {{"qwen3_next"}, "qwen3next", kRules, write_qwen3_next}; }
Family qwen3_5_family() { return {{"qwen3_5_text", "qwen3_5"}, "qwen35", kRules, write_qwen3_5}; }
Family qwen3_5_moe_family() {
  return {{"qwen3_5_moe_text", "qwen3_5_moe"}, "qwen35moe", kRules, write_qwen3_5_moe};
}

}  // namespace minerva::models
