// The Decoder's layer inputs: a token has a vector for each layer, from a table and from its
// embedding, and each layer ends with a gate on its own.
#include <algorithm>
#include <cmath>

#include "engine/decoder.h"
#include "engine/decoder_scratch.h"

namespace minerva::engine {

void Decoder::make_layer_inputs(unsigned thread) {
  const ModelConfig& c = model_->config();
  const std::size_t count = s_->tokens.size();
  const std::size_t width = c.layer_input_width;
  Rows& r = rows(thread);
  const Share mine = rows_of(count, thread);
  r.plain.quantize(k_, count, mine.begin, mine.end, r.residual.values.data(), r.residual.stride);
  rows_barrier();
  const Linear& w = model_->layer_inputs();
  multiply(r.plain, w, count, share_of(w.weight.panels(), thread, pool_.size()), s_->layer_inputs);
  pool_.barrier();  // every token's are there

  const auto from_width = static_cast<float>(1 / std::sqrt(static_cast<double>(c.width)));
  const auto of_table = static_cast<float>(std::sqrt(static_cast<double>(width)));
  const auto of_both = static_cast<float>(1 / std::sqrt(2.0));
  std::vector<float>& table = s_->layer_table[thread];
  const Share tokens = share_of(count, thread, pool_.size());
  for (std::size_t t = tokens.begin; t < tokens.end; ++t) {
    model_->embed_layer_inputs(s_->tokens[t].id, table.data());
    float* inputs = s_->layer_inputs.row(t);
    k_.scale(inputs, from_width, table.size(), inputs);
    for (std::size_t layer = 0; layer < c.layers.size(); ++layer) {
      float* own = inputs + layer * width;
      normalize(model_->layer_inputs_norm(), own, width, own);
    }
    k_.add_scaled(table.data(), of_table, table.size(), inputs);
    k_.scale(inputs, of_both, table.size(), inputs);
  }
  // The barriers of the first layer come before anybody reads them.
}

void Decoder::add_layer_input(unsigned thread, std::size_t layer, const Norm* next_norm) {
  const ModelConfig& c = model_->config();
  const LayerWeights& w = model_->layer(layer);
  const std::size_t count = s_->tokens.size();
  const std::size_t width = c.layer_input_width;
  Rows& r = rows(thread);
  const Share mine = rows_of(count, thread);
  r.plain.quantize(k_, count, mine.begin, mine.end, r.residual.values.data(), r.residual.stride);
  rows_barrier();
  const Share panels = share_of(w.input_gate.weight.panels(), thread, pool_.size());
  multiply(r.plain, w.input_gate, count, panels, s_->input_gate);
  const std::size_t begin = std::min(panels.begin * kernels::kPanelRows, width);
  const std::size_t end = std::min(panels.end * kernels::kPanelRows, width);
  for (std::size_t t = 0; t < count; ++t) {
    float* gate = s_->input_gate.row(t) + begin;
    k_.gelu_tanh_mul(gate, s_->layer_inputs.row(t) + layer * width + begin, end - begin, gate);
  }
  pool_.barrier();  // the gates are complete

  r.input_gate.quantize(k_, count, mine.begin, mine.end, s_->input_gate.values.data(),
                        s_->input_gate.stride);
  rows_barrier();
  multiply(r.input_gate, w.input_out, count,
           share_of(w.input_out.weight.panels(), thread, pool_.size()), s_->attention_branch);
  pool_.barrier();  // the branch is complete
  add_branches(thread, {{s_->attention_branch, w.input_norm}}, next_norm,
               w.output_scale.empty() ? 1 : w.output_scale[0]);
}

}  // namespace minerva::engine
