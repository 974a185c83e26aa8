// The feed-forward of layers with experts: a router chooses a few experts for each token, each
// computes act(gate x) * (up x) and down of that, and their results are added up by weight, in
// ascending order of their indexes, the shared expert last. A step's tokens are put together by
// expert, so that each matrix is read once; a token's result is the same whatever the others are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/activation_buffer.h"
#include "engine/compute_pool.h"
#include "engine/model.h"
#include "kernels/kernel_table.h"

namespace minerva::engine {

// A step as one of the pool's threads sees it.
struct ExpertStep {
  unsigned thread = 0;
  std::size_t tokens = 0;
  // Every thread has all rows for itself (Decoder says when and why); else they share them.
  bool narrow = false;
  ActivationBuffer* normed = nullptr;  // the layer's input, in float and as its readers want it
  const float* routed = nullptr;       // [token][width]: what the router reads; null: the same
};

class ExpertFeedForward {
 public:
  // Room for steps of `tokens` tokens, narrow ones of `narrow_tokens`. The model has experts.
  ExpertFeedForward(const Model& model, std::size_t tokens, std::size_t narrow_tokens,
                    ComputePool& pool, const kernels::KernelTable& kernels);
  ~ExpertFeedForward();

  // Memory of its buffers, near enough to plan with; 0 for a dense model.
  static std::uint64_t work_bytes(const ModelConfig& config, std::size_t tokens);

  // One thread's part of a layer. `branch` is rows of `stride` floats; they are complete once every
  // thread has returned.
  void run(const ExpertStep& step, const ExpertWeights& weights, float* branch, std::size_t stride);

 private:
  struct Part;
  struct Rows;
  struct Scratch;
  void route(const ExpertStep& step, const ExpertWeights& weights);
  void choose(const ExpertStep& step, const ExpertWeights& weights, std::size_t begin,
              std::size_t end);
  void list_parts(const ExpertStep& step, const ExpertWeights& weights);
  void gather(const ExpertStep& step);
  void gate_and_up(const ExpertStep& step);
  void quantize_activated(const ExpertStep& step);
  void down(const ExpertStep& step, float* branch, std::size_t stride);

  Rows& rows(const ExpertStep& step);
  Share share(const ExpertStep& step, std::size_t count) const;
  void rows_barrier(const ExpertStep& step);

  const ModelConfig& config_;
  ComputePool& pool_;
  const kernels::KernelTable& k_;
  std::unique_ptr<Scratch> s_;
};

}  // namespace minerva::engine
