// Runs an encoder over whole texts: every token sees every other of its text. A text's vector
// depends on its own tokens alone, to the bit, whatever is computed beside it and by however many
// threads (docs/numerics.md). Used by one thread; computes on the pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/token.h"
#include "engine/compute_pool.h"
#include "engine/encoder_model.h"
#include "kernels/kernel_table.h"

namespace minerva::engine {

class Encoder {
 public:
  Encoder(std::shared_ptr<const EncoderModel> model, ComputePool& pool,
          const kernels::KernelTable& kernels);
  ~Encoder();

  // Memory of its buffers for `tokens` in one call, near enough to plan with.
  static std::uint64_t work_bytes(const EncoderConfig& config, std::size_t tokens,
                                  unsigned threads);

  const EncoderConfig& config() const { return model_->config(); }
  bool intact() const { return model_->intact(); }

  // One vector a text, pooled and, where the model asks for it, of length 1: out[texts][width].
  // Each has 1 to trained_context tokens, all of them in the vocabulary. Buffers grow to what the
  // longest call needed.
  void encode(std::span<const std::span<const TokenId>> texts, float* out);

 private:
  struct Text;
  struct Output;
  struct Scratch;
  void prepare(std::span<const std::span<const TokenId>> texts);
  void forward(unsigned thread, float* out);
  void embed(unsigned thread);
  void attention(unsigned thread, const EncoderLayer& layer);
  void pack_keys_values(const Text& text, std::size_t head);
  void attend(const Text& text, std::size_t head, std::size_t block, float* scores, float* mixed);
  void feed_forward(unsigned thread, const EncoderLayer& layer);
  // out = input W^T + bias, for this thread's panels [begin, end).
  template <class Input>
  void multiply(const Input& input, const Linear& linear, std::size_t begin, std::size_t end,
                Output& out);
  // hidden = norm(hidden + branch), quantised.
  void add_and_norm(unsigned thread, const Norm& norm);
  void pool_text(const Text& text, float* out) const;

  std::shared_ptr<const EncoderModel> model_;
  ComputePool& pool_;
  const kernels::KernelTable& k_;
  std::unique_ptr<Scratch> s_;
};

}  // namespace minerva::engine
