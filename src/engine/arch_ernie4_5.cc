// ernie4_5 and ernie4_5-moe: llama's graph, whose pairs are neighbours by the makers' own design.
// In the MoE the first layers are dense, a bias has a say in the choice of experts, the weights of
// the chosen are made to add up to 1, and some experts are there for every token.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_ernie4_5(const formats::GgufFile& file) {
  return read_common(file, "ernie4_5");
}

Result<ModelConfig> read_ernie4_5_moe(const formats::GgufFile& file) {
  const std::string prefix = "ernie4_5-moe.";
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "ernie4_5-moe"));
  MINERVA_ASSIGN(config.experts, read_experts(file, prefix, {}));
  MINERVA_TRY(read_shared_expert(file, prefix, false, config.experts));
  config.experts.choice_bias = true;
  MINERVA_TRY(read_dense_layers(file, config));
  const std::string step_key = prefix + "interleave_moe_layer_step";
  MINERVA_ASSIGN(const std::size_t step, read_count(file, step_key, config.layers.size(), 1));
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    if ((i + 1) % step != 0) config.layers[i].dense = true;
  }
  return config;
}

}  // namespace minerva::engine
