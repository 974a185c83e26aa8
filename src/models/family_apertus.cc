// apertus: no gate, and an activation whose factors were learnt (xIELU): GGUF has them in its
// metadata.
#include <fmt/format.h>

#include <utility>
#include <vector>

#include "models/family.h"
#include "models/folder_tensors.h"

namespace minerva::models {
namespace {

constexpr TensorRule kRules[] = {
    {"model.layers.{}.attention_layernorm", "blk.{}.attn_norm"},
    {"model.layers.{}.feedforward_layernorm", "blk.{}.ffn_norm"},
    {"model.layers.{}.mlp.act_fn.alpha_p", "", Change::Skip, true},
    {"model.layers.{}.mlp.act_fn.alpha_n", "", Change::Skip, true},
    {"model.layers.{}.mlp.act_fn.beta", "", Change::Skip, true},
    {"model.layers.{}.mlp.act_fn.eps", "", Change::Skip, true},
};
constexpr std::uint32_t kLayersMax = 1024;

Result<void> write(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-5}, {"rope_theta", 12e6}, {"hidden_act", "xielu"}});
  if (!out.config.has("rope_scaling") && !out.config.has("rope_parameters")) {
    out.set_defaults({{"rope_scaling",
                       {{"rope_type", "llama3"},
                        {"factor", 8.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 8192}}}});
  }
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"xielu"}));
  MINERVA_TRY(must_be(out.config, "post_norm", false));
  MINERVA_TRY(must_be(out.config, "qk_norm", true));
  MINERVA_TRY(write_decoder(out));
  if (out.layers > kLayersMax)
    return out.config.refuse("num_hidden_layers", "must be at most 1024");
  return {};
}

Result<void> write_values(FamilyWriter& out, const FolderTensors& tensors) {
  for (const auto& [name, otherwise] : {std::pair{"alpha_p", 0.0F}, std::pair{"alpha_n", 0.0F},
                                        std::pair{"beta", 0.5F}, std::pair{"eps", -1e-6F}}) {
    const bool may_lack = otherwise != 0;
    std::vector<float> values;
    for (std::uint32_t i = 0; i < out.layers; ++i) {
      const std::string tensor = fmt::format("model.layers.{}.mlp.act_fn.{}", i, name);
      if (may_lack && tensors.find(tensor) == nullptr) {
        values.push_back(otherwise);
        continue;
      }
      MINERVA_ASSIGN(const float value, tensors.number(tensor));
      values.push_back(value);
    }
    out.plain_f32s(fmt::format("xielu.{}", name), values);
  }
  return {};
}

}  // namespace

Family apertus_family() { return {{"apertus"}, "apertus", kRules, write, write_values}; }

}  // namespace minerva::models
