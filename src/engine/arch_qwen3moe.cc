// qwen3moe and qwen3vlmoe: qwen3 and qwen3vl with experts; the weights of those that a token uses
// add up to 1.
#include "engine/model_config.h"

namespace minerva::engine {
namespace {

Result<ModelConfig> read_either(const formats::GgufFile& file, const std::string& architecture) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, architecture));
  config.ropes[0].halves = true;
  config.qk_norm = QkNorm::Head;
  MINERVA_ASSIGN(config.experts, read_experts(file, architecture + ".", {}));
  return config;
}

}  // namespace

Result<ModelConfig> read_qwen3moe(const formats::GgufFile& file) {
  return read_either(file, "qwen3moe");
}

Result<ModelConfig> read_qwen3vlmoe(const formats::GgufFile& file) {
  return read_either(file, "qwen3vlmoe");
}

}  // namespace minerva::engine
