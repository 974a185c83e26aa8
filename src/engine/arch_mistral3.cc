// mistral3: Ministral 3 and what follows it. llama's graph with YaRN, and queries that grow with
// the logarithm of their position once it is past the original context.
#include "engine/model_config.h"

namespace minerva::engine {

Result<ModelConfig> read_mistral3(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "mistral3"));
  constexpr const char* kScale = "mistral3.attention.temperature_scale";
  if (!file.has(kScale)) return config;
  MINERVA_ASSIGN(const double scale, read_positive(file, kScale, 0));
  config.temperature_scale = static_cast<float>(scale);
  std::size_t length = 0;
  if (config.ropes[0].yarn) {
    length = static_cast<std::size_t>(config.ropes[0].yarn->original_context);
  }
  MINERVA_ASSIGN(config.temperature_length,
                 read_count(file, "mistral3.attention.temperature_length", kContextMax, length));
  if (config.temperature_length == 0) {
    return fail(
        ErrorCode::InvalidModel,
        "mistral3.attention.temperature_scale counts from the original context, and neither "
        "rope.scaling.original_context_length (with yarn) nor attention.temperature_length "
        "is there",
        kScale);
  }
  return config;
}

}  // namespace minerva::engine
