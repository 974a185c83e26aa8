// The Decoder's short convolutions: y = c * sum over the last tokens of w * (b * x). What is added
// up is rounded first as the pages keep it, so that it does not matter whether a token was computed
// in this step. Products and sums are in one order: plain C++, nothing is fused.
#include <algorithm>

#include "engine/decoder.h"
#include "engine/decoder_scratch.h"
#include "formats/half.h"

namespace minerva::engine {
namespace {

// What a page gives back of x; with what rounding took, if that is kept too.
float as_kept(float x, bool exact) {
  const float half = formats::half_to_float(formats::float_to_half(x));
  if (!exact) return half;
  return half + formats::half_to_float(formats::float_to_half(x - half));
}

}  // namespace

void Decoder::convolve(unsigned thread, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const std::size_t width = c.width;
  const std::size_t half = width / 2;
  const std::size_t tokens = c.layers[layer].convolution;
  const std::vector<float>& weights = model_->layer(layer).convolution;
  const KvLayout& layout = kv_.layout();
  const std::size_t group = layout.group_of(layer);
  const std::size_t key = layout.k_offset(layer, 0);
  const std::size_t value = layout.v_offset(layer, 0);
  const Share mine = share_of(s_->tokens.size(), thread, pool_.size());

  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    const Token& at = s_->tokens[t];
    float* b = s_->gates.row(t);
    const float* x = b + 2 * width;
    const bool exact = kv_.is_exact(*at.kv);
    for (std::size_t i = 0; i < width; ++i) b[i] = as_kept(b[i] * x[i], exact);
    store(at, layer, 0, b, b + half, half);
  }
  pool_.barrier();  // every token's values are there

  std::vector<float>& kept = s_->kept[thread];
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    const Token& at = s_->tokens[t];
    float* out = s_->attended.row(t);
    std::fill_n(out, width, 0.0F);
    for (std::size_t j = 0; j < tokens; ++j) {
      const std::size_t back = tokens - 1 - j;
      if (back > at.position) continue;  // before the first token
      const float* gated = kept.data();
      // A sequence's tokens of a step lie one behind the other.
      const bool here = back <= t && s_->tokens[t - back].kv == at.kv &&
                        s_->tokens[t - back].position + back == at.position;
      if (here) {
        gated = s_->gates.row(t - back);
      } else {
        const std::size_t position = at.position - back;
        const std::size_t slot = position % kPage;
        std::ranges::fill(kept, 0.0F);
        for (std::size_t table = group; table < at.kv->tables.size();
             table += layout.groups().size()) {
          const std::uint16_t* page = kv_.page(group, at.kv->tables[table][position / kPage]);
          for (std::size_t i = 0; i < half; ++i) {
            kept[i] += formats::half_to_float(page[key + i * kPage + slot]);
            kept[half + i] += formats::half_to_float(page[value + slot * half + i]);
          }
        }
      }
      for (std::size_t i = 0; i < width; ++i) out[i] += weights[i * tokens + j] * gated[i];
    }
    const float* gate = s_->gates.row(t) + width;
    for (std::size_t i = 0; i < width; ++i) out[i] *= gate[i];
  }
}

}  // namespace minerva::engine
