// glm4: GLM-4-0414. Norms of both branches' input and output; a part of each head turns, in pairs
// of neighbours; gate and up in one tensor; biases on q, k and v in some.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_glm4(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "glm4"));
  config.post_norms = true;
  return config;
}

}  // namespace minerva::engine
