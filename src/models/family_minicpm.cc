// minicpm (MiniCPM 1, 2 and 4) and minicpm3: scales on the embedding, the branches and the logits,
// longrope in some. minicpm3 attends through latents.
#include <cmath>

#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kRules[] = {
    {"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", Change::RotaryQ},
    {"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", Change::RotaryK},
};

Result<void> write(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_ASSIGN(const double experts, out.config.number_or("num_experts", 0));
  if (experts != 0)
    return out.config.refuse("num_experts", "must be 0 for this family to be run here");
  if (out.config.has("sparse_config")) {
    return out.config.refuse("sparse_config",
                             "asks for attention to blocks; without it every token attends to all");
  }
  MINERVA_TRY(write_decoder_keys(out));
  MINERVA_ASSIGN(const RopeFacts rope, read_rope_facts(out.config, 10'000));
  if (rope.type == "longrope" || rope.type == "su") {
    MINERVA_TRY(write_longrope(out, rope));
    if (out.key_dim == 0) out.text("rope.scaling.type", "longrope");
  } else {
    MINERVA_TRY(write_rope(out, rope));
  }
  MINERVA_ASSIGN(const double embedding, out.config.number("scale_emb"));
  MINERVA_ASSIGN(const double depth, out.config.number("scale_depth"));
  MINERVA_ASSIGN(const double base, out.config.number("dim_model_base"));
  if (embedding <= 0 || depth <= 0 || base <= 0)
    return out.config.refuse("scale_emb", "and scale_depth and dim_model_base must be over 0");
  out.f32("embedding_scale", embedding);
  out.f32("residual_scale", depth / std::sqrt(static_cast<double>(out.layers)));
  out.f32("logit_scale", out.width / base);
  return {};
}

Result<void> write_latent(FamilyWriter& out) {
  out.set_defaults({{"scale_emb", 12}, {"scale_depth", 1.4}, {"dim_model_base", 256}});
  MINERVA_ASSIGN(const std::uint32_t width, out.config.count("hidden_size"));
  MINERVA_ASSIGN(const std::uint32_t heads, out.config.count("num_attention_heads"));
  MINERVA_ASSIGN(const std::uint32_t value_dim,
                 out.config.count_or("v_head_dim", width < heads ? 1U : width / heads));
  MINERVA_TRY(read_latent_heads(out, value_dim));
  MINERVA_TRY(write(out));
  return write_latent_ranks(out);
}

}  // namespace

Family minicpm_family() { return {{"minicpm"}, "minicpm", kRules, write}; }
Family minicpm3_family() { return {{"minicpm3"}, "minicpm3", latent_rules(), write_latent}; }

}  // namespace minerva::models
