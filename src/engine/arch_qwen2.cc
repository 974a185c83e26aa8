// qwen2 and qwen2vl: llama's graph with biases on q, k and v, and pairs half a head apart. qwen2vl
// is Qwen 2 and 2.5 VL's language model: for text its three positions of a token are the same.
#include "engine/model_config.h"

namespace minerva::engine {
namespace {

Result<ModelConfig> read_either(const formats::GgufFile& file, std::string_view architecture) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, architecture));
  config.ropes[0].halves = true;
  config.required = {"attn_q.bias", "attn_k.bias", "attn_v.bias"};
  return config;
}

}  // namespace

Result<ModelConfig> read_qwen2(const formats::GgufFile& file) { return read_either(file, "qwen2"); }

Result<ModelConfig> read_qwen2vl(const formats::GgufFile& file) {
  return read_either(file, "qwen2vl");
}

}  // namespace minerva::engine
