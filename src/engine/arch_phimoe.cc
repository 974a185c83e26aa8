// phimoe: Phi-3.5-MoE. LayerNorms with bias, whose epsilon has the key of RMS norms; biases on
// attention's matrices and the output; experts weighted as SparseMixer weights them; longrope.
#include <fmt/core.h>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

// The makers' number; files do not say it.
constexpr float kMixerShare = 0.01F;

}  // namespace

Result<ModelConfig> read_phimoe(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "phimoe"));
  config.norm = NormKind::Layer;
  config.ropes[0].halves = true;
  config.required = {"attn_norm.bias", "ffn_norm.bias", "attn_q.bias",
                     "attn_k.bias",    "attn_v.bias",   "attn_output.bias"};
  MINERVA_ASSIGN(const std::size_t window, read_window(file, "phimoe."));
  for (LayerConfig& layer : config.layers) layer.window = window;
  MINERVA_ASSIGN(config.experts, read_experts(file, "phimoe.", {}));
  if (config.experts.used > 2) {
    return fail(ErrorCode::Unsupported,
                fmt::format("phimoe.expert_used_count is {}; SparseMixer chooses 2 at most",
                            config.experts.used),
                "phimoe.expert_used_count");
  }
  config.experts.mixer_share = kMixerShare;
  return config;
}

}  // namespace minerva::engine
