// The Decoder's attention: projections, RoPE, the KV cache, and the look back.
#include <algorithm>
#include <array>
#include <limits>

#include "engine/decoder.h"
#include "engine/decoder_scratch.h"

namespace minerva::engine {
namespace {

constexpr std::size_t kPagesPerRange = kernels::kRangePositions / kPage;

}  // namespace

void Decoder::attention(unsigned thread, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const LayerWeights& w = model_->layer(layer);
  const std::size_t count = s_->tokens.size();
  Rows& r = rows(thread);

  project(thread, layer);
  pool_.barrier();  // q, k and v are complete

  const bool delta = c.layers[layer].delta;
  if (c.layers[layer].convolution != 0) {
    convolve(thread, layer);
  } else if (delta) {
    recur(thread, layer);
  } else {
    if (c.qk_norm == QkNorm::Whole) normalize_whole_rows(thread, w);
    look_back(thread, layer);
  }
  pool_.barrier();  // attended is complete
  if (c.latent.rank != 0) expand_values(thread, layer);
  if (delta) keep_last_tokens(thread, layer);

  const Share tokens = rows_of(count, thread);
  const Output& values = c.latent.rank != 0 ? s_->values : s_->attended;
  ActivationBuffer& attended = r.attended.of(w.attention_out.weight);
  attended.quantize(k_, count, tokens.begin, tokens.end, values.values.data(), values.stride);
  rows_barrier();

  multiply(attended, w.attention_out, count,
           share_of(w.attention_out.weight.panels(), thread, pool_.size()), s_->attention_branch);
  if (c.parallel) return;  // the feed-forward's barriers come before anybody reads the branch
  pool_.barrier();         // the branch is complete
  add_branches(thread, {{s_->attention_branch, w.post_attention_norm}}, &w.ff_norm);
}

void Decoder::project(unsigned thread, std::size_t layer) {
  const LayerWeights& w = model_->layer(layer);
  if (model_->config().latent.rank != 0) return project_latents(thread, layer);
  if (model_->config().layers[layer].convolution != 0) {
    return multiply(rows(thread).normed, w.gates, s_->tokens.size(),
                    share_of(w.gates.weight.panels(), thread, pool_.size()), s_->gates);
  }
  if (model_->config().layers[layer].delta) return project_delta(thread, layer);
  const std::array products = {Product{&w.q, &s_->q}, Product{&w.k, &s_->k}, Product{&w.v, &s_->v},
                               Product{&w.q_gate, &s_->q_gate}};
  multiply_all(rows(thread).normed, products, thread);
}

void Decoder::multiply_all(const ActivationBuffer& in, std::span<const Product> products,
                           unsigned thread) const {
  std::size_t panels = 0;
  for (const Product& p : products) panels += p.linear->weight.panels();
  const Share mine = share_of(panels, thread, pool_.size());
  std::size_t first = 0;
  for (const Product& p : products) {
    const std::size_t begin = std::max(mine.begin, first);
    const std::size_t end = std::min(mine.end, first + p.linear->weight.panels());
    if (begin < end) {
      multiply(in, *p.linear, s_->tokens.size(), {begin - first, end - first}, *p.out);
    }
    first += p.linear->weight.panels();
  }
}

void Decoder::normalize_whole_rows(unsigned thread, const LayerWeights& w) {
  const Share mine = share_of(s_->tokens.size(), thread, pool_.size());
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    normalize(w.q_norm, s_->q.row(t), w.q_norm.weight.size(), s_->q.row(t));
    normalize(w.k_norm, s_->k.row(t), w.k_norm.weight.size(), s_->k.row(t));
  }
  pool_.barrier();  // every row is normed
}

void Decoder::look_back(unsigned thread, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const std::size_t count = s_->tokens.size();
  const std::size_t kv_heads = kv_heads_of(c, layer);
  const std::size_t group = c.heads / kv_heads;
  if (narrow() && kv_heads >= pool_.size()) {
    // A thread that keeps to its KV heads waits for nobody between storing and reading them.
    const Share mine = share_of(kv_heads, thread, pool_.size());
    for (std::size_t h = mine.begin; h < mine.end; ++h) {
      for (std::size_t t = 0; t < count; ++t) rotate_and_store(t, h, layer);
      for (std::size_t t = 0; t < count; ++t) attend(t, h * group, group, layer);
    }
    return;
  }
  const Share stores = share_of(count * kv_heads, thread, pool_.size());
  for (std::size_t i = stores.begin; i < stores.end; ++i) {
    rotate_and_store(i / kv_heads, i % kv_heads, layer);
  }
  pool_.barrier();  // every token's keys and values are in their pages
  // With few tokens and KV heads the unit of work is a single head, else a KV head's group.
  const std::size_t unit = narrow() ? 1 : group;
  const std::size_t units = c.heads / unit;
  const Share work = share_of(count * units, thread, pool_.size());
  for (std::size_t i = work.begin; i < work.end; ++i) {
    attend(i / units, i % units * unit, unit, layer);
  }
}

void Decoder::normalize_heads(float* heads, std::size_t head_dim, std::size_t first,
                              std::size_t count, const Norm& norm) {
  const ModelConfig& c = model_->config();
  for (std::size_t h = 0; h < count; ++h) {
    float* head = heads + h * head_dim;
    const std::size_t own = c.qk_norm == QkNorm::EachHead ? first + h : 0;
    const float* weight = norm.exists() ? norm.weight.data() + own * head_dim : nullptr;
    if (c.norm == NormKind::Rms) {
      k_.rms_norm(head, weight, head_dim, c.norm_eps, head);
    } else {
      const float* bias = norm.bias.empty() ? nullptr : norm.bias.data() + own * head_dim;
      k_.layer_norm(head, weight, bias, head_dim, c.norm_eps, head);
    }
  }
}

void Decoder::rotate_and_store(std::size_t token, std::size_t kv_head, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const LayerWeights& w = model_->layer(layer);
  if (c.latent.rank != 0) return rotate_and_store_latent(token, layer);
  const std::size_t head_dim = head_dim_of(c, layer);
  const std::size_t group = c.heads / kv_heads_of(c, layer);
  const bool own_kv = !c.layers[layer].shares_kv_of;
  float* q = s_->q.row(token) + kv_head * group * head_dim;
  float* k = s_->k.row(token) + kv_head * head_dim;
  float* v = s_->v.row(token) + kv_head * head_dim;
  if (c.value_norm && own_kv) {
    // A layer without a matrix for values makes them of what its keys are made of.
    const float* raw = w.v.weight.rows() == 0 ? k : v;
    k_.rms_norm(raw, nullptr, head_dim, c.norm_eps, v);
  }
  const bool by_head = c.qk_norm == QkNorm::Head || c.qk_norm == QkNorm::EachHead;
  const bool normed = by_head && !(c.qk_norm_plain && c.layers[layer].rope == kNoRope);
  const auto normalize_both = [&] {
    normalize_heads(q, head_dim, kv_head * group, group, w.q_norm);
    if (own_kv) normalize_heads(k, head_dim, kv_head, 1, w.k_norm);
  };
  if (normed && !c.qk_norm_after_rope) normalize_both();
  if (const std::size_t rope = c.layers[layer].rope; rope != kNoRope) {
    const std::size_t pairs = ropes_[rope].pairs();
    const float* cos = s_->cos[rope].data() + token * pairs;
    const float* sin = s_->sin[rope].data() + token * pairs;
    const bool halves = c.ropes[rope].halves;
    k_.rope(q, group, head_dim, 2 * pairs, cos, sin, halves);
    if (own_kv) k_.rope(k, 1, head_dim, 2 * pairs, cos, sin, halves);
  }
  if (normed && c.qk_norm_after_rope) normalize_both();
  const bool tempered = !c.temperature_without_rope || c.layers[layer].rope == kNoRope;
  if (c.temperature_length != 0 && tempered)
    k_.scale(q, s_->temperatures[token], group * head_dim, q);
  if (!own_kv) return;

  store(s_->tokens[token], layer, kv_head, k, v, head_dim);
}

void Decoder::store(const Token& at, std::size_t layer, std::size_t kv_head, const float* k,
                    const float* v, std::size_t head_dim) {
  const KvLayout& layout = kv_.layout();
  const std::size_t group = layout.group_of(layer);
  const std::size_t key = layout.k_offset(layer, kv_head);
  const std::size_t value = layout.v_offset(layer, kv_head);
  const std::size_t index = at.position / kPage;
  const std::size_t slot = at.position % kPage;
  std::uint16_t* page = kv_.writable_page(group, at.kv->tables[group][index]);
  k_.store_kv(k, v, head_dim, slot, page + key, page + value);
  if (!kv_.is_exact(*at.kv)) return;
  page = kv_.writable_page(group, at.kv->tables[group + layout.groups().size()][index]);
  k_.store_kv_rest(k, v, head_dim, slot, page + key, page + value);
}

void Decoder::attend(std::size_t token, std::size_t first_head, std::size_t head_count,
                     std::size_t layer) {
  constexpr std::size_t kRange = kernels::kRangePositions;
  constexpr std::size_t kHeadsMax = 64;
  const ModelConfig& c = model_->config();
  const Token& at = s_->tokens[token];
  const std::size_t head_dim = head_dim_of(c, layer);
  const std::size_t kv_head = first_head / (c.heads / kv_heads_of(c, layer));
  const KvLayout& layout = kv_.layout();
  const std::size_t group = layout.group_of(layer);
  const std::vector<PageId>& table = at.kv->tables[group];
  const bool exact = kv_.is_exact(*at.kv);
  const std::size_t key = layout.k_offset(layer, kv_head);
  const std::size_t value = layout.v_offset(layer, kv_head);
  const std::size_t end = at.position + 1;
  const std::size_t window = c.layers[layer].window;
  std::size_t first = window == 0 || end <= window ? 0 : end - window;
  if (c.layers[layer].chunked) first = at.position / window * window;

  // Heads in bundles, so that their running state has a fixed size.
  for (std::size_t h0 = 0; h0 < head_count; h0 += kHeadsMax) {
    const std::size_t heads = std::min(kHeadsMax, head_count - h0);
    const std::size_t head = first_head + h0;
    std::array<float, kHeadsMax> max;
    std::array<float, kHeadsMax> sum;
    max.fill(-std::numeric_limits<float>::infinity());
    sum.fill(0);
    float* acc = s_->attended.row(token) + head * head_dim;
    std::fill_n(acc, heads * head_dim, 0.0F);

    std::array<kernels::KvPage, kPagesPerRange> pages;
    for (std::size_t range = first / kRange; range * kRange < end; ++range) {
      const std::size_t origin = range * kRange;
      for (std::size_t i = 0; i < kPagesPerRange; ++i) {
        const std::size_t index = origin / kPage + i;
        pages[i] = {};
        if (index >= table.size() || table[index] == kNoPage) continue;
        const std::uint16_t* page = kv_.page(group, table[index]);
        pages[i] = {.k = page + key, .v = page + value};
        if (!exact) continue;
        page = kv_.page(group, at.kv->tables[group + layout.groups().size()][index]);
        pages[i].k_rest = page + key;
        pages[i].v_rest = page + value;
      }
      k_.attend({.q = s_->q.row(token) + head * head_dim,
                 .heads = heads,
                 .head_dim = head_dim,
                 .pages = pages.data(),
                 .first = std::max(first, origin) - origin,
                 .end = std::min(end - origin, kRange),
                 .scale = c.attention_scale,
                 .softcap = c.attention_softcap,
                 .max = max.data(),
                 .sum = sum.data(),
                 .acc = acc,
                 .with_rest = exact});
    }
    const std::vector<float>& sinks = model_->layer(layer).sinks;
    for (std::size_t h = 0; h < heads; ++h) {
      float* out = acc + h * head_dim;
      if (!sinks.empty()) {
        // One position more, whose value is zero: merged as another range would be.
        float ranges[2] = {max[h], sinks[head + h]};
        k_.exp_sum(ranges, 2, 1);
        k_.scale(out, ranges[0], head_dim, out);
        sum[h] = sum[h] * ranges[0] + ranges[1];
      }
      k_.divide(out, sum[h], head_dim, out);
      if (c.attention_gate) {
        k_.sigmoid_mul(s_->q_gate.row(token) + (head + h) * head_dim, out, head_dim, out);
      }
    }
  }
}

}  // namespace minerva::engine
