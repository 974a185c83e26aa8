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

  if (experts_ && !c.layers[layer].dense && !c.experts.beside_dense) {
    experts_->run({thread, count, narrow(), &r.normed}, w.experts, s_->ff_branch.values.data(),
                  s_->ff_branch.stride);
    pool_.barrier();  // the branch is complete
    return add_feed_forward(thread, layer);
  }

  const std::size_t ff_width = w.up.weight.rows();
  // A thread has the same rows of gate and up, so that it can join them without waiting.
  const Share mine = share_of(w.up.weight.panels(), thread, pool_.size());
  if (c.gated) multiply(r.normed, w.gate, count, mine, s_->gate);
  multiply(r.normed, w.up, count, mine, s_->up);
  const std::size_t begin = std::min(mine.begin * kernels::kPanelRows, ff_width);
  const std::size_t end = std::min(mine.end * kernels::kPanelRows, ff_width);
  const Join join = join_of(c.activation, k_);
  for (std::size_t t = 0; t < count; ++t) {
    const float* up = s_->up.row(t) + begin;
    if (c.gated) {
      join(s_->gate.row(t) + begin, up, end - begin, s_->activated.row(t) + begin);
    } else if (c.activation == Activation::Xielu) {
      k_.xielu(up, end - begin, c.layers[layer].xielu, s_->activated.row(t) + begin);
    } else {
      join(up, nullptr, end - begin, s_->activated.row(t) + begin);
    }
  }
  pool_.barrier();  // activated is complete

  const Share tokens = rows_of(count, thread);
  ActivationBuffer& activated = r.activated.of(w.down.weight);
  activated.quantize(k_, count, tokens.begin, tokens.end, s_->activated.values.data(),
                     s_->activated.stride);
  rows_barrier();

  multiply(activated, w.down, count, share_of(w.down.weight.panels(), thread, pool_.size()),
           s_->ff_branch);
  pool_.barrier();  // the branch is complete
  if (experts_ && !c.layers[layer].dense) add_experts(thread, layer);
  add_feed_forward(thread, layer);
}

void Decoder::add_experts(unsigned thread, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const ExpertWeights& w = model_->layer(layer).experts;
  const std::size_t count = s_->tokens.size();
  Rows& r = rows(thread);
  const Share mine = rows_of(count, thread);
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    const float* x = r.residual.row(t);
    k_.rms_norm(x, w.router_norm.data(), c.width, c.norm_eps, r.routed.row(t));
    k_.rms_norm(x, w.input_norm.data(), c.width, c.norm_eps, r.expert_input.row(t));
  }
  r.expert_input.quantize(k_, count, mine.begin, mine.end);
  rows_barrier();
  experts_->run({thread, count, narrow(), &r.expert_input, r.routed.row(0)}, w,
                s_->expert_branch.values.data(), s_->expert_branch.stride);
  pool_.barrier();  // the experts' branch is complete
  const Share tokens = share_of(count, thread, pool_.size());
  for (std::size_t t = tokens.begin; t < tokens.end; ++t) {
    float* dense = s_->ff_branch.row(t);
    float* experts = s_->expert_branch.row(t);
    k_.rms_norm(dense, w.dense_norm.data(), c.width, c.norm_eps, dense);
    k_.rms_norm(experts, w.output_norm.data(), c.width, c.norm_eps, experts);
    k_.add(dense, experts, c.width, dense);
  }
  pool_.barrier();  // the sums are complete
}

void Decoder::add_feed_forward(unsigned thread, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const LayerWeights& w = model_->layer(layer);
  const bool last = layer + 1 == c.layers.size();
  const Norm* next = last ? nullptr : &model_->layer(layer + 1).attention_norm;
  const bool has_input = c.layer_input_width != 0;
  const float scale = has_input || w.output_scale.empty() ? 1 : w.output_scale[0];
  if (c.parallel) {
    add_branches(thread,
                 {{s_->attention_branch, w.post_attention_norm}, {s_->ff_branch, w.post_ff_norm}},
                 next, scale);
  } else {
    add_branches(thread, {{s_->ff_branch, w.post_ff_norm}}, has_input ? nullptr : next, scale);
  }
  if (has_input) add_layer_input(thread, layer, next);
}

}  // namespace minerva::engine
