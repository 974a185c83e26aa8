// exaone: EXAONE 3 and 3.5. llama's graph with pairs half a head apart.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_exaone(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "exaone"));
  config.ropes[0].halves = true;
  return config;
}

}  // namespace minerva::engine
