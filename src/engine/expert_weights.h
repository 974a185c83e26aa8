// The weights of one layer's experts. Immutable once loaded.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/result.h"
#include "engine/pack.h"

namespace minerva::engine {

// One matrix of every expert, in one allocation.
struct ExpertStack {
  AlignedBuffer memory;
  std::vector<PackedWeight> matrices;  // by expert
  std::vector<float> bias;             // [expert][rows], or empty

  const float* bias_of(std::size_t expert) const {
    return bias.empty() ? nullptr : bias.data() + expert * matrices[expert].rows();
  }
};

struct ExpertWeights {
  PackedWeight router;             // [experts][width], float32 whatever the file holds
  std::vector<float> router_bias;  // [experts], or empty
  ExpertStack gate, up, down;      // [ff][width], [ff][width], [width][ff]
  PackedWeight shared_gate, shared_up, shared_down;  // of ExpertsConfig::shared_ff_width rows
  PackedWeight shared_router;  // [1][width], float32: how much of the shared expert a token takes

  bool empty() const { return router.rows() == 0; }
  bool has_shared() const { return shared_gate.rows() != 0; }
};

class WeightLoader;
struct ModelConfig;
// Asks for the tensors of the layer whose names begin with `block`.
Result<void> request_experts(WeightLoader& loader, const ModelConfig& config,
                             const std::string& block, ExpertWeights& to);

}  // namespace minerva::engine
