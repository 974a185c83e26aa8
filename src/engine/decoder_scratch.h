// What a step of the Decoder writes; for decoder*.cc only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "engine/decoder.h"
#include "engine/grouped_activations.h"

namespace minerva::engine {

// Up to so many tokens a step is narrow: every thread computes all rows' norms and quantisation for
// itself, in buffers of its own. That costs a microsecond and saves half of the barriers, which
// cost as much each.
inline constexpr std::size_t kNarrow = 4;

// An output for every token: rows of `stride` floats.
struct Decoder::Output {
  Output(std::size_t tokens, std::size_t rows)
      : stride((rows + kernels::kPanelRows - 1) / kernels::kPanelRows * kernels::kPanelRows),
        values(tokens * stride) {}
  float* row(std::size_t token) { return values.data() + token * stride; }
  std::size_t stride;
  std::vector<float> values;
};

// One row of a step.
struct Decoder::Token {
  TokenId id;
  SequenceKv* kv;
  std::size_t position;
};

// Tokens of one sequence in a step, one behind the other.
struct Decoder::Run {
  std::size_t first;
  std::size_t count;
  SequenceKv* kv;
};

// One input for each width that matrices of one kind have in different layers.
class InputsByWidth {
 public:
  InputsByWidth(std::size_t tokens, std::span<const PackedWeight* const> readers);
  ActivationBuffer& of(const PackedWeight& reader);

 private:
  std::vector<ActivationBuffer> inputs_;
};

// What belongs to rows (tokens) rather than to a matrix's outputs.
struct Decoder::Rows {
  Rows(const Model& model, std::size_t tokens, std::size_t logits);

  Output residual;
  ActivationBuffer normed, query_latent, final_normed;
  InputsByWidth attended, activated;
  // With layer inputs: the residual, and a layer's gate. With experts beside the dense part: theirs
  // and the router's.
  ActivationBuffer plain, input_gate, expert_input, routed;
  std::vector<float> branch;  // one row, while its norm is taken
};

// Everything that a step writes, sized once for the limits.
struct Decoder::Scratch {
  Scratch(const Model& model, const Limits& limits, unsigned threads);

  std::vector<Token> tokens;
  std::vector<Run> runs;
  std::vector<std::size_t> logit_rows;  // tokens whose logits are wanted
  std::vector<std::size_t> state_rows;  // and those whose final norm's output is
  // Rows of a wide step, each written by one thread; and each thread's own of a narrow one.
  Rows shared;
  std::vector<Rows> own;
  // Outputs of the matrices and of attention: written in pieces by all threads.
  Output q, k, v, attended, gate, up, activated, attention_branch, ff_branch, logits;
  // With latents: as the matrices give them, and each head's values; a head's input, by thread.
  Output query_latent, head_queries, latent, values;
  std::vector<GroupedActivations> head_plain, head_latent;
  // With layer inputs [token][layer][width]; a row of their table, by thread; and a layer's gate.
  Output layer_inputs, input_gate, expert_branch;
  std::vector<std::vector<float>> layer_table;
  // With convolutions: their gates and what these gate; one token's kept values, by thread.
  Output gates;
  std::vector<std::vector<float>> kept;
  // With attention's gate: of each head's values.
  Output q_gate;
  // With delta rules: as the matrices give them; and a head's query, key and value, by thread.
  Output mixed, delta_gate, beta, alpha;
  std::vector<std::vector<float>> delta_head;
  // [rope][token][pairs]
  std::vector<std::vector<float>> cos, sin;
  std::vector<float> temperatures;  // [token], with ModelConfig::temperature_length
};

}  // namespace minerva::engine
