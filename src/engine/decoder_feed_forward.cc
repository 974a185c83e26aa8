// The Decoder's feed-forward.
#include <algorithm>

#include "engine/decoder.h"
#include "engine/decoder_scratch.h"

namespace minerva::engine {
namespace {

// out = activation(gate) * up; up may be null.
using Join = void (*)(const float* gate, const float* up, std::size_t n, float* out) noexcept;

Join join_of(Activation activation, const kernels::KernelTable& k) {
  switch (activation) {
    case Activation::GeluTanh:
      return k.gelu_tanh_mul;
    case Activation::ReluSquared:
      return k.relu_squared_mul;
    default:
      return k.silu_mul;
  }
}

}  // namespace

void Decoder::feed_forward(unsigned thread, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const LayerWeights& w = model_->layer(layer);
  const std::size_t count = s_->tokens.size();
  Rows& r = rows(thread);

  if (experts_ && !c.layers[layer].dense) {
    experts_->run({thread, count, narrow(), &r.normed}, w.experts, s_->ff_branch.values.data(),
                  s_->ff_branch.stride);
    pool_.barrier();  // the branch is complete
    return add_feed_forward(thread, layer);
  }

  // A thread has the same rows of gate and up, so that it can join them without waiting.
  const Share mine = share_of(w.up.weight.panels(), thread, pool_.size());
  if (c.gated) multiply(r.normed, w.gate, count, mine, s_->gate);
  multiply(r.normed, w.up, count, mine, s_->up);
  const std::size_t begin = std::min(mine.begin * kernels::kPanelRows, c.ff_width);
  const std::size_t end = std::min(mine.end * kernels::kPanelRows, c.ff_width);
  const Join join = join_of(c.activation, k_);
  for (std::size_t t = 0; t < count; ++t) {
    const float* up = s_->up.row(t) + begin;
    if (c.gated) {
      join(s_->gate.row(t) + begin, up, end - begin, s_->activated.row(t) + begin);
    } else {
      join(up, nullptr, end - begin, s_->activated.row(t) + begin);
    }
  }
  pool_.barrier();  // activated is complete

  const Share tokens = rows_of(count, thread);
  r.activated.quantize(k_, count, tokens.begin, tokens.end, s_->activated.values.data(),
                       s_->activated.stride);
  rows_barrier();

  multiply(r.activated, w.down, count, share_of(w.down.weight.panels(), thread, pool_.size()),
           s_->ff_branch);
  pool_.barrier();  // the branch is complete
  add_feed_forward(thread, layer);
}

void Decoder::add_feed_forward(unsigned thread, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const LayerWeights& w = model_->layer(layer);
  const bool last = layer + 1 == c.layers.size();
  const Norm* next = last ? nullptr : &model_->layer(layer + 1).attention_norm;
  if (c.parallel) {
    add_branches(thread,
                 {{s_->attention_branch, w.post_attention_norm}, {s_->ff_branch, w.post_ff_norm}},
                 next);
  } else {
    add_branches(thread, {{s_->ff_branch, w.post_ff_norm}}, next);
  }
}

}  // namespace minerva::engine
