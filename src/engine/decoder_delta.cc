// The Decoder's gated delta rules. A sequence's tokens go through its state one by one, in their
// order and in float32, so that chunks change no bit; threads share out value heads.
#include <algorithm>
#include <array>
#include <cmath>

#include "engine/decoder.h"
#include "engine/decoder_scratch.h"

namespace minerva::engine {

void Decoder::project_delta(unsigned thread, std::size_t layer) {
  const DeltaWeights& w = model_->layer(layer).delta;
  const std::array products = {Product{&w.mixed, &s_->mixed}, Product{&w.gate, &s_->delta_gate},
                               Product{&w.beta, &s_->beta}, Product{&w.alpha, &s_->alpha}};
  multiply_all(rows(thread).normed, products, thread);
}

void Decoder::recur(unsigned thread, std::size_t layer) {
  const std::size_t heads = model_->config().delta.value_heads;
  const Share mine = share_of(s_->runs.size() * heads, thread, pool_.size());
  for (std::size_t i = mine.begin; i < mine.end; ++i) {
    recur_head(thread, s_->runs[i / heads], i % heads, layer);
  }
}

void Decoder::recur_head(unsigned thread, const Run& run, std::size_t head, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const DeltaConfig& d = c.delta;
  const DeltaWeights& w = model_->layer(layer).delta;
  const std::size_t mixed = d.mixed();
  const std::size_t keys = d.key_heads * d.key_dim;
  const std::size_t key_head = d.key_head_of(head);
  float* past = kv_.states(*run.kv) + kv_.layout().state_offset(layer);
  float* state = past + (d.taps - 1) * mixed + head * d.key_dim * d.value_dim;

  float* q = s_->delta_head[thread].data();
  float* k = q + d.key_dim;
  float* v = k + d.key_dim;
  struct Part {
    std::size_t from, count;
    float* to;
  };
  const std::array parts = {Part{key_head * d.key_dim, d.key_dim, q},
                            Part{keys + key_head * d.key_dim, d.key_dim, k},
                            Part{2 * keys + head * d.value_dim, d.value_dim, v}};
  // A norm of the mean square and this factor are one of the sum of squares.
  const auto n = static_cast<float>(d.key_dim);
  const float eps = kDeltaEps / n;
  const float key_scale = 1 / std::sqrt(n);

  std::array<const float*, kTapsMax> taps{};
  for (std::size_t t = run.first; t < run.first + run.count; ++t) {
    for (const Part& part : parts) {
      for (std::size_t j = 0; j < d.taps; ++j) {
        // Row j is taps - 1 - j tokens back, in this step or in what is kept of the last ones.
        const std::size_t at = t - run.first + j;
        taps[j] = part.from + (at >= d.taps - 1 ? s_->mixed.row(run.first + at - (d.taps - 1))
                                                : past + at * mixed);
      }
      k_.convolve_silu(taps.data(), w.taps.data() + part.from, mixed, d.taps, part.count, part.to);
    }
    k_.rms_norm(q, nullptr, d.key_dim, eps, q);
    k_.scale(q, 1 / n, d.key_dim, q);  // attention's scale with it
    k_.rms_norm(k, nullptr, d.key_dim, eps, k);
    k_.scale(k, key_scale, d.key_dim, k);
    float decay = 0;
    float beta = 0;
    k_.softplus_decay(s_->alpha.row(t) + head, &w.bias[head], &w.rate[head], 1, &decay);
    k_.sigmoid_mul(s_->beta.row(t) + head, nullptr, 1, &beta);
    float* out = s_->attended.row(t) + head * d.value_dim;
    k_.delta_rule({.state = state,
                   .key_dim = d.key_dim,
                   .value_dim = d.value_dim,
                   .q = q,
                   .k = k,
                   .v = v,
                   .decay = decay,
                   .beta = beta,
                   .out = out});
    normalize(w.norm, out, d.value_dim, out);
    k_.silu_mul(s_->delta_gate.row(t) + head * d.value_dim, out, d.value_dim, out);
  }
}

void Decoder::keep_last_tokens(unsigned thread, std::size_t layer) {
  const DeltaConfig& d = model_->config().delta;
  const std::size_t mixed = d.mixed();
  const Share mine = share_of(mixed, thread, pool_.size());
  for (const Run& run : s_->runs) {
    float* past = kv_.states(*run.kv) + kv_.layout().state_offset(layer);
    for (std::size_t j = 0; j + 1 < d.taps; ++j) {
      const std::size_t at = run.count + j;
      const float* from =
          at >= d.taps - 1 ? s_->mixed.row(run.first + at - (d.taps - 1)) : past + at * mixed;
      std::copy(from + mine.begin, from + mine.end, past + j * mixed + mine.begin);
    }
  }
}

}  // namespace minerva::engine
