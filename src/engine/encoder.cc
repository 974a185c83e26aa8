#include "engine/encoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "engine/activation_buffer.h"

namespace minerva::engine {
namespace {

using kernels::kPanelRows;

// Tokens whose scores one unit of work holds at a time.
constexpr std::size_t kQueryBlock = 16;
// Buffers grow in steps, so that they do not grow with every text.
constexpr std::size_t kTokenStep = 64;

constexpr std::size_t padded(std::size_t n) {
  return (n + kPanelRows - 1) / kPanelRows * kPanelRows;
}

// The matrices of every layer that read one input.
template <class... Member>
std::vector<const PackedWeight*> readers(const EncoderModel& model, Member... members) {
  std::vector<const PackedWeight*> all;
  for (std::size_t i = 0; i < model.config().layers; ++i) {
    (all.push_back(&(model.layer(i).*members).weight), ...);
  }
  return all;
}

const float* bias_of(const Norm& norm) { return norm.bias.empty() ? nullptr : norm.bias.data(); }

}  // namespace

// An output for every token: rows of `stride` floats.
struct Encoder::Output {
  Output(std::size_t tokens, std::size_t rows) : stride(padded(rows)), values(tokens * stride) {}
  float* row(std::size_t token) { return values.data() + token * stride; }
  std::size_t stride;
  std::vector<float> values;
};

// One text of a call: tokens [first, first + size). Its keys and values lie as two matrices a head
// that the product kernel reads, from these offsets on.
struct Encoder::Text {
  std::span<const TokenId> tokens;
  std::size_t first = 0;
  std::size_t keys = 0;    // [head][padded(size)/16][head_dim][16 tokens]
  std::size_t values = 0;  // [head][padded(head_dim)/16][size][16 dimensions]

  std::size_t size() const { return tokens.size(); }
  std::size_t blocks() const { return (size() + kQueryBlock - 1) / kQueryBlock; }
};

// Everything that a call writes, for up to `capacity` tokens.
struct Encoder::Scratch {
  Scratch(const EncoderModel& model, std::size_t tokens, unsigned threads)
      : capacity(tokens),
        hidden(tokens, model.config().width,
               readers(model, &EncoderLayer::q, &EncoderLayer::k, &EncoderLayer::v,
                       &EncoderLayer::up)),
        attended_input(tokens, model.config().width, readers(model, &EncoderLayer::attention_out)),
        activated_input(tokens, model.config().ff_width, readers(model, &EncoderLayer::down)),
        q(tokens, model.config().width),
        k(tokens, model.config().width),
        v(tokens, model.config().width),
        attended(tokens, model.config().width),
        up(tokens, model.config().ff_width),
        branch(tokens, model.config().width),
        scores(threads),
        mixed(threads) {}

  std::size_t capacity;
  std::vector<Text> texts;
  std::size_t count = 0;  // tokens of this call
  ActivationBuffer hidden, attended_input, activated_input;
  Output q, k, v, attended, up, branch;
  std::vector<float> keys, values;
  // A unit of attention: a block of tokens of a text, in one head (index % heads).
  struct Unit {
    std::size_t text, block;
  };
  std::vector<Unit> units;
  std::vector<std::vector<float>> scores, mixed;  // each thread's own
};

Encoder::Encoder(std::shared_ptr<const EncoderModel> model, ComputePool& pool,
                 const kernels::KernelTable& kernels)
    : model_(std::move(model)), pool_(pool), k_(kernels) {}

Encoder::~Encoder() = default;

std::uint64_t Encoder::work_bytes(const EncoderConfig& c, std::size_t tokens, unsigned threads) {
  const std::uint64_t rows = padded(tokens) + kTokenStep;
  const std::uint64_t floats = 10 * std::uint64_t{padded(c.width)} + 2 * padded(c.ff_width);
  // What is quantised may be so in two ways, each a byte and its share of a scale and a sum.
  const std::uint64_t codes = 3 * (2 * std::uint64_t{c.width} + c.ff_width);
  const std::uint64_t scores = std::uint64_t{threads} * kQueryBlock * sizeof(float) *
                               (padded(std::min(tokens, c.trained_context)) + padded(c.head_dim));
  return rows * (floats * sizeof(float) + codes) + scores;
}

void Encoder::prepare(std::span<const std::span<const TokenId>> texts) {
  std::size_t count = 0;
  std::size_t longest = 0;
  for (const auto& tokens : texts) {
    MINERVA_CHECK(!tokens.empty() && tokens.size() <= config().trained_context);
    count += tokens.size();
    longest = std::max(longest, tokens.size());
  }
  if (s_ == nullptr || count > s_->capacity) {
    s_.reset();  // before the larger one is made
    const std::size_t capacity = (count + kTokenStep - 1) / kTokenStep * kTokenStep;
    s_ = std::make_unique<Scratch>(*model_, capacity, pool_.size());
  }
  s_->count = count;
  s_->texts.clear();
  s_->units.clear();
  const EncoderConfig& c = config();
  std::size_t first = 0;
  std::size_t keys = 0;
  std::size_t values = 0;
  for (const auto& tokens : texts) {
    Text text{tokens, first, keys, values};
    for (std::size_t block = 0; block < text.blocks(); ++block) {
      s_->units.push_back({s_->texts.size(), block});
    }
    first += text.size();
    keys += c.heads * padded(text.size()) * c.head_dim;
    values += c.heads * text.size() * padded(c.head_dim);
    s_->texts.push_back(text);
  }
  if (keys > s_->keys.size()) s_->keys.resize(keys);
  if (values > s_->values.size()) s_->values.resize(values);
  for (std::vector<float>& scores : s_->scores) {
    if (scores.size() < kQueryBlock * padded(longest)) scores.resize(kQueryBlock * padded(longest));
  }
  for (std::vector<float>& mixed : s_->mixed) mixed.resize(kQueryBlock * padded(c.head_dim));
}

void Encoder::encode(std::span<const std::span<const TokenId>> texts, float* out) {
  if (texts.empty()) return;
  prepare(texts);
  const std::function<void(unsigned)> work = [this, out](unsigned thread) { forward(thread, out); };
  pool_.run(work);
}

void Encoder::forward(unsigned thread, float* out) {
  embed(thread);
  for (std::size_t i = 0; i < config().layers; ++i) {
    attention(thread, model_->layer(i));
    feed_forward(thread, model_->layer(i));
  }
  const Share mine = share_of(s_->texts.size(), thread, pool_.size());
  for (std::size_t i = mine.begin; i < mine.end; ++i) {
    pool_text(s_->texts[i], out + i * config().width);
  }
}

void Encoder::embed(unsigned thread) {
  const EncoderConfig& c = config();
  const Norm& norm = model_->embedding_norm();
  const std::span<const float> type = model_->token_type();
  const Share mine = share_of(s_->count, thread, pool_.size());
  for (const Text& text : s_->texts) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      const std::size_t t = text.first + i;
      if (t < mine.begin || t >= mine.end) continue;
      float* x = s_->hidden.row(t);
      model_->embed(text.tokens[i], x);
      if (!type.empty()) k_.add(x, type.data(), c.width, x);
      k_.add(x, model_->position(i).data(), c.width, x);
      k_.layer_norm(x, norm.weight.data(), bias_of(norm), c.width, c.norm_eps, x);
    }
  }
  s_->hidden.quantize(k_, s_->count, mine.begin, mine.end);
  pool_.barrier();  // the hidden states are complete
}

template <class Input>
void Encoder::multiply(const Input& input, const Linear& linear, std::size_t begin, std::size_t end,
                       Output& out) {
  if (begin >= end) return;
  input.multiply(k_, linear.weight, s_->count, begin, end, out.values.data(), out.stride);
  if (linear.bias.empty()) return;
  const std::size_t from = begin * kPanelRows;
  const std::size_t to = std::min(end * kPanelRows, linear.weight.rows());
  for (std::size_t t = 0; t < s_->count; ++t) {
    float* row = out.row(t) + from;
    k_.add(row, linear.bias.data() + from, to - from, row);
  }
}

void Encoder::attention(unsigned thread, const EncoderLayer& layer) {
  const EncoderConfig& c = config();
  // The three matrices' panels are shared out as one run.
  const std::array<const Linear*, 3> linears = {&layer.q, &layer.k, &layer.v};
  const std::array<Output*, 3> outputs = {&s_->q, &s_->k, &s_->v};
  const std::size_t panels = layer.q.weight.panels();
  const Share mine = share_of(3 * panels, thread, pool_.size());
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t begin = std::max(mine.begin, i * panels);
    const std::size_t end = std::min(mine.end, (i + 1) * panels);
    if (begin < end) {
      multiply(s_->hidden, *linears[i], begin - i * panels, end - i * panels, *outputs[i]);
    }
  }
  pool_.barrier();  // queries, keys and values are complete

  const Share packs = share_of(s_->texts.size() * c.heads, thread, pool_.size());
  for (std::size_t i = packs.begin; i < packs.end; ++i) {
    pack_keys_values(s_->texts[i / c.heads], i % c.heads);
  }
  pool_.barrier();  // and lie as the products want them

  const Share units = share_of(s_->units.size() * c.heads, thread, pool_.size());
  for (std::size_t i = units.begin; i < units.end; ++i) {
    const Scratch::Unit& unit = s_->units[i / c.heads];
    attend(s_->texts[unit.text], i % c.heads, unit.block, s_->scores[thread].data(),
           s_->mixed[thread].data());
  }
  pool_.barrier();  // attended is complete

  const Share rows = share_of(s_->count, thread, pool_.size());
  s_->attended_input.quantize(k_, s_->count, rows.begin, rows.end, s_->attended.values.data(),
                              s_->attended.stride);
  pool_.barrier();
  const Share out = share_of(layer.attention_out.weight.panels(), thread, pool_.size());
  multiply(s_->attended_input, layer.attention_out, out.begin, out.end, s_->branch);
  pool_.barrier();  // the branch is complete
  add_and_norm(thread, layer.attention_norm);
}

void Encoder::pack_keys_values(const Text& text, std::size_t head) {
  const std::size_t dim = config().head_dim;
  const std::size_t n = text.size();
  float* keys = s_->keys.data() + text.keys + head * padded(n) * dim;
  for (std::size_t t = 0; t < padded(n); ++t) {
    const float* row = t < n ? s_->k.row(text.first + t) + head * dim : nullptr;
    float* to = keys + t / kPanelRows * dim * kPanelRows + t % kPanelRows;
    for (std::size_t d = 0; d < dim; ++d) to[d * kPanelRows] = row == nullptr ? 0.0F : row[d];
  }
  float* values = s_->values.data() + text.values + head * n * padded(dim);
  for (std::size_t t = 0; t < n; ++t) {
    const float* row = s_->v.row(text.first + t) + head * dim;
    for (std::size_t d = 0; d < padded(dim); ++d) {
      values[(d / kPanelRows * n + t) * kPanelRows + d % kPanelRows] = d < dim ? row[d] : 0.0F;
    }
  }
}

// Scores, softmax and values are two products and exp_sum, whose order is the same for every text's
// neighbours, thread and instruction set.
void Encoder::attend(const Text& text, std::size_t head, std::size_t block, float* scores,
                     float* mixed) {
  const EncoderConfig& c = config();
  const std::size_t n = text.size();
  const std::size_t begin = block * kQueryBlock;
  const std::size_t count = std::min(kQueryBlock, n - begin);
  const std::size_t dim_padded = padded(c.head_dim);
  kernels::FloatMatrix keys;
  keys.rows = n;
  keys.rows_padded = padded(n);
  keys.cols = c.head_dim;
  keys.values = s_->keys.data() + text.keys + head * padded(n) * c.head_dim;
  k_.gemm_float(keys, s_->q.row(text.first + begin) + head * c.head_dim, count, s_->q.stride, 0,
                padded(n) / kPanelRows, scores, padded(n));
  const float scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
  std::array<float, kQueryBlock> sums;
  for (std::size_t t = 0; t < count; ++t) sums[t] = k_.exp_sum(scores + t * padded(n), n, scale);
  kernels::FloatMatrix values;
  values.rows = c.head_dim;
  values.rows_padded = dim_padded;
  values.cols = n;
  values.values = s_->values.data() + text.values + head * n * dim_padded;
  k_.gemm_float(values, scores, count, padded(n), 0, dim_padded / kPanelRows, mixed, dim_padded);
  for (std::size_t t = 0; t < count; ++t) {
    k_.divide(mixed + t * dim_padded, sums[t], c.head_dim,
              s_->attended.row(text.first + begin + t) + head * c.head_dim);
  }
}

void Encoder::feed_forward(unsigned thread, const EncoderLayer& layer) {
  const Share mine = share_of(layer.up.weight.panels(), thread, pool_.size());
  multiply(s_->hidden, layer.up, mine.begin, mine.end, s_->up);
  const std::size_t begin = std::min(mine.begin * kPanelRows, config().ff_width);
  const std::size_t end = std::min(mine.end * kPanelRows, config().ff_width);
  for (std::size_t t = 0; t < s_->count; ++t) {
    float* row = s_->up.row(t) + begin;
    k_.gelu_erf(row, end - begin, row);
  }
  pool_.barrier();  // activated is complete

  const Share rows = share_of(s_->count, thread, pool_.size());
  s_->activated_input.quantize(k_, s_->count, rows.begin, rows.end, s_->up.values.data(),
                               s_->up.stride);
  pool_.barrier();
  const Share down = share_of(layer.down.weight.panels(), thread, pool_.size());
  multiply(s_->activated_input, layer.down, down.begin, down.end, s_->branch);
  pool_.barrier();  // the branch is complete
  add_and_norm(thread, layer.output_norm);
}

void Encoder::add_and_norm(unsigned thread, const Norm& norm) {
  const EncoderConfig& c = config();
  const Share mine = share_of(s_->count, thread, pool_.size());
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    float* x = s_->hidden.row(t);
    k_.add(x, s_->branch.row(t), c.width, x);
    k_.layer_norm(x, norm.weight.data(), bias_of(norm), c.width, c.norm_eps, x);
  }
  s_->hidden.quantize(k_, s_->count, mine.begin, mine.end);
  pool_.barrier();  // the hidden states are complete
}

void Encoder::pool_text(const Text& text, float* out) const {
  const EncoderConfig& c = config();
  switch (c.pooling) {
    case Pooling::Mean:
      std::fill_n(out, c.width, 0.0F);
      for (std::size_t i = 0; i < text.size(); ++i) {
        k_.add(out, s_->hidden.row(text.first + i), c.width, out);
      }
      k_.divide(out, static_cast<float>(text.size()), c.width, out);
      break;
    case Pooling::Cls:
      std::copy_n(s_->hidden.row(text.first), c.width, out);
      break;
    case Pooling::Last:
      std::copy_n(s_->hidden.row(text.first + text.size() - 1), c.width, out);
      break;
  }
  if (c.normalize) normalize({out, c.width});
}

}  // namespace minerva::engine
