#include "engine/decoder_scratch.h"

#include <algorithm>

#include "base/check.h"

namespace minerva::engine {
namespace {

// The matrices of every layer that read one input.
template <class... Member>
std::vector<const PackedWeight*> readers(const Model& model, Member... members) {
  std::vector<const PackedWeight*> all;
  const auto add = [&](const Linear& linear) {
    if (linear.weight.rows() != 0) all.push_back(&linear.weight);
  };
  for (std::size_t i = 0; i < model.config().layers.size(); ++i) {
    (add(model.layer(i).*members), ...);
  }
  return all;
}

// Those that read a branch's normed input; experts read it when a step has a single token.
std::vector<const PackedWeight*> normed_readers(const Model& model) {
  auto all =
      readers(model, &LayerWeights::k, &LayerWeights::v, &LayerWeights::gate, &LayerWeights::up);
  const bool has_query_latent = model.config().latent.query_rank != 0;
  const bool experts_apart = model.config().experts.beside_dense;
  for (std::size_t i = 0; i < model.config().layers.size(); ++i) {
    const LayerWeights& layer = model.layer(i);
    const Linear& queries = has_query_latent ? layer.latent.query_down : layer.q;
    const DeltaWeights& delta = layer.delta;
    for (const Linear* linear : {&queries, &layer.q_gate, &layer.latent.down, &layer.gates,
                                 &delta.mixed, &delta.gate, &delta.beta, &delta.alpha}) {
      if (linear->weight.rows() != 0) all.push_back(&linear->weight);
    }
    if (experts_apart) continue;
    const ExpertWeights& experts = model.layer(i).experts;
    for (const PackedWeight& w : experts.gate.matrices) all.push_back(&w);
    for (const PackedWeight& w : experts.up.matrices) all.push_back(&w);
    if (!experts.has_shared()) continue;
    all.push_back(&experts.shared_gate);
    all.push_back(&experts.shared_up);
  }
  return all;
}

std::vector<const PackedWeight*> query_latent_readers(const Model& model) {
  if (model.config().latent.query_rank == 0) return {};
  return readers(model, &LayerWeights::q);
}

std::vector<const PackedWeight*> head_readers(const Model& model, MatrixStack LatentWeights::* of) {
  std::vector<const PackedWeight*> all;
  for (std::size_t i = 0; i < model.config().layers.size(); ++i) {
    for (const PackedWeight& w : (model.layer(i).latent.*of).matrices) all.push_back(&w);
  }
  return all;
}

std::vector<const PackedWeight*> plain_readers(const Model& model) {
  auto all = readers(model, &LayerWeights::input_gate);
  if (model.layer_inputs().weight.rows() != 0) all.push_back(&model.layer_inputs().weight);
  return all;
}

std::size_t beside_dense_tokens(const Model& model, std::size_t tokens) {
  return model.config().experts.beside_dense ? tokens : 0;
}

// Of experts beside a dense part.
std::vector<const PackedWeight*> expert_readers(const Model& model) {
  std::vector<const PackedWeight*> all;
  if (!model.config().experts.beside_dense) return all;
  for (std::size_t i = 0; i < model.config().layers.size(); ++i) {
    const ExpertWeights& experts = model.layer(i).experts;
    for (const PackedWeight& w : experts.gate.matrices) all.push_back(&w);
    for (const PackedWeight& w : experts.up.matrices) all.push_back(&w);
  }
  return all;
}

// Widths of what only models with latents have; 0 for the others.
struct LatentWidths {
  explicit LatentWidths(const ModelConfig& c) {
    if (c.latent.rank == 0) return;
    head_queries = c.heads * (c.latent.plain + c.ropes[0].n_rot);
    latent = c.head_dim;
    values = c.heads * c.latent.value_dim;
  }
  std::size_t head_queries = 0;
  std::size_t latent = 0;
  std::size_t values = 0;
};

}  // namespace

InputsByWidth::InputsByWidth(std::size_t tokens, std::span<const PackedWeight* const> readers) {
  std::vector<std::size_t> widths;
  for (const PackedWeight* reader : readers) widths.push_back(reader->cols());
  std::ranges::sort(widths);
  widths.erase(std::unique(widths.begin(), widths.end()), widths.end());
  for (const std::size_t width : widths) {
    std::vector<const PackedWeight*> own;
    for (const PackedWeight* reader : readers) {
      if (reader->cols() == width) own.push_back(reader);
    }
    inputs_.emplace_back(tokens, width, own);
  }
}

ActivationBuffer& InputsByWidth::of(const PackedWeight& reader) {
  for (ActivationBuffer& input : inputs_) {
    if (input.cols() == reader.cols()) return input;
  }
  MINERVA_CHECK(false);
  return inputs_.front();
}

Decoder::Rows::Rows(const Model& model, std::size_t tokens, std::size_t logits)
    : residual(tokens, model.config().width),
      normed(tokens, model.config().width, normed_readers(model)),
      query_latent(tokens, model.config().latent.query_rank, query_latent_readers(model)),
      final_normed(logits, model.config().width,
                   std::vector<const PackedWeight*>{&model.output().weight}),
      attended(tokens, readers(model, &LayerWeights::attention_out)),
      activated(tokens, readers(model, &LayerWeights::down)),
      plain(model.config().layer_input_width == 0 ? 0 : tokens, model.config().width,
            plain_readers(model)),
      input_gate(tokens, model.config().layer_input_width,
                 readers(model, &LayerWeights::input_out)),
      expert_input(beside_dense_tokens(model, tokens), model.config().width, expert_readers(model)),
      routed(beside_dense_tokens(model, tokens), model.config().width, {}),
      branch(model.config().width) {}

Decoder::Scratch::Scratch(const Model& model, const Limits& limits, unsigned threads)
    : shared(model, limits.tokens, limits.logits),
      q(limits.tokens, attended_width(model.config())),
      k(limits.tokens, widest_kv(model.config())),
      v(limits.tokens, widest_kv(model.config())),
      attended(limits.tokens, attended_width(model.config())),
      gate(limits.tokens, model.config().gated ? model.config().ff_width : 0),
      up(limits.tokens, model.config().ff_width),
      activated(limits.tokens, model.config().ff_width),
      attention_branch(limits.tokens, model.config().width),
      ff_branch(limits.tokens, model.config().width),
      logits(limits.logits, model.config().vocabulary),
      query_latent(limits.tokens, model.config().latent.query_rank),
      head_queries(limits.tokens, LatentWidths(model.config()).head_queries),
      latent(limits.tokens, LatentWidths(model.config()).latent),
      values(limits.tokens, LatentWidths(model.config()).values),
      layer_inputs(limits.tokens, model.config().layers.size() * model.config().layer_input_width),
      input_gate(limits.tokens, model.config().layer_input_width),
      expert_branch(beside_dense_tokens(model, limits.tokens), model.config().width),
      gates(limits.tokens, has_convolutions(model.config()) ? 3 * model.config().width : 0),
      q_gate(limits.tokens,
             model.config().attention_gate ? model.config().heads * model.config().head_dim : 0),
      mixed(limits.tokens, model.config().delta.mixed()),
      delta_gate(limits.tokens, model.config().delta.value_heads * model.config().delta.value_dim),
      beta(limits.tokens, model.config().delta.value_heads),
      alpha(limits.tokens, model.config().delta.value_heads) {
  for (unsigned i = 0; i < threads; ++i) {
    own.emplace_back(model, std::min(kNarrow, limits.tokens), std::min(kNarrow, limits.logits));
    layer_table.emplace_back(model.config().layers.size() * model.config().layer_input_width);
    kept.emplace_back(has_convolutions(model.config()) ? model.config().width : 0);
    delta_head.emplace_back(2 * model.config().delta.key_dim + model.config().delta.value_dim);
    if (model.config().latent.rank == 0) continue;
    head_plain.emplace_back(limits.tokens, model.config().latent.plain,
                            head_readers(model, &LatentWeights::key_up));
    head_latent.emplace_back(limits.tokens, model.config().latent.rank,
                             head_readers(model, &LatentWeights::value_up));
  }
  if (model.config().temperature_length != 0) temperatures.resize(limits.tokens);
}

}  // namespace minerva::engine
