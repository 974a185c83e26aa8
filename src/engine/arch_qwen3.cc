// qwen3, and qwen3vl, Qwen 3 VL's language model (for text its three positions of a token are the
// same): RMS norms of each head's q and k instead of qwen2's biases.
#include "engine/model_config.h"

namespace minerva::engine {
namespace {

Result<ModelConfig> read_either(const formats::GgufFile& file, std::string_view architecture) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, architecture));
  config.ropes[0].halves = true;
  config.qk_norm = QkNorm::Head;
  return config;
}

}  // namespace

Result<ModelConfig> read_qwen3(const formats::GgufFile& file) { return read_either(file, "qwen3"); }

Result<ModelConfig> read_qwen3vl(const formats::GgufFile& file) {
  return read_either(file, "qwen3vl");
}

}  // namespace minerva::engine
