// The weights of one layer's experts. Immutable once loaded.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/result.h"
#include "engine/pack.h"

namespace minerva::engine {

// Matrices of one shape and type, in one allocation: one of every expert.
struct MatrixStack {
  AlignedBuffer memory;  // may be empty: then each has its own
  std::vector<PackedWeight> matrices;
  std::vector<float> bias;  // [matrix][rows], or empty

  const float* bias_of(std::size_t i) const {
    return bias.empty() ? nullptr : bias.data() + i * matrices[i].rows();
  }
};

struct ExpertWeights {
  PackedWeight router;             // [experts][width], float32 whatever the file holds
  std::vector<float> router_bias;  // [experts], or empty
  std::vector<float> choice_bias;  // [experts], with ExpertsConfig::choice_bias
  MatrixStack gate, up, down;      // [ff][width], [ff][width], [width][ff]
  // Beside a dense feed-forward: norms of the router's and the experts' input, of the dense part's
  // result and the experts' [width], and what the weight of each expert is multiplied by [experts].
  std::vector<float> router_norm, input_norm, dense_norm, output_norm, scales;
  PackedWeight shared_gate, shared_up, shared_down;  // of ExpertsConfig::shared_ff_width rows
  PackedWeight shared_router;  // [1][width], float32, with ExpertsConfig::shared_gate

  bool empty() const { return router.rows() == 0; }
  bool has_shared() const { return shared_gate.rows() != 0; }
  bool has_shared_router() const { return shared_router.rows() != 0; }
};

class WeightLoader;
struct ModelConfig;
// Asks for the tensors of the layer whose names begin with `block`.
Result<void> request_experts(WeightLoader& loader, const ModelConfig& config,
                             const std::string& block, ExpertWeights& to);

}  // namespace minerva::engine
