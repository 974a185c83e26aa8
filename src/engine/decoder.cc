#include "engine/decoder.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "engine/decoder_scratch.h"

namespace minerva::engine {

Decoder::Decoder(std::shared_ptr<const Model> model, KvPool& kv, ComputePool& pool,
                 const kernels::KernelTable& kernels, Limits limits)
    : model_(std::move(model)),
      kv_(kv),
      pool_(pool),
      k_(kernels),
      limits_(limits),
      s_(std::make_unique<Scratch>(*model_, limits, pool.size())) {
  if (model_->config().experts.count != 0) {
    experts_ = std::make_unique<ExpertFeedForward>(*model_, limits.tokens, kNarrow, pool, kernels);
  }
  const std::size_t context =
      limits.context != 0 ? limits.context : model_->config().trained_context;
  for (const RopeConfig& config : model_->config().ropes) {
    ropes_.emplace_back(config, context);
    s_->cos.emplace_back(limits.tokens * ropes_.back().pairs());
    s_->sin.emplace_back(limits.tokens * ropes_.back().pairs());
  }
}

Decoder::~Decoder() = default;

std::uint64_t Decoder::work_bytes(const ModelConfig& config, Limits limits) {
  const std::uint64_t heads = attended_width(config);
  const std::uint64_t kv = widest_kv(config);
  // Each layer's part of a token's inputs, made of as many, and what one layer makes of its own.
  const std::uint64_t inputs =
      config.layer_input_width == 0
          ? 0
          : config.width + (config.layers.size() + 2) * config.layer_input_width;
  const DeltaConfig& d = config.delta;
  const std::uint64_t gates = (has_convolutions(config) ? 4 * config.width : 0) +
                              (config.attention_gate ? heads : 0) + d.mixed() +
                              d.value_heads * (d.value_dim + 2);
  // The buffers of Scratch and Rows. What is quantised may be so in two ways, each a byte and its
  // share of a scale and a sum.
  const std::uint64_t floats = 4 * config.width + 3 * heads + 2 * kv + 4 * config.ff_width;
  const LatentConfig& l = config.latent;
  const std::uint64_t latents =
      l.rank == 0 ? 0
                  : 2 * l.query_rank + config.head_dim +
                        config.heads * (l.plain + config.ropes[0].n_rot + l.value_dim);
  const std::uint64_t codes = 3 * (config.width + heads + config.ff_width);
  return limits.tokens * ((floats + latents + inputs + gates) * sizeof(float) + codes) +
         limits.logits * std::uint64_t{config.vocabulary} * sizeof(float) +
         ExpertFeedForward::work_bytes(config, limits.tokens);
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

std::span<const float> Decoder::state(std::size_t token) {
  MINERVA_CHECK(token < s_->tokens.size());
  return {rows(0).normed.row(token), model_->config().width};
}

void Decoder::prepare(std::span<const StepItem> items) {
  s_->tokens.clear();
  s_->runs.clear();
  s_->logit_rows.clear();
  s_->state_rows.clear();
  for (const StepItem& item : items) {
    if (!item.tokens.empty()) s_->runs.push_back({s_->tokens.size(), item.tokens.size(), item.kv});
    for (std::size_t i = 0; i < item.tokens.size(); ++i) {
      if (i >= item.logits_from) s_->logit_rows.push_back(s_->tokens.size());
      if (item.states) s_->state_rows.push_back(s_->tokens.size());
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
    normalize(model_->layer(0).attention_norm, x, c.width, r.normed.row(t));
  }
  r.normed.quantize(k_, s_->tokens.size(), mine.begin, mine.end);
  // The angles are read by all; each is written once.
  const Share angles = share_of(s_->tokens.size(), thread, pool_.size());
  for (std::size_t t = angles.begin; t < angles.end; ++t) {
    if (c.temperature_length != 0) {
      const std::size_t lengths =
          1 + (s_->tokens[t].position + c.temperature_offset) / c.temperature_length;
      const double scale = static_cast<double>(c.temperature_scale);
      s_->temperatures[t] = static_cast<float>(1 + scale * std::log(static_cast<double>(lengths)));
    }
    for (std::size_t i = 0; i < ropes_.size(); ++i) {
      const std::size_t pairs = ropes_[i].pairs();
      ropes_[i].at(s_->tokens[t].position, s_->cos[i].data() + t * pairs,
                   s_->sin[i].data() + t * pairs);
    }
  }
  rows_barrier();
  if (c.layer_input_width != 0) make_layer_inputs(thread);
}

void Decoder::normalize(const Norm& norm, const float* x, std::size_t n, float* out) const {
  const ModelConfig& c = model_->config();
  if (!norm.exists()) {
    std::copy_n(x, n, out);
  } else if (c.norm == NormKind::Rms) {
    k_.rms_norm(x, norm.weight.data(), n, c.norm_eps, out);
  } else {
    k_.layer_norm(x, norm.weight.data(), norm.bias.empty() ? nullptr : norm.bias.data(), n,
                  c.norm_eps, out);
  }
}

void Decoder::multiply(const ActivationBuffer& in, const Linear& w, std::size_t count, Share panels,
                       Output& out) const {
  in.multiply(k_, w.weight, count, panels.begin, panels.end, out.values.data(), out.stride);
  if (w.bias.empty()) return;
  const std::size_t begin = std::min(panels.begin * kernels::kPanelRows, w.bias.size());
  const std::size_t end = std::min(panels.end * kernels::kPanelRows, w.bias.size());
  for (std::size_t t = 0; t < count; ++t) {
    float* row = out.row(t) + begin;
    k_.add(row, w.bias.data() + begin, end - begin, row);
  }
}

void Decoder::add_branches(unsigned thread, std::initializer_list<Branch> branches,
                           const Norm* next_norm, float scale) {
  const ModelConfig& c = model_->config();
  Rows& r = rows(thread);
  const Share mine = rows_of(s_->tokens.size(), thread);
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    float* x = r.residual.row(t);
    for (const Branch& branch : branches) {
      const float* added = branch.out.row(t);
      // In a wide step the shared rows have one buffer for norms; a thread then writes the branch's
      // own row, which nobody else reads.
      float* changed = narrow() ? r.branch.data() : branch.out.row(t);
      if (branch.post_norm.exists()) {
        normalize(branch.post_norm, added, c.width, changed);
        added = changed;
      }
      if (c.residual_scale != 1) {
        k_.scale(added, c.residual_scale, c.width, changed);
        added = changed;
      }
      k_.add(x, added, c.width, x);
    }
    if (scale != 1) k_.scale(x, scale, c.width, x);
    if (next_norm != nullptr) normalize(*next_norm, x, c.width, r.normed.row(t));
  }
  if (next_norm != nullptr) r.normed.quantize(k_, s_->tokens.size(), mine.begin, mine.end);
  rows_barrier();
}

void Decoder::output(unsigned thread) {
  const ModelConfig& c = model_->config();
  Rows& r = rows(thread);
  // No matrix reads the normed rows any more.
  const Share states = rows_of(s_->state_rows.size(), thread);
  for (std::size_t i = states.begin; i < states.end; ++i) {
    const std::size_t t = s_->state_rows[i];
    normalize(model_->output_norm(), r.residual.row(t), c.width, r.normed.row(t));
  }
  const std::size_t count = s_->logit_rows.size();
  if (count == 0) return;
  const Share mine = rows_of(count, thread);
  for (std::size_t i = mine.begin; i < mine.end; ++i) {
    normalize(model_->output_norm(), r.residual.row(s_->logit_rows[i]), c.width,
              r.final_normed.row(i));
  }
  r.final_normed.quantize(k_, count, mine.begin, mine.end);
  rows_barrier();

  const Linear& w = model_->output();
  const Share out = share_of(w.weight.panels(), thread, pool_.size());
  multiply(r.final_normed, w, count, out, s_->logits);
  if (c.logit_softcap == 0 && c.logit_scale == 1) return;
  const std::size_t begin = std::min(out.begin * kernels::kPanelRows, c.vocabulary);
  const std::size_t end = std::min(out.end * kernels::kPanelRows, c.vocabulary);
  for (std::size_t i = 0; i < count; ++i) {
    float* logits = s_->logits.row(i) + begin;
    if (c.logit_scale != 1) k_.scale(logits, c.logit_scale, end - begin, logits);
    if (c.logit_softcap != 0) k_.softcap(logits, end - begin, c.logit_softcap);
  }
}

}  // namespace minerva::engine
