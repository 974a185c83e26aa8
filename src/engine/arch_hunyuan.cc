// hunyuan-dense and hunyuan-moe: norms of each head's q and k after RoPE. The MoE's experts are
// weighted by a softmax over the chosen, beside one that every token uses.
#include "engine/model_config.h"

namespace minerva::engine {
namespace {

Result<ModelConfig> read_hunyuan(const formats::GgufFile& file, std::string_view architecture) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, architecture));
  config.ropes[0].halves = true;
  config.qk_norm = QkNorm::Head;
  config.qk_norm_after_rope = true;
  return config;
}

}  // namespace

Result<ModelConfig> read_hunyuan_dense(const formats::GgufFile& file) {
  return read_hunyuan(file, "hunyuan-dense");
}

Result<ModelConfig> read_hunyuan_moe(const formats::GgufFile& file) {
  const std::string prefix = "hunyuan-moe.";
  MINERVA_ASSIGN(ModelConfig config, read_hunyuan(file, "hunyuan-moe"));
  const std::size_t ff_width = config.ff_width;
  MINERVA_ASSIGN(config.experts, read_experts(file, prefix, {}));
  MINERVA_TRY(read_shared_expert(file, prefix, false, config.experts));
  if (config.experts.shared_ff_width == 0) config.experts.shared_ff_width = ff_width;
  return config;
}

}  // namespace minerva::engine
