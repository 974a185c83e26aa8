// Runs the transformer: one step takes tokens of many sequences, prefill chunks and single tokens
// mixed, and gives logits where they are asked for. A token's result depends on its sequence's own
// tokens alone, to the bit (docs/numerics.md). Used by one thread; computes on the pool.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "base/token.h"
#include "engine/activation_buffer.h"
#include "engine/compute_pool.h"
#include "engine/experts.h"
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
  bool states = false;          // the final norm's outputs of all tokens are wanted
};

class Decoder {
 public:
  // Bounds of one step. More tokens or rows need more scratch memory and change no result.
  struct Limits {
    std::size_t tokens = kChunkMax;
    std::size_t logits = 64;  // rows of logits
    // The longest that a sequence may become, which chooses between longrope's factors; 0: the
    // context that the model was trained for.
    std::size_t context = 0;
  };

  // Memory of its buffers, near enough to plan with.
  static std::uint64_t work_bytes(const ModelConfig& config, Limits limits);

  Decoder(std::shared_ptr<const Model> model, KvPool& kv, ComputePool& pool,
          const kernels::KernelTable& kernels, Limits limits);
  ~Decoder();

  const Limits& limits() const { return limits_; }
  std::size_t width() const { return model_->config().width; }

  // Computes one step within the limits and moves each kv->length past its tokens.
  void step(std::span<const StepItem> items);

  // False once the model's file was cut short: the last step's logits are worthless.
  bool intact() const { return model_->intact(); }

  // Logits of the last step's row, counted over the items in order; the caller may write to them.
  std::span<float> logits(std::size_t row);
  // The final norm's output, [width], of a token of the last step, counted over the items in order.
  // Its item has asked for states.
  std::span<const float> state(std::size_t token);

 private:
  struct Token;
  struct Output;
  struct Rows;
  struct Run;
  struct Scratch;
  void prepare(std::span<const StepItem> items);
  void forward(unsigned thread);
  void embed(unsigned thread);
  // Leaves its result in a branch, which parallel models add together with the feed-forward's.
  void attention(unsigned thread, std::size_t layer);
  void project(unsigned thread, std::size_t layer);
  // The same with latents (decoder_latent.cc): q as each head's query of the latent.
  void project_latents(unsigned thread, std::size_t layer);
  // In attention's place (decoder_convolution.cc).
  void convolve(unsigned thread, std::size_t layer);
  // Likewise (decoder_delta.cc): each run of a sequence's tokens through its states.
  void project_delta(unsigned thread, std::size_t layer);
  void recur(unsigned thread, std::size_t layer);
  void recur_head(unsigned thread, const Run& run, std::size_t head, std::size_t layer);
  // What the next step's convolutions read of this one's tokens, once nobody reads the last one's.
  void keep_last_tokens(unsigned thread, std::size_t layer);
  void normalize_whole_rows(unsigned thread, const LayerWeights& w);
  // Stores keys and values, then attends.
  void look_back(unsigned thread, std::size_t layer);
  void rotate_and_store(std::size_t token, std::size_t kv_head, std::size_t layer);
  void rotate_and_store_latent(std::size_t token, std::size_t layer);
  // Puts one KV head's key and value, [head_dim], into the token's pages.
  void store(const Token& at, std::size_t layer, std::size_t kv_head, const float* k,
             const float* v, std::size_t head_dim);
  // What a token takes from latents becomes each head's value.
  void expand_values(unsigned thread, std::size_t layer);
  void normalize_heads(float* heads, std::size_t head_dim, std::size_t first, std::size_t count,
                       const Norm& norm);
  void attend(std::size_t token, std::size_t first_head, std::size_t head_count, std::size_t layer);
  void feed_forward(unsigned thread, std::size_t layer);
  // ff_branch = the experts' result beside it, both normed.
  void add_experts(unsigned thread, std::size_t layer);
  void add_feed_forward(unsigned thread, std::size_t layer);
  // Layer inputs (decoder_layer_inputs.cc): of the step's tokens, and what a layer makes of them.
  void make_layer_inputs(unsigned thread);
  void add_layer_input(unsigned thread, std::size_t layer, const Norm* next_norm);
  void output(unsigned thread);

  // A branch of a layer, and the norm of its output if the model has one.
  struct Branch {
    Output& out;
    const Norm& post_norm;
  };
  // Adds branches to the residual and leaves what the next matrices read, normed and quantised.
  // next_norm null: nothing reads it. `scale` is a factor on the sum.
  void add_branches(unsigned thread, std::initializer_list<Branch> branches, const Norm* next_norm,
                    float scale = 1);
  // out = norm(x) of n values, or x itself where there is no norm.
  void normalize(const Norm& norm, const float* x, std::size_t n, float* out) const;
  // Panels of out = w * in + bias for the first `count` rows.
  void multiply(const ActivationBuffer& in, const Linear& w, std::size_t count, Share panels,
                Output& out) const;

  struct Product {
    const Linear* linear;
    Output* out;
  };
  // Several matrices of one input, whose panels are shared out as one run.
  void multiply_all(const ActivationBuffer& in, std::span<const Product> products,
                    unsigned thread) const;

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
  std::unique_ptr<ExpertFeedForward> experts_;  // null: the model is dense
};

}  // namespace minerva::engine
