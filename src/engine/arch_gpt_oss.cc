// gpt-oss: experts with biases and a clamped activation; a softmax over the chosen ones' logits;
// every second layer, from the first on, sees a window; each head has a sink, a logit without a
// value that takes its share of the attention; biases everywhere; YaRN whose ramp is not rounded to
// whole pairs.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_gpt_oss(const formats::GgufFile& file) {
  const std::string prefix = "gpt-oss.";
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "gpt-oss"));
  config.activation = Activation::ClampedSwiglu;
  config.attention_sinks = true;
  config.ff_norm_name = "post_attention_norm";
  config.required = {"attn_q.bias",      "attn_k.bias",       "attn_v.bias",
                     "attn_output.bias", "ffn_gate_inp.bias", "ffn_gate_exps.bias",
                     "ffn_up_exps.bias", "ffn_down_exps.bias"};
  config.ropes[0].halves = true;
  if (config.ropes[0].yarn) config.ropes[0].yarn->whole_pairs = false;
  MINERVA_ASSIGN(config.experts, read_experts(file, prefix, {}));
  MINERVA_TRY(set_windows(file, 2, config));
  return config;
}

}  // namespace minerva::engine
