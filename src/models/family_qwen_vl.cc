// Language models of Qwen 2, 2.5 and 3 VL: qwen2's, qwen3's and qwen3_moe's graphs. A token has
// three positions, which are the same in text; images are other engines'. Older folders keep the
// numbers of the language model at the top of config.json. The MoE's experts are one tensor for
// all, with a row for each input.
#include <array>
#include <cmath>
#include <vector>

#include "models/family.h"

namespace minerva::models {
namespace {

constexpr TensorRule kMoeRules[] = {
    {"model.layers.{}.mlp.gate", "blk.{}.ffn_gate_inp", Change::Float},
    {"model.layers.{}.mlp.experts.gate_up_proj", "blk.{}.ffn_gate_exps.weight",
     Change::FirstColumns, true},
    {"model.layers.{}.mlp.experts.gate_up_proj", "blk.{}.ffn_up_exps.weight", Change::LastColumns,
     true},
    {"model.layers.{}.mlp.experts.down_proj", "blk.{}.ffn_down_exps.weight", Change::Columns, true},
};

// How many pairs each of an image's positions turns: GGUF has four numbers.
constexpr std::size_t kSections = 4;
constexpr float kSectionMax = 4096;

// Writes the sections of the pairs and leaves a RoPE as other families have it.
Result<void> take_sections(FamilyWriter& out) {
  nlohmann::json config = out.config.json();
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const nlohmann::json* rope = out.config.object(key);
    if (rope == nullptr) continue;
    const ConfigReader reader(*rope, out.config.where());
    MINERVA_ASSIGN(const std::vector<float> given, reader.numbers("mrope_section"));
    if (given.size() > kSections)
      return reader.refuse("mrope_section", "must have at most four numbers");
    std::array<std::int32_t, kSections> sections{};
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (given[i] < 0 || given[i] > kSectionMax || given[i] != std::floor(given[i]))
        return reader.refuse("mrope_section", "must have whole numbers from 0 to 4096");
      sections[i] = static_cast<std::int32_t>(given[i]);
    }
    if (!given.empty()) out.i32s("rope.dimension_sections", sections);
    nlohmann::json& changed = config[key];
    for (const char* member : {"mrope_section", "mrope_interleaved"}) changed.erase(member);
    for (const char* type : {"type", "rope_type"}) {
      const auto at = changed.find(type);
      if (at != changed.end() && *at == "mrope") *at = "default";
    }
    break;  // the first says it all
  }
  out.replace_config(std::move(config));
  return {};
}

Result<void> write_dense(FamilyWriter& out) {
  MINERVA_TRY(take_sections(out));
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  MINERVA_TRY(must_be(out.config, "use_sliding_window", false));
  return write_decoder(out);
}

Result<void> write_qwen2(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-5}, {"rope_theta", 1e6}});
  return write_dense(out);
}

// Layers of the eyes whose outputs are added to the first layers' for an image.
Result<void> write_deep_layers(FamilyWriter& out) {
  const nlohmann::json* vision = out.whole.object("vision_config");
  if (vision == nullptr) return {};
  const ConfigReader reader(*vision, out.config.where());
  MINERVA_ASSIGN(const auto layers, reader.numbers("deepstack_visual_indexes"));
  out.u32("n_deepstack_layers", static_cast<std::uint32_t>(layers.size()));
  return {};
}

Result<void> write_qwen3(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-6}, {"rope_theta", 5e5}, {"head_dim", 128}});
  MINERVA_TRY(write_dense(out));
  return write_deep_layers(out);
}

Result<void> write_moe(FamilyWriter& out) {
  out.set_defaults({{"rms_norm_eps", 1e-6}, {"rope_theta", 5e5}, {"norm_topk_prob", true}});
  MINERVA_TRY(take_sections(out));
  MINERVA_TRY(write_qwen_experts(out, true));
  return write_deep_layers(out);
}

}  // namespace

Family qwen2_vl_family() { return {{"qwen2_vl", "qwen2_vl_text"}, "qwen2vl", {}, write_qwen2}; }
Family qwen2_5_vl_family() {
  return {{"qwen2_5_vl", "qwen2_5_vl_text"}, "qwen2vl", {}, write_qwen2};
}
Family qwen3_vl_family() { return {{"qwen3_vl", "qwen3_vl_text"}, "qwen3vl", {}, write_qwen3}; }
Family qwen3_vl_moe_family() {
  return {{"qwen3_vl_moe", "qwen3_vl_moe_text"}, "qwen3vlmoe", kMoeRules, write_moe};
}

}  // namespace minerva::models
