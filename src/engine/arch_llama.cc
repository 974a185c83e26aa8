// llama: Llama 1 to 3, Mistral, SmolLM and whatever else is converted under that name. q and k rows
// were permuted at conversion, so pairs are neighbours.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_llama(const formats::GgufFile& file) { return read_common(file, "llama"); }

}  // namespace minerva::engine
