// Families whose queries and keys are permuted on the way to GGUF: llama (Llama 1 to 3, SmolLM 1
// and 2, and Mistral, whose GGUF files are llama's), mistral3, smollm3 and arcee.
#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kRules[] = {
    {"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", Change::RotaryQ},
    {"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", Change::RotaryK},
};

Result<void> write_llama(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(write_decoder(out));
  // Of Mistral's first version.
  return write_count(out, "sliding_window", "attention.sliding_window");
}

// Ministral 3 and what follows it: queries grow with the logarithm of their position.
Result<void> write_mistral3(FamilyWriter& out) {
  out.growing_queries = true;
  MINERVA_TRY(write_llama(out));
  MINERVA_ASSIGN(const RopeFacts rope, read_rope_facts(out.config, 10'000));
  const ConfigReader scaling(rope.scaling, out.config.where());
  MINERVA_ASSIGN(const double growth, scaling.number_or("llama_4_scaling_beta", 0));
  if (growth > 0) out.f32("attention.temperature_scale", growth);
  return {};
}

Result<void> write_arcee(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"relu2"}));
  return write_decoder(out);
}

// GGUF says nothing of the layers without RoPE: it is every fourth.
Result<void> write_smollm3(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(must_be(out.config, "use_sliding_window", false));
  MINERVA_TRY(write_decoder(out));
  MINERVA_ASSIGN(const auto rotated, out.config.numbers("no_rope_layers"));
  bool usual = rotated.empty() || rotated.size() == out.layers;
  for (std::size_t i = 0; i < rotated.size(); ++i)
    usual = usual && rotated[i] == ((i + 1) % 4 == 0 ? 0.0F : 1.0F);
  if (usual) return {};
  return out.config.refuse("no_rope_layers", "must be 1, 1, 1, 0 again and again");
}

}  // namespace

Family llama_family() { return {{"llama", "mistral"}, "llama", kRules, write_llama}; }
Family mistral3_family() { return {{"ministral3"}, "mistral3", kRules, write_mistral3}; }
Family arcee_family() { return {{"arcee"}, "arcee", kRules, write_arcee}; }
Family smollm3_family() { return {{"smollm3"}, "smollm3", kRules, write_smollm3}; }

}  // namespace minerva::models
