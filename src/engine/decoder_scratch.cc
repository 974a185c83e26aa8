#include "engine/decoder_scratch.h"

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
  auto all = readers(model, &LayerWeights::q, &LayerWeights::k, &LayerWeights::v,
                     &LayerWeights::gate, &LayerWeights::up);
  for (std::size_t i = 0; i < model.config().layers.size(); ++i) {
    const ExpertWeights& experts = model.layer(i).experts;
    for (const PackedWeight& w : experts.gate.matrices) all.push_back(&w);
    for (const PackedWeight& w : experts.up.matrices) all.push_back(&w);
    if (!experts.has_shared()) continue;
    all.push_back(&experts.shared_gate);
    all.push_back(&experts.shared_up);
  }
  return all;
}

std::size_t attention_width(const Model& model) {
  return model.config().heads * model.config().head_dim;
}

}  // namespace

Decoder::Rows::Rows(const Model& model, std::size_t tokens, std::size_t logits)
    : residual(tokens, model.config().width),
      normed(tokens, model.config().width, normed_readers(model)),
      attended(tokens, attention_width(model), readers(model, &LayerWeights::attention_out)),
      activated(tokens, model.config().ff_width, readers(model, &LayerWeights::down)),
      final_normed(logits, model.config().width,
                   std::vector<const PackedWeight*>{&model.output().weight}),
      branch(model.config().width) {}

Decoder::Scratch::Scratch(const Model& model, const Limits& limits, unsigned threads)
    : shared(model, limits.tokens, limits.logits),
      q(limits.tokens, attention_width(model)),
      k(limits.tokens, model.config().kv_heads * model.config().head_dim),
      v(limits.tokens, model.config().kv_heads * model.config().head_dim),
      attended(limits.tokens, attention_width(model)),
      gate(limits.tokens, model.config().gated ? model.config().ff_width : 0),
      up(limits.tokens, model.config().ff_width),
      activated(limits.tokens, model.config().ff_width),
      attention_branch(limits.tokens, model.config().width),
      ff_branch(limits.tokens, model.config().width),
      logits(limits.logits, model.config().vocabulary) {
  for (unsigned i = 0; i < threads; ++i) {
    own.emplace_back(model, std::min(kNarrow, limits.tokens), std::min(kNarrow, limits.logits));
  }
  if (model.config().temperature_length != 0) temperatures.resize(limits.tokens);
}

}  // namespace minerva::engine
