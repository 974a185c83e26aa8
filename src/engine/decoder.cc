#include "engine/decoder.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"

namespace minerva::engine {
namespace {

constexpr std::size_t kPagesPerRange = kernels::kRangePositions / kPage;

// Up to so many tokens a step is narrow: every thread computes all rows' norms and quantisation for
// itself, in buffers of its own. That costs a microsecond and saves half of the barriers, which
// cost as much each.
constexpr std::size_t kNarrow = 4;

// The matrices of every layer that read one input.
template <class... Member>
std::vector<const PackedWeight*> readers(const Model& model, Member... members) {
  std::vector<const PackedWeight*> all;
  for (std::size_t i = 0; i < model.config().layers.size(); ++i) {
    (all.push_back(&(model.layer(i).*members)), ...);
  }
  return all;
}

}  // namespace

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

// What belongs to rows (tokens) rather than to a matrix's outputs.
struct Decoder::Rows {
  Rows(const Model& model, std::size_t tokens, std::size_t logits, const PackedWeight* output)
      : residual(tokens, model.config().width),
        normed(tokens, model.config().width,
               readers(model, &LayerWeights::q, &LayerWeights::k, &LayerWeights::v,
                       &LayerWeights::gate, &LayerWeights::up)),
        attended(tokens, model.config().heads * model.config().head_dim,
                 readers(model, &LayerWeights::attention_out)),
        activated(tokens, model.config().ff_width, readers(model, &LayerWeights::down)),
        final_normed(logits, model.config().width, {&output, 1}),
        branch(model.config().width) {}

  Output residual;
  ActivationBuffer normed, attended, activated, final_normed;
  std::vector<float> branch;  // one row, while its norm is taken
};

// Everything that a step writes, sized once for the limits.
struct Decoder::Scratch {
  Scratch(const Model& model, const Limits& limits, unsigned threads)
      : shared(model, limits.tokens, limits.logits, &model.output()),
        q(limits.tokens, model.config().heads * model.config().head_dim),
        k(limits.tokens, model.config().kv_heads * model.config().head_dim),
        v(limits.tokens, model.config().kv_heads * model.config().head_dim),
        attended(limits.tokens, model.config().heads * model.config().head_dim),
        gate(limits.tokens, model.config().ff_width),
        up(limits.tokens, model.config().ff_width),
        activated(limits.tokens, model.config().ff_width),
        attention_branch(limits.tokens, model.config().width),
        ff_branch(limits.tokens, model.config().width),
        logits(limits.logits, model.config().vocabulary) {
    for (unsigned i = 0; i < threads; ++i) {
      own.emplace_back(model, std::min(kNarrow, limits.tokens), std::min(kNarrow, limits.logits),
                       &model.output());
    }
  }

  std::vector<Token> tokens;
  std::vector<std::size_t> logit_rows;  // tokens whose logits are wanted
  // Rows of a wide step, each written by one thread; and each thread's own of a narrow one.
  Rows shared;
  std::vector<Rows> own;
  // Outputs of the matrices and of attention: written in pieces by all threads.
  Output q, k, v, attended, gate, up, activated, attention_branch, ff_branch, logits;
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
      s_(std::make_unique<Scratch>(*model_, limits, pool.size())) {
  for (const RopeConfig& config : model_->config().ropes) {
    ropes_.emplace_back(config);
    s_->cos.emplace_back(limits.tokens * ropes_.back().pairs());
    s_->sin.emplace_back(limits.tokens * ropes_.back().pairs());
  }
}

Decoder::~Decoder() = default;

std::uint64_t Decoder::work_bytes(const ModelConfig& config, Limits limits) {
  const std::uint64_t heads = config.heads * config.head_dim;
  const std::uint64_t kv = config.kv_heads * config.head_dim;
  // The buffers of Scratch and Rows. What is quantised may be so in two ways, each a byte and its
  // share of a scale and a sum.
  const std::uint64_t floats = 4 * config.width + 3 * heads + 2 * kv + 4 * config.ff_width;
  const std::uint64_t codes = 3 * (config.width + heads + config.ff_width);
  return limits.tokens * (floats * sizeof(float) + codes) +
         limits.logits * std::uint64_t{config.vocabulary} * sizeof(float);
}

Share Decoder::rows_of(std::size_t count, unsigned thread) const {
  return narrow() ? Share{0, count} : share_of(count, thread, pool_.size());
}

bool Decoder::narrow() const { return s_->tokens.size() <= kNarrow; }

Decoder::Rows& Decoder::rows(unsigned thread) { return narrow() ? s_->own[thread] : s_->shared; }

void Decoder::rows_barrier() {
  if (!narrow()) pool_.barrier();
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
  Rows& r = rows(thread);
  const Share mine = rows_of(s_->tokens.size(), thread);
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    float* x = r.residual.row(t);
    model_->embed(s_->tokens[t].id, x);
    if (c.embedding_scale != 1) k_.scale(x, c.embedding_scale, c.width, x);
    k_.rms_norm(x, model_->layer(0).attention_norm.data(), c.width, c.norm_eps, r.normed.row(t));
  }
  r.normed.quantize(k_, s_->tokens.size(), mine.begin, mine.end);
  // The angles are read by all; each is written once.
  const Share angles = share_of(s_->tokens.size(), thread, pool_.size());
  for (std::size_t t = angles.begin; t < angles.end; ++t) {
    for (std::size_t i = 0; i < ropes_.size(); ++i) {
      const std::size_t pairs = ropes_[i].pairs();
      ropes_[i].at(s_->tokens[t].position, s_->cos[i].data() + t * pairs,
                   s_->sin[i].data() + t * pairs);
    }
  }
  rows_barrier();
}

void Decoder::attention(unsigned thread, std::size_t layer) {
  const LayerWeights& w = model_->layer(layer);
  const std::size_t count = s_->tokens.size();
  Rows& r = rows(thread);

  struct Target {
    const PackedWeight* weight;
    Output* out;
  };
  const std::array targets = {Target{&w.q, &s_->q}, Target{&w.k, &s_->k}, Target{&w.v, &s_->v}};
  std::size_t panels = 0;
  for (const Target& t : targets) panels += t.weight->panels();
  // The three matrices' panels are shared out as one run.
  const Share mine = share_of(panels, thread, pool_.size());
  std::size_t first = 0;
  for (const Target& t : targets) {
    const std::size_t begin = std::max(mine.begin, first);
    const std::size_t end = std::min(mine.end, first + t.weight->panels());
    if (begin < end) {
      r.normed.multiply(k_, *t.weight, count, begin - first, end - first, t.out->values.data(),
                        t.out->stride);
    }
    first += t.weight->panels();
  }
  pool_.barrier();  // q, k and v are complete

  look_back(thread, layer);
  pool_.barrier();  // attended is complete

  const Share tokens = rows_of(count, thread);
  r.attended.quantize(k_, count, tokens.begin, tokens.end, s_->attended.values.data(),
                      s_->attended.stride);
  rows_barrier();

  const Share out = share_of(w.attention_out.panels(), thread, pool_.size());
  r.attended.multiply(k_, w.attention_out, count, out.begin, out.end,
                      s_->attention_branch.values.data(), s_->attention_branch.stride);
  pool_.barrier();  // the branch is complete

  add_branch(thread, s_->attention_branch, w.post_attention_norm, w.ff_norm);
}

void Decoder::look_back(unsigned thread, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const std::size_t count = s_->tokens.size();
  const std::size_t group = c.heads / c.kv_heads;
  if (narrow() && c.kv_heads >= pool_.size()) {
    // A thread that keeps to its KV heads waits for nobody between storing and reading them.
    const Share mine = share_of(c.kv_heads, thread, pool_.size());
    for (std::size_t h = mine.begin; h < mine.end; ++h) {
      for (std::size_t t = 0; t < count; ++t) rotate_and_store(t, h, layer);
      for (std::size_t t = 0; t < count; ++t) attend(t, h * group, group, layer);
    }
    return;
  }
  const Share stores = share_of(count * c.kv_heads, thread, pool_.size());
  for (std::size_t i = stores.begin; i < stores.end; ++i) {
    rotate_and_store(i / c.kv_heads, i % c.kv_heads, layer);
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

void Decoder::rotate_and_store(std::size_t token, std::size_t kv_head, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const LayerWeights& w = model_->layer(layer);
  const std::size_t rope = c.layers[layer].rope;
  const std::size_t pairs = ropes_[rope].pairs();
  const float* cos = s_->cos[rope].data() + token * pairs;
  const float* sin = s_->sin[rope].data() + token * pairs;
  const std::size_t group = c.heads / c.kv_heads;
  float* q = s_->q.row(token) + kv_head * group * c.head_dim;
  float* k = s_->k.row(token) + kv_head * c.head_dim;
  if (c.qk_norm) {
    for (std::size_t h = 0; h < group; ++h) {
      float* head = q + h * c.head_dim;
      k_.rms_norm(head, w.q_norm.data(), c.head_dim, c.norm_eps, head);
    }
    k_.rms_norm(k, w.k_norm.data(), c.head_dim, c.norm_eps, k);
  }
  const bool halves = c.ropes[rope].halves;
  k_.rope(q, group, c.head_dim, 2 * pairs, cos, sin, halves);
  k_.rope(k, 1, c.head_dim, 2 * pairs, cos, sin, halves);

  const Token& at = s_->tokens[token];
  const KvLayout& layout = kv_.layout();
  const std::size_t pages = layout.group_of(layer);
  std::uint16_t* page = kv_.writable_page(pages, at.kv->tables[pages][at.position / kPage]);
  k_.store_kv(k, s_->v.row(token) + kv_head * c.head_dim, c.head_dim, at.position % kPage,
              page + layout.k_offset(layer, kv_head), page + layout.v_offset(layer, kv_head));
}

void Decoder::attend(std::size_t token, std::size_t first_head, std::size_t head_count,
                     std::size_t layer) {
  constexpr std::size_t kRange = kernels::kRangePositions;
  constexpr std::size_t kHeadsMax = 64;
  const ModelConfig& c = model_->config();
  const Token& at = s_->tokens[token];
  const std::size_t kv_head = first_head / (c.heads / c.kv_heads);
  const std::size_t group = kv_.layout().group_of(layer);
  const std::vector<PageId>& table = at.kv->tables[group];
  const std::size_t end = at.position + 1;
  const std::size_t window = c.layers[layer].window;
  const std::size_t first = window == 0 || end <= window ? 0 : end - window;

  // Heads in bundles, so that their running state has a fixed size.
  for (std::size_t h0 = 0; h0 < head_count; h0 += kHeadsMax) {
    const std::size_t heads = std::min(kHeadsMax, head_count - h0);
    const std::size_t head = first_head + h0;
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
  Rows& r = rows(thread);

  // A thread has the same rows of gate and up, so that it can join them without waiting.
  const Share mine = share_of(w.gate.panels(), thread, pool_.size());
  r.normed.multiply(k_, w.gate, count, mine.begin, mine.end, s_->gate.values.data(),
                    s_->gate.stride);
  r.normed.multiply(k_, w.up, count, mine.begin, mine.end, s_->up.values.data(), s_->up.stride);
  const std::size_t begin = std::min(mine.begin * kernels::kPanelRows, c.ff_width);
  const std::size_t end = std::min(mine.end * kernels::kPanelRows, c.ff_width);
  const auto join = c.activation == Activation::Silu ? k_.silu_mul : k_.gelu_tanh_mul;
  for (std::size_t t = 0; t < count; ++t) {
    join(s_->gate.row(t) + begin, s_->up.row(t) + begin, end - begin, s_->activated.row(t) + begin);
  }
  pool_.barrier();  // activated is complete

  const Share tokens = rows_of(count, thread);
  r.activated.quantize(k_, count, tokens.begin, tokens.end, s_->activated.values.data(),
                       s_->activated.stride);
  rows_barrier();

  const Share down = share_of(w.down.panels(), thread, pool_.size());
  r.activated.multiply(k_, w.down, count, down.begin, down.end, s_->ff_branch.values.data(),
                       s_->ff_branch.stride);
  pool_.barrier();  // the branch is complete

  const bool last = layer + 1 == c.layers.size();
  add_branch(thread, s_->ff_branch, w.post_ff_norm,
             last ? std::span<const float>{} : model_->layer(layer + 1).attention_norm);
}

void Decoder::add_branch(unsigned thread, Output& branch, std::span<const float> post_norm,
                         std::span<const float> next_norm) {
  const ModelConfig& c = model_->config();
  Rows& r = rows(thread);
  const Share mine = rows_of(s_->tokens.size(), thread);
  // In a wide step the shared rows have one buffer for norms; a thread then writes the branch's own
  // row, which nobody else reads.
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    float* x = r.residual.row(t);
    const float* added = branch.row(t);
    if (!post_norm.empty()) {
      float* normed = narrow() ? r.branch.data() : branch.row(t);
      k_.rms_norm(added, post_norm.data(), c.width, c.norm_eps, normed);
      added = normed;
    }
    k_.add(x, added, c.width, x);
    if (!next_norm.empty()) {
      k_.rms_norm(x, next_norm.data(), c.width, c.norm_eps, r.normed.row(t));
    }
  }
  if (!next_norm.empty()) r.normed.quantize(k_, s_->tokens.size(), mine.begin, mine.end);
  rows_barrier();
}

void Decoder::output(unsigned thread) {
  const ModelConfig& c = model_->config();
  const std::size_t count = s_->logit_rows.size();
  if (count == 0) return;
  Rows& r = rows(thread);
  const Share mine = rows_of(count, thread);
  for (std::size_t i = mine.begin; i < mine.end; ++i) {
    k_.rms_norm(r.residual.row(s_->logit_rows[i]), model_->output_norm().data(), c.width,
                c.norm_eps, r.final_normed.row(i));
  }
  r.final_normed.quantize(k_, count, mine.begin, mine.end);
  rows_barrier();

  const Share out = share_of(model_->output().panels(), thread, pool_.size());
  r.final_normed.multiply(k_, model_->output(), count, out.begin, out.end, s_->logits.values.data(),
                          s_->logits.stride);
  if (c.logit_softcap == 0) return;
  const std::size_t begin = std::min(out.begin * kernels::kPanelRows, c.vocabulary);
  const std::size_t end = std::min(out.end * kernels::kPanelRows, c.vocabulary);
  for (std::size_t i = 0; i < count; ++i) {
    k_.softcap(s_->logits.row(i) + begin, end - begin, c.logit_softcap);
  }
}

}  // namespace minerva::engine
