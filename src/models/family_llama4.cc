// llama4: the language model of a model that sees. Experts are one tensor for all, with a row for
// each input; the width of dense layers has a word of its own. Rotary pairs are neighbours, in the
// folder too.
#include <fmt/format.h>

#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kRules[] = {
    {"model.layers.{}.feed_forward.gate_proj", "blk.{}.ffn_gate"},
    {"model.layers.{}.feed_forward.up_proj", "blk.{}.ffn_up"},
    {"model.layers.{}.feed_forward.down_proj", "blk.{}.ffn_down"},
    {"model.layers.{}.feed_forward.router", "blk.{}.ffn_gate_inp", Change::Float},
    {"model.layers.{}.feed_forward.shared_expert.gate_proj", "blk.{}.ffn_gate_shexp"},
    {"model.layers.{}.feed_forward.shared_expert.up_proj", "blk.{}.ffn_up_shexp"},
    {"model.layers.{}.feed_forward.shared_expert.down_proj", "blk.{}.ffn_down_shexp"},
    {"model.layers.{}.feed_forward.experts.gate_up_proj", "blk.{}.ffn_gate_exps.weight",
     Change::FirstColumns, true},
    {"model.layers.{}.feed_forward.experts.gate_up_proj", "blk.{}.ffn_up_exps.weight",
     Change::LastColumns, true},
    {"model.layers.{}.feed_forward.experts.down_proj", "blk.{}.ffn_down_exps.weight",
     Change::Columns, true},
    // As mlx-lm writes them.
    {"model.layers.{}.feed_forward.experts.gate_proj", "blk.{}.ffn_gate_exps"},
    {"model.layers.{}.feed_forward.experts.up_proj", "blk.{}.ffn_up_exps"},
    {"model.layers.{}.feed_forward.experts.down_proj", "blk.{}.ffn_down_exps"},
};
constexpr std::uint32_t kPeriod = 4;
constexpr std::uint32_t kExpertsWithoutNorm = 128;

// The layers are told apart in two ways, which must say the same.
Result<void> check_layers(const FamilyWriter& out) {
  MINERVA_ASSIGN(const auto rotated, out.config.numbers("no_rope_layers"));
  MINERVA_ASSIGN(const auto kinds, out.config.texts("layer_types"));
  MINERVA_ASSIGN(const std::uint32_t period,
                 out.config.count_or("no_rope_layer_interval", kPeriod));
  bool usual = period == kPeriod && (rotated.empty() || rotated.size() == out.layers) &&
               (kinds.empty() || kinds.size() == out.layers);
  for (std::size_t i = 0; usual && i < out.layers; ++i) {
    const bool all = (i + 1) % kPeriod == 0;
    if (!rotated.empty()) usual = rotated[i] == (all ? 0.0F : 1.0F);
    if (!kinds.empty()) usual = usual && kinds[i] == (all ? "full_attention" : "chunked_attention");
  }
  if (usual) return {};
  return out.config.refuse("no_rope_layers",
                           "or layer_types must have every fourth layer see all without RoPE, and "
                           "the others chunks");
}

Result<void> check_experts(const FamilyWriter& out, std::uint32_t step) {
  MINERVA_ASSIGN(const auto layers, out.config.numbers("moe_layers"));
  bool usual = layers.empty() || layers.size() == out.layers / step;
  for (std::size_t i = 0; usual && i < layers.size(); ++i)
    usual = layers[i] == static_cast<float>((i + 1) * step - 1);
  if (usual) return {};
  return out.config.refuse("moe_layers", fmt::format("must be every {}th layer", step));
}

Result<void> write(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-5},
                    {"rope_theta", 500'000.0},
                    {"head_dim", 128},
                    {"attention_chunk_size", 8192},
                    {"interleave_moe_layer_step", 1},
                    {"num_experts_per_tok", 1},
                    {"num_local_experts", 16}});
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_ASSIGN(const std::uint32_t expert_width, out.config.count("intermediate_size"));
  MINERVA_ASSIGN(const std::uint32_t width, out.config.count("intermediate_size_mlp"));
  nlohmann::json config = out.config.json();
  config["intermediate_size"] = width;
  out.replace_config(std::move(config));
  MINERVA_TRY(write_decoder(out));
  MINERVA_TRY(check_layers(out));
  MINERVA_ASSIGN(const std::uint32_t step, out.config.count("interleave_moe_layer_step"));
  MINERVA_TRY(check_experts(out, step));
  MINERVA_ASSIGN(const std::uint32_t experts, out.config.count("num_local_experts"));
  MINERVA_ASSIGN(const std::uint32_t used, out.config.count("num_experts_per_tok"));
  MINERVA_TRY(must_be(out.config, "use_qk_norm", experts != kExpertsWithoutNorm));
  MINERVA_ASSIGN(const double growing, out.config.number_or("attn_scale", 0.1));
  MINERVA_ASSIGN(const std::uint32_t length, out.config.count_or("floor_scale", 8192));
  // Some files have a number where others have a flag.
  const auto tuned = out.config.json().find("attn_temperature_tuning");
  const bool on =
      tuned == out.config.json().end() || *tuned == true || (tuned->is_number() && *tuned != 0);
  if (!on) return out.config.refuse("attn_temperature_tuning", "must be true");
  out.f32("attention.temperature_scale", growing);
  out.u32("attention.temperature_length", length);
  MINERVA_TRY(write_count(out, "attention_chunk_size", "attention.sliding_window"));
  out.u32("interleave_moe_layer_step", step);
  out.u32("expert_count", experts);
  out.u32("expert_used_count", used);
  out.u32("expert_feed_forward_length", expert_width);
  return {};
}

}  // namespace

Family llama4_family() { return {{"llama4_text"}, "llama4", kRules, write}; }

}  // namespace minerva::models
