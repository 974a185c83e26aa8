// cohere (Command R) and cohere2: both branches read one LayerNorm, logits are scaled, and the
// output matrix is the embedding.
#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kRules[] = {
    {"model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm", Change::Float},
    {"model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm", Change::Float},
    {"lm_head", "", Change::Skip},
};
constexpr std::uint32_t kCohere2Period = 4;

Result<void> write_both(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(write_decoder_keys(out));
  MINERVA_TRY(write_number(out, "logit_scale", "logit_scale"));
  return write_number(out, "layer_norm_eps", "attention.layer_norm_epsilon");
}

Result<void> write_cohere(FamilyWriter& out) {
  out.set_defaults({{"layer_norm_eps", 1e-5}, {"logit_scale", 0.0625}});
  MINERVA_TRY(write_both(out));
  MINERVA_ASSIGN(const RopeFacts rope, read_rope_facts(out.config, 10'000));
  if (rope.type.empty()) out.text("rope.scaling.type", "none");
  return write_rope(out, rope);
}

Result<void> write_cohere2(FamilyWriter& out) {
  out.set_defaults({{"layer_norm_eps", 1e-5}, {"logit_scale", 0.0625}, {"sliding_window", 4096}});
  MINERVA_TRY(write_both(out));
  MINERVA_ASSIGN(const std::uint32_t period,
                 out.config.count_or("sliding_window_pattern", kCohere2Period));
  if (period != kCohere2Period) return out.config.refuse("sliding_window_pattern", "must be 4");
  MINERVA_TRY(check_window_layers(out, kCohere2Period));
  MINERVA_TRY(write_count(out, "sliding_window", "attention.sliding_window"));
  MINERVA_ASSIGN(RopeFacts rope, read_rope_facts(out.config, 10'000));
  MINERVA_ASSIGN(rope.rotated, out.config.number_or("rotary_pct", rope.rotated));
  if (rope.rotated <= 0 || rope.rotated > 1)
    return out.config.refuse("rotary_pct", "must be over 0 and at most 1");
  if (rope.type.empty()) out.text("rope.scaling.type", "none");
  return write_rope(out, rope);
}

}  // namespace

Family cohere_family() { return {{"cohere"}, "command-r", kRules, write_cohere}; }
Family cohere2_family() { return {{"cohere2"}, "cohere2", kRules, write_cohere2}; }

}  // namespace minerva::models
