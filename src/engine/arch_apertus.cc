// apertus: norms of each head's q and k; a feed-forward without gate, whose activation has factors
// that were learnt for each layer (xIELU).
#include <fmt/core.h>

#include <cmath>
#include <string>

#include "engine/model_config.h"

namespace minerva::engine {
namespace {

// One number for each layer, or the same for all.
Result<std::vector<float>> read_numbers(const formats::GgufFile& file, const std::string& key,
                                        std::size_t layers) {
  std::vector<float> values;
  if (auto list = file.get_floats(key)) {
    values = std::move(*list);
  } else {
    MINERVA_ASSIGN(const double value, file.get_float(key));
    values.assign(layers, static_cast<float>(value));
  }
  if (values.size() != layers) {
    return fail(
        ErrorCode::InvalidModel,
        fmt::format("{} has {} numbers; the model has {} layers", key, values.size(), layers), key);
  }
  constexpr float kSane = 1e4F;
  for (const float value : values) {
    if (std::abs(value) <= kSane) continue;  // NaN is not
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} has a {}, outside -{} to {}", key, value, kSane, kSane), key);
  }
  return values;
}

float softplus(float x) {
  const auto value = static_cast<double>(x);
  return static_cast<float>(value > 30 ? value : std::log1p(std::exp(value)));
}

}  // namespace

Result<ModelConfig> read_apertus(const formats::GgufFile& file) {
  MINERVA_ASSIGN(ModelConfig config, read_common(file, "apertus"));
  config.ropes[0].halves = true;
  config.qk_norm = QkNorm::Head;
  config.gated = false;
  config.activation = Activation::Xielu;
  const std::size_t layers = config.layers.size();
  MINERVA_ASSIGN(const auto positive, read_numbers(file, "xielu.alpha_p", layers));
  MINERVA_ASSIGN(const auto negative, read_numbers(file, "xielu.alpha_n", layers));
  MINERVA_ASSIGN(const auto beta, read_numbers(file, "xielu.beta", layers));
  MINERVA_ASSIGN(const auto edge, read_numbers(file, "xielu.eps", layers));
  for (std::size_t i = 0; i < layers; ++i) {
    config.layers[i].xielu = {.positive = softplus(positive[i]),
                              .negative = beta[i] + softplus(negative[i]),
                              .beta = beta[i],
                              .edge = edge[i]};
  }
  return config;
}

}  // namespace minerva::engine
