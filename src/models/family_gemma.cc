// gemma, gemma2 and gemma3: norms (in the first before, later before and after both branches) whose
// weights count from 1 in the folder and from 0 in GGUF; the output matrix is the embedding.
#include <fmt/format.h>

#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kRules[] = {
    {"model.norm", "output_norm", Change::PlusOne},
    {"model.layers.{}.input_layernorm", "blk.{}.attn_norm", Change::PlusOne},
    {"model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm", Change::PlusOne},
    {"model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm", Change::PlusOne},
    {"model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm", Change::PlusOne},
    {"model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm", Change::PlusOne},
    {"model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm", Change::PlusOne},
    {"lm_head", "", Change::Skip},
};
constexpr TensorRule kGemmaRules[] = {
    {"model.norm", "output_norm", Change::PlusOne},
    {"model.layers.{}.input_layernorm", "blk.{}.attn_norm", Change::PlusOne},
    {"model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm", Change::PlusOne},
    {"lm_head", "", Change::Skip},
};
constexpr std::uint32_t kGemma3Period = 6;

// The scale of attention is not in GGUF: it is the head's dimension's, or in the largest models the
// width's per head.
Result<void> check_attention_scale(const FamilyWriter& out, std::uint32_t largest_layers) {
  MINERVA_ASSIGN(const double given, out.config.number_or("query_pre_attn_scalar", out.head_dim));
  const std::uint32_t wanted = out.layers == largest_layers ? out.width / out.heads : out.head_dim;
  if (given == wanted) return {};
  return out.config.refuse("query_pre_attn_scalar",
                           fmt::format("must be {} for a model of this shape", wanted));
}

Result<void> write_gemma(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-6}, {"head_dim", 256}});
  // "gelu" is how the first files wrote the same.
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"gelu_pytorch_tanh", "gelu"}));
  MINERVA_TRY(must_be_one_of(out.config, "hidden_activation", {"gelu_pytorch_tanh"}));
  return write_decoder(out);
}

Result<void> write_gemma2(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-6},
                    {"head_dim", 256},
                    {"query_pre_attn_scalar", 256},
                    {"sliding_window", 4096},
                    {"attn_logit_softcapping", 50.0},
                    {"final_logit_softcapping", 30.0}});
  MINERVA_TRY(must_be_one_of(out.config, "hidden_activation", {"gelu_pytorch_tanh"}));
  MINERVA_TRY(write_decoder(out));
  MINERVA_TRY(check_attention_scale(out, 46));
  MINERVA_TRY(check_window_layers(out, 2));
  MINERVA_TRY(write_count(out, "sliding_window", "attention.sliding_window"));
  MINERVA_TRY(write_number(out, "attn_logit_softcapping", "attn_logit_softcapping"));
  return write_number(out, "final_logit_softcapping", "final_logit_softcapping");
}

Result<void> write_gemma3(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-6},
                    {"head_dim", 256},
                    {"query_pre_attn_scalar", 256},
                    {"num_attention_heads", 8},
                    {"num_key_value_heads", 4},
                    {"max_position_embeddings", 131072},
                    {"sliding_window", 4096}});
  MINERVA_TRY(must_be_one_of(out.config, "hidden_activation", {"gelu_pytorch_tanh"}));
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (out.config.has(key)) return out.config.refuse(key, "must be null for gemma3");
  }
  MINERVA_TRY(write_decoder_keys(out));
  MINERVA_TRY(check_attention_scale(out, 62));
  MINERVA_ASSIGN(std::uint32_t period,
                 out.config.count_or("sliding_window_pattern", kGemma3Period));
  MINERVA_ASSIGN(period, out.config.count_or("_sliding_window_pattern", period));
  MINERVA_TRY(check_window_layers(out, period));
  MINERVA_TRY(write_count(out, "sliding_window", "attention.sliding_window"));
  if (period != kGemma3Period) out.u32("attention.sliding_window_pattern", period);
  MINERVA_ASSIGN(const RopeFacts all, read_rope_facts(out.config, 1e6, "full_attention"));
  MINERVA_TRY(write_rope(out, all));
  MINERVA_ASSIGN(double local, out.config.number_or("rope_local_base_freq", 10'000));
  if (out.config.object("rope_parameters") != nullptr) {
    MINERVA_ASSIGN(const RopeFacts near, read_rope_facts(out.config, local, "sliding_attention"));
    if (!near.type.empty())
      return out.config.refuse("rope_parameters", "of sliding_attention must have no scaling");
    local = near.base;
  }
  out.f32("rope.freq_base_swa", local);
  return {};
}

}  // namespace

Family gemma_family() { return {{"gemma"}, "gemma", kGemmaRules, write_gemma}; }
Family gemma2_family() { return {{"gemma2"}, "gemma2", kRules, write_gemma2}; }
Family gemma3_family() { return {{"gemma3_text"}, "gemma3", kRules, write_gemma3}; }

}  // namespace minerva::models
