#include "engine/decoder.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"

namespace minerva::engine {
namespace {

constexpr std::size_t kPagesPerRange = kernels::kRangePositions / kPage;

// The matrices of every layer that read one input.
template <class... Member>
std::vector<const PackedWeight*> readers(const Model& model, Member... members) {
  std::vector<const PackedWeight*> all;
  for (std::size_t i = 0; i < model.config().layers.size(); ++i) {
    (all.push_back(&(model.layer(i).*members)), ...);
  }
  return all;
}

// A matrix multiplication's output for every token.
struct Output {
  Output(std::size_t tokens, std::size_t rows)
      : stride((rows + kernels::kPanelRows - 1) / kernels::kPanelRows * kernels::kPanelRows),
        values(tokens * stride) {}
  float* row(std::size_t token) { return values.data() + token * stride; }
  std::size_t stride;
  std::vector<float> values;
};

}  // namespace

// One row of a step.
struct Decoder::Token {
  TokenId id;
  SequenceKv* kv;
  std::size_t position;
};

// Everything that a step writes, sized once for the limits.
struct Decoder::Scratch {
  Scratch(const Model& model, const Limits& limits)
      : residual(limits.tokens, model.config().width),
        normed(limits.tokens, model.config().width,
               readers(model, &LayerWeights::q, &LayerWeights::k, &LayerWeights::v,
                       &LayerWeights::gate, &LayerWeights::up)),
        q(limits.tokens, model.config().heads * model.config().head_dim),
        k(limits.tokens, model.config().kv_heads * model.config().head_dim),
        v(limits.tokens, model.config().kv_heads * model.config().head_dim),
        attended(limits.tokens, model.config().heads * model.config().head_dim,
                 readers(model, &LayerWeights::attention_out)),
        gate(limits.tokens, model.config().ff_width),
        up(limits.tokens, model.config().ff_width),
        activated(limits.tokens, model.config().ff_width, readers(model, &LayerWeights::down)),
        branch(limits.tokens, model.config().width),
        output_reader(&model.output()),
        final_normed(limits.logits, model.config().width, {&output_reader, 1}),
        logits(limits.logits, model.config().vocabulary) {}

  std::vector<Token> tokens;
  std::vector<std::size_t> logit_rows;  // tokens whose logits are wanted
  Output residual;
  ActivationBuffer normed;
  Output q, k, v;
  ActivationBuffer attended;
  Output gate, up;
  ActivationBuffer activated;
  Output branch;
  const PackedWeight* output_reader;
  ActivationBuffer final_normed;
  Output logits;
  // [rope][token][pairs]
  std::vector<std::vector<float>> cos, sin;
};

Decoder::Decoder(std::shared_ptr<const Model> model, KvPool& kv, ComputePool& pool,
                 const kernels::KernelTable& kernels, Limits limits)
    : model_(std::move(model)),
      kv_(kv),
      pool_(pool),
      k_(kernels),
      limits_(limits),
      s_(std::make_unique<Scratch>(*model_, limits)) {
  for (const RopeConfig& config : model_->config().ropes) {
    ropes_.emplace_back(config);
    s_->cos.emplace_back(limits.tokens * ropes_.back().pairs());
    s_->sin.emplace_back(limits.tokens * ropes_.back().pairs());
  }
}

Decoder::~Decoder() = default;

Share Decoder::tokens_of(unsigned thread) const {
  return share_of(s_->tokens.size(), thread, pool_.size());
}

std::span<float> Decoder::logits(std::size_t row) {
  MINERVA_CHECK(row < s_->logit_rows.size());
  return {s_->logits.row(row), model_->config().vocabulary};
}

void Decoder::prepare(std::span<const StepItem> items) {
  s_->tokens.clear();
  s_->logit_rows.clear();
  for (const StepItem& item : items) {
    for (std::size_t i = 0; i < item.tokens.size(); ++i) {
      if (i >= item.logits_from) s_->logit_rows.push_back(s_->tokens.size());
      s_->tokens.push_back({item.tokens[i], item.kv, item.kv->length + i});
    }
  }
  MINERVA_CHECK(s_->tokens.size() <= limits_.tokens);
  MINERVA_CHECK(s_->logit_rows.size() <= limits_.logits);
}

void Decoder::step(std::span<const StepItem> items) {
  prepare(items);
  if (s_->tokens.empty()) return;
  const std::function<void(unsigned)> work = [this](unsigned thread) { forward(thread); };
  pool_.run(work);
  for (const StepItem& item : items) {
    item.kv->length += item.tokens.size();
    kv_.drop_out_of_sight(*item.kv);
  }
}

void Decoder::forward(unsigned thread) {
  embed(thread);
  for (std::size_t layer = 0; layer < model_->config().layers.size(); ++layer) {
    attention(thread, layer);
    feed_forward(thread, layer);
  }
  output(thread);
}

void Decoder::embed(unsigned thread) {
  const ModelConfig& c = model_->config();
  const Share mine = tokens_of(thread);
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    float* x = s_->residual.row(t);
    model_->embed(s_->tokens[t].id, x);
    if (c.embedding_scale != 1) k_.scale(x, c.embedding_scale, c.width, x);
    for (std::size_t r = 0; r < ropes_.size(); ++r) {
      const std::size_t pairs = ropes_[r].pairs();
      ropes_[r].at(s_->tokens[t].position, s_->cos[r].data() + t * pairs,
                   s_->sin[r].data() + t * pairs);
    }
    k_.rms_norm(x, model_->layer(0).attention_norm.data(), c.width, c.norm_eps, s_->normed.row(t));
  }
  s_->normed.quantize(k_, s_->tokens.size(), mine.begin, mine.end);
}

void Decoder::attention(unsigned thread, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const LayerWeights& w = model_->layer(layer);
  const std::size_t count = s_->tokens.size();

  pool_.barrier();  // normed is complete
  struct Target {
    const PackedWeight* weight;
    Output* out;
  };
  const std::array targets = {Target{&w.q, &s_->q}, Target{&w.k, &s_->k}, Target{&w.v, &s_->v}};
  std::size_t panels = 0;
  for (const Target& t : targets) panels += t.weight->rows_padded() / kernels::kPanelRows;
  // The three matrices' panels are shared out as one run.
  const Share mine = share_of(panels, thread, pool_.size());
  std::size_t first = 0;
  for (const Target& t : targets) {
    const std::size_t size = t.weight->rows_padded() / kernels::kPanelRows;
    const std::size_t begin = std::max(mine.begin, first);
    const std::size_t end = std::min(mine.end, first + size);
    if (begin < end) {
      s_->normed.multiply(k_, *t.weight, count, begin - first, end - first, t.out->values.data(),
                          t.out->stride);
    }
    first += size;
  }

  pool_.barrier();  // q, k and v are complete
  const Share tokens = tokens_of(thread);
  for (std::size_t t = tokens.begin; t < tokens.end; ++t) rotate_and_store(t, layer);

  pool_.barrier();  // every token's keys and values are in their pages
  const Share work = share_of(count * c.kv_heads, thread, pool_.size());
  for (std::size_t i = work.begin; i < work.end; ++i) attend(i / c.kv_heads, i % c.kv_heads, layer);

  pool_.barrier();
  s_->attended.quantize(k_, count, tokens.begin, tokens.end);

  pool_.barrier();
  const Share rows =
      share_of(w.attention_out.rows_padded() / kernels::kPanelRows, thread, pool_.size());
  s_->attended.multiply(k_, w.attention_out, count, rows.begin, rows.end, s_->branch.values.data(),
                        s_->branch.stride);

  pool_.barrier();
  add_branch(thread, w.post_attention_norm, w.ff_norm);
}

void Decoder::rotate_and_store(std::size_t token, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const LayerWeights& w = model_->layer(layer);
  const std::size_t rope = c.layers[layer].rope;
  const std::size_t pairs = ropes_[rope].pairs();
  const float* cos = s_->cos[rope].data() + token * pairs;
  const float* sin = s_->sin[rope].data() + token * pairs;
  float* q = s_->q.row(token);
  float* k = s_->k.row(token);
  if (c.qk_norm) {
    for (std::size_t h = 0; h < c.heads; ++h) {
      float* head = q + h * c.head_dim;
      k_.rms_norm(head, w.q_norm.data(), c.head_dim, c.norm_eps, head);
    }
    for (std::size_t h = 0; h < c.kv_heads; ++h) {
      float* head = k + h * c.head_dim;
      k_.rms_norm(head, w.k_norm.data(), c.head_dim, c.norm_eps, head);
    }
  }
  const bool halves = c.ropes[rope].halves;
  k_.rope(q, c.heads, c.head_dim, 2 * pairs, cos, sin, halves);
  k_.rope(k, c.kv_heads, c.head_dim, 2 * pairs, cos, sin, halves);

  const Token& at = s_->tokens[token];
  const std::size_t group = kv_.layout().group_of(layer);
  std::uint16_t* page = kv_.writable_page(group, at.kv->tables[group][at.position / kPage]);
  const float* v = s_->v.row(token);
  for (std::size_t h = 0; h < c.kv_heads; ++h) {
    k_.store_kv(k + h * c.head_dim, v + h * c.head_dim, c.head_dim, at.position % kPage,
                page + kv_.layout().k_offset(layer, h), page + kv_.layout().v_offset(layer, h));
  }
}

void Decoder::attend(std::size_t token, std::size_t kv_head, std::size_t layer) {
  constexpr std::size_t kRange = kernels::kRangePositions;
  constexpr std::size_t kHeadsMax = 64;
  const ModelConfig& c = model_->config();
  const Token& at = s_->tokens[token];
  const std::size_t group_heads = c.heads / c.kv_heads;
  const std::size_t group = kv_.layout().group_of(layer);
  const std::vector<PageId>& table = at.kv->tables[group];
  const std::size_t end = at.position + 1;
  const std::size_t window = c.layers[layer].window;
  const std::size_t first = window == 0 || end <= window ? 0 : end - window;

  // Heads in bundles, so that their running state has a fixed size.
  for (std::size_t h0 = 0; h0 < group_heads; h0 += kHeadsMax) {
    const std::size_t heads = std::min(kHeadsMax, group_heads - h0);
    const std::size_t head = kv_head * group_heads + h0;
    std::array<float, kHeadsMax> max;
    std::array<float, kHeadsMax> sum;
    max.fill(-std::numeric_limits<float>::infinity());
    sum.fill(0);
    float* acc = s_->attended.row(token) + head * c.head_dim;
    std::fill_n(acc, heads * c.head_dim, 0.0F);

    std::array<kernels::KvPage, kPagesPerRange> pages;
    for (std::size_t range = first / kRange; range * kRange < end; ++range) {
      const std::size_t origin = range * kRange;
      for (std::size_t i = 0; i < kPagesPerRange; ++i) {
        const std::size_t index = origin / kPage + i;
        pages[i] = {};
        if (index >= table.size() || table[index] == kNoPage) continue;
        const std::uint16_t* page = kv_.page(group, table[index]);
        pages[i] = {page + kv_.layout().k_offset(layer, kv_head),
                    page + kv_.layout().v_offset(layer, kv_head)};
      }
      k_.attend({.q = s_->q.row(token) + head * c.head_dim,
                 .heads = heads,
                 .head_dim = c.head_dim,
                 .pages = pages.data(),
                 .first = std::max(first, origin) - origin,
                 .end = std::min(end - origin, kRange),
                 .scale = c.attention_scale,
                 .softcap = c.attention_softcap,
                 .max = max.data(),
                 .sum = sum.data(),
                 .acc = acc});
    }
    for (std::size_t h = 0; h < heads; ++h) {
      float* out = acc + h * c.head_dim;
      k_.divide(out, sum[h], c.head_dim, out);
    }
  }
}

void Decoder::feed_forward(unsigned thread, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const LayerWeights& w = model_->layer(layer);
  const std::size_t count = s_->tokens.size();

  pool_.barrier();  // normed is complete
  // A thread has the same rows of gate and up, so that it can join them without waiting.
  const Share rows = share_of(w.gate.rows_padded() / kernels::kPanelRows, thread, pool_.size());
  s_->normed.multiply(k_, w.gate, count, rows.begin, rows.end, s_->gate.values.data(),
                      s_->gate.stride);
  s_->normed.multiply(k_, w.up, count, rows.begin, rows.end, s_->up.values.data(), s_->up.stride);
  const std::size_t begin = std::min(rows.begin * kernels::kPanelRows, c.ff_width);
  const std::size_t end = std::min(rows.end * kernels::kPanelRows, c.ff_width);
  const auto join = c.activation == Activation::Silu ? k_.silu_mul : k_.gelu_tanh_mul;
  for (std::size_t t = 0; t < count; ++t) {
    join(s_->gate.row(t) + begin, s_->up.row(t) + begin, end - begin, s_->activated.row(t) + begin);
  }

  pool_.barrier();
  const Share tokens = tokens_of(thread);
  s_->activated.quantize(k_, count, tokens.begin, tokens.end);

  pool_.barrier();
  const Share down = share_of(w.down.rows_padded() / kernels::kPanelRows, thread, pool_.size());
  s_->activated.multiply(k_, w.down, count, down.begin, down.end, s_->branch.values.data(),
                         s_->branch.stride);

  pool_.barrier();
  const bool last = layer + 1 == c.layers.size();
  add_branch(thread, w.post_ff_norm,
             last ? std::span<const float>{} : model_->layer(layer + 1).attention_norm);
}

void Decoder::add_branch(unsigned thread, std::span<const float> post_norm,
                         std::span<const float> next_norm) {
  const ModelConfig& c = model_->config();
  const Share mine = tokens_of(thread);
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    float* x = s_->residual.row(t);
    float* branch = s_->branch.row(t);
    if (!post_norm.empty()) k_.rms_norm(branch, post_norm.data(), c.width, c.norm_eps, branch);
    k_.add(x, branch, c.width, x);
    if (!next_norm.empty()) {
      k_.rms_norm(x, next_norm.data(), c.width, c.norm_eps, s_->normed.row(t));
    }
  }
  if (!next_norm.empty()) s_->normed.quantize(k_, s_->tokens.size(), mine.begin, mine.end);
}

void Decoder::output(unsigned thread) {
  const ModelConfig& c = model_->config();
  const std::size_t count = s_->logit_rows.size();
  if (count == 0) return;
  pool_.barrier();  // the last residuals are complete
  const Share mine = share_of(count, thread, pool_.size());
  for (std::size_t i = mine.begin; i < mine.end; ++i) {
    k_.rms_norm(s_->residual.row(s_->logit_rows[i]), model_->output_norm().data(), c.width,
                c.norm_eps, s_->final_normed.row(i));
  }
  s_->final_normed.quantize(k_, count, mine.begin, mine.end);

  pool_.barrier();
  const Share rows =
      share_of(model_->output().rows_padded() / kernels::kPanelRows, thread, pool_.size());
  s_->final_normed.multiply(k_, model_->output(), count, rows.begin, rows.end,
                            s_->logits.values.data(), s_->logits.stride);
  if (c.logit_softcap == 0) return;
  const std::size_t begin = std::min(rows.begin * kernels::kPanelRows, c.vocabulary);
  const std::size_t end = std::min(rows.end * kernels::kPanelRows, c.vocabulary);
  for (std::size_t i = 0; i < count; ++i) {
    k_.softcap(s_->logits.row(i) + begin, end - begin, c.logit_softcap);
  }
}

}  // namespace minerva::engine
