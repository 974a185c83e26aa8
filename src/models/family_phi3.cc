// phi3: queries, keys and values in one matrix, gate and up in another; longrope, whose divisors of
// the frequencies become two tensors.
#include <cmath>

#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kRules[] = {
    {"model.layers.{}.self_attn.qkv_proj", "blk.{}.attn_qkv"},
    {"model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up"},
};

Result<void> write(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(write_decoder_keys(out));
  MINERVA_TRY(write_count(out, "sliding_window", "attention.sliding_window"));
  MINERVA_ASSIGN(const RopeFacts rope, read_rope_facts(out.config, 10'000));
  if (rope.type == "longrope" || rope.type == "su") return write_longrope(out, rope);
  return write_rope(out, rope);
}

}  // namespace

Result<void> write_longrope(FamilyWriter& out, const RopeFacts& rope) {
  const ConfigReader scaling(rope.scaling, out.config.where());
  MINERVA_ASSIGN(const std::uint32_t usual,
                 out.config.count_or("original_max_position_embeddings", out.context));
  MINERVA_ASSIGN(const std::uint32_t original,
                 scaling.count_or("original_max_position_embeddings", usual));
  const auto rotated = static_cast<std::uint32_t>(rope.rotated * out.head_dim);
  for (const char* which : {"long", "short"}) {
    const std::string key = std::string(which) + "_factor";
    MINERVA_ASSIGN(std::vector<float> factors, scaling.numbers(key));
    if (factors.size() != rotated / 2)
      return scaling.refuse(key, "must have one number for each pair of rotated values");
    out.tensor("rope_factors_" + std::string(which) + ".weight", std::move(factors));
  }
  const double stretch = static_cast<double>(out.context) / original;
  const double usual_factor =
      stretch <= 1 ? 1 : std::sqrt(1 + std::log(stretch) / std::log(static_cast<double>(original)));
  MINERVA_ASSIGN(double factor, scaling.number_or("attention_factor", usual_factor));
  if (scaling.has("long_mscale") || scaling.has("short_mscale")) {  // phimoe's words
    MINERVA_ASSIGN(factor, scaling.number("long_mscale"));
    MINERVA_ASSIGN(const double of_short, scaling.number("short_mscale"));
    if (of_short != factor) return scaling.refuse("short_mscale", "must be as long_mscale");
  }
  out.u32("rope.scaling.original_context_length", original);
  out.f32("rope.scaling.attn_factor", factor);
  out.u32("rope.dimension_count", rotated);
  out.f32("rope.freq_base", rope.base);
  return {};
}

Family phi3_family() { return {{"phi3"}, "phi3", kRules, write}; }

}  // namespace minerva::models
