// Runs the transformer: one step takes tokens of many sequences, prefill chunks and single tokens
// mixed, and gives logits where they are asked for. A token's result depends on its sequence's own
// tokens alone, to the bit (docs/numerics.md). Used by one thread; computes on the pool.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/token.h"
#include "engine/activation_buffer.h"
#include "engine/compute_pool.h"
#include "engine/kv_cache.h"
#include "engine/model.h"
#include "engine/rope_angles.h"
#include "kernels/kernel_table.h"

namespace minerva::engine {

// Tokens of one sequence, at positions kv->length and on. Their pages are reserved already.
struct StepItem {
  SequenceKv* kv = nullptr;
  std::span<const TokenId> tokens;
  std::size_t logits_from = 0;  // logits for tokens [logits_from, size); size: for none
};

class Decoder {
 public:
  // Bounds of one step. More tokens need more scratch memory and change no result.
  struct Limits {
    std::size_t tokens = kChunkMax;
    std::size_t logits = 64;  // rows of logits
  };

  // Memory of its buffers, near enough to plan with.
  static std::uint64_t work_bytes(const ModelConfig& config, Limits limits);

  Decoder(std::shared_ptr<const Model> model, KvPool& kv, ComputePool& pool,
          const kernels::KernelTable& kernels, Limits limits);
  ~Decoder();

  const Limits& limits() const { return limits_; }

  // Computes one step within the limits and moves each kv->length past its tokens.
  void step(std::span<const StepItem> items);

  // False once the model's file was cut short: the last step's logits are worthless.
  bool intact() const { return model_->intact(); }

  // Logits of the last step's row, counted over the items in order; the caller may write to them.
  std::span<float> logits(std::size_t row);

 private:
  struct Token;
  struct Output;
  struct Rows;
  struct Scratch;
  void prepare(std::span<const StepItem> items);
  void forward(unsigned thread);
  void embed(unsigned thread);
  void attention(unsigned thread, std::size_t layer);
  // Stores keys and values, then attends.
  void look_back(unsigned thread, std::size_t layer);
  void rotate_and_store(std::size_t token, std::size_t kv_head, std::size_t layer);
  void attend(std::size_t token, std::size_t first_head, std::size_t head_count, std::size_t layer);
  void feed_forward(unsigned thread, std::size_t layer);
  // residual += branch (normed first where the model does so), then the next norm, quantised.
  void add_branch(unsigned thread, Output& branch, std::span<const float> post_norm,
                  std::span<const float> next_norm);
  void output(unsigned thread);

  // In a wide step every row belongs to one thread, and others wait for it at rows_barrier(); in a
  // narrow one every thread has all rows for itself.
  bool narrow() const;
  Share rows_of(std::size_t count, unsigned thread) const;
  Rows& rows(unsigned thread);
  void rows_barrier();

  std::shared_ptr<const Model> model_;
  KvPool& kv_;
  ComputePool& pool_;
  const kernels::KernelTable& k_;
  const Limits limits_;
  std::vector<RopeAngles> ropes_;
  std::unique_ptr<Scratch> s_;
};

}  // namespace minerva::engine
