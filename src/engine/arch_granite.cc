// granite and granitemoe: llama's graph with scales on the embedding, both branches, the scores and
// the logits; in the latter experts, and one that every token uses in some.
#include "engine/model_config.h"

namespace minerva::engine {
namespace {

Result<ModelConfig> read_either(const formats::GgufFile& file, const std::string& architecture) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, architecture));
  MINERVA_ASSIGN(const double divisor, read_positive(file, architecture + ".logit_scale", 1));
  config.logit_scale = static_cast<float>(1 / divisor);
  // The key is a switch for RoPE here: some models of Granite 4 know no positions.
  MINERVA_ASSIGN(const bool rope, file.get_bool_or(architecture + ".rope.scaling.finetuned", true));
  for (LayerConfig& layer : config.layers) layer.rope = rope ? 0 : kNoRope;
  return config;
}

}  // namespace

Result<ModelConfig> read_granite(const formats::GgufFile& file) {
  return read_either(file, "granite");
}

Result<ModelConfig> read_granitemoe(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_either(file, "granitemoe"));
  MINERVA_ASSIGN(config.experts, read_experts(file, "granitemoe.", {}));
  MINERVA_TRY(read_shared_expert(file, "granitemoe.", false, config.experts));
  return config;
}

}  // namespace minerva::engine
