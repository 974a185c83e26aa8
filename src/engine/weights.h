// A model's weights as the graph uses them: matrices packed for the kernels, vectors in float.
#pragma once

#include <vector>

#include "engine/expert_weights.h"
#include "engine/pack.h"

namespace minerva::engine {

// A norm's weights; empty where the model has no norm in this place.
struct Norm {
  std::vector<float> weight;
  std::vector<float> bias;  // of NormKind::Layer only; may be empty

  bool exists() const { return !weight.empty(); }
};

// out = weight * in + bias
struct Linear {
  PackedWeight weight;      // [rows][cols]
  std::vector<float> bias;  // [rows], or empty
};

// Of attention through latents (LatentConfig); q's rows are heads x (plain + rotated) values.
struct LatentWeights {
  Linear query_down;     // [query_rank][width], where queries have a latent: q reads its norm
  Norm query_norm;       // [query_rank]
  Linear down;           // [rank + rotated][width]: the latent, then the key's rotated part
  Norm norm;             // [rank]
  MatrixStack key_up;    // of each head [rank][plain]: a query in terms of the latent
  MatrixStack value_up;  // of each head [value_dim][rank]
};

// Of a gated delta rule (DeltaConfig).
struct DeltaWeights {
  Linear mixed;                   // [mixed][width]: queries, keys, values, each of all heads
  Linear gate;                    // [value_heads * value_dim][width], of the output
  Linear beta, alpha;             // [value_heads][width]: how much is learnt, and forgotten
  std::vector<float> taps;        // [taps][mixed], of the oldest token first
  std::vector<float> rate, bias;  // [value_heads]: decay = exp(rate * softplus(alpha + bias))
  Norm norm;                      // [value_dim], of each head's output
};

// Which of them exist is the ModelConfig's to say; model.cc names the tensors.
struct LayerWeights {
  Norm attention_norm;            // [width], with pre_norms
  Norm q_norm, k_norm;            // with qk_norm
  Norm post_attention_norm;       // [width], with post_norms
  Norm ff_norm;                   // [width], with pre_norms and unless parallel
  Norm post_ff_norm;              // [width], with post_norms
  Linear q, k, v, attention_out;  // [heads*dim][width], [kv_heads*dim][width], ., [width][.]
  std::vector<float> sinks;       // [heads], with attention_sinks
  Linear q_gate;                  // [heads*dim][width], with attention_gate
  LatentWeights latent;           // instead of k and v
  DeltaWeights delta;             // instead of q, k and v
  // With a convolution, instead of q, k and v: two gates and what they gate, [3 * width][width];
  // and of each value the weights of its tokens, the oldest first, [width][tokens].
  Linear gates;
  std::vector<float> convolution;
  Linear gate, up, down;  // [ff][width] if gated, [ff][width], [width][ff]
  ExpertWeights experts;  // instead of these three, or beside them
  // With layer inputs: [layer_input_width][width], back, and [width].
  Linear input_gate, input_out;
  Norm input_norm;
  std::vector<float> output_scale;  // [1], with layer_scales
};

}  // namespace minerva::engine
