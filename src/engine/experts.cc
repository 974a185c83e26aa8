#include "engine/experts.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/check.h"
#include "engine/expert_router.h"
#include "engine/grouped_activations.h"

namespace minerva::engine {
namespace {

using kernels::kPanelRows;

// gpt-oss's activation; the numbers are in its code, not in its files.
constexpr float kSwigluSharpness = 1.702F;
constexpr float kSwigluLimit = 7;

// What a pass over a panel costs beside its tokens, in tokens: up to some six of them are free
// while the weights come from memory. Only how the work is shared out depends on it.
constexpr std::size_t kPassCost = 6;

std::size_t padded(std::size_t rows) { return (rows + kPanelRows - 1) / kPanelRows * kPanelRows; }

// Rows of floats that matrices write to.
struct Table {
  Table() = default;
  Table(std::size_t rows, std::size_t cols) : stride(padded(cols)), values(rows * stride) {}
  float* row(std::size_t i) { return values.data() + i * stride; }
  std::size_t stride = 0;
  std::vector<float> values;
};

using Readers = std::vector<const PackedWeight*>;

const float* router_input(const ExpertStep& step) {
  return step.routed != nullptr ? step.routed : step.normed->row(0);
}

// One matrix of each expert in every layer, or the one of every layer's shared expert.
Readers readers(const Model& model, std::initializer_list<MatrixStack ExpertWeights::*> stacks) {
  Readers all;
  for (std::size_t i = 0; i < model.config().layers.size(); ++i) {
    for (const auto stack : stacks) {
      for (const PackedWeight& w : (model.layer(i).experts.*stack).matrices) all.push_back(&w);
    }
  }
  return all;
}
Readers readers(const Model& model, PackedWeight ExpertWeights::* matrix) {
  Readers all;
  if (model.config().experts.shared_ff_width == 0) return all;
  for (std::size_t i = 0; i < model.config().layers.size(); ++i) {
    const ExpertWeights& experts = model.layer(i).experts;
    if (!experts.empty()) all.push_back(&(experts.*matrix));
  }
  return all;
}

}  // namespace

// An expert and the tokens that it computes.
struct ExpertFeedForward::Part {
  const PackedWeight* gate;
  const PackedWeight* up;
  const PackedWeight* down;
  const float* gate_bias;  // or null
  const float* up_bias;
  const float* down_bias;
  RowGroup pairs;               // its rows of the tables
  const std::uint32_t* tokens;  // of its rows; null: all of the step's, in order
  const float* weights;         // of its rows
  bool shared;
};

// What belongs to rows: a wide step's are shared by the threads, in a narrow one each has its own.
struct ExpertFeedForward::Rows {
  Rows(const Model& model, std::size_t tokens)
      : choices(tokens * model.config().experts.used),
        shared_weights(model.config().experts.shared_ff_width == 0 ? 0 : tokens),
        input(choices.size(), model.config().width,
              readers(model, {&ExpertWeights::gate, &ExpertWeights::up})),
        activated(choices.size(), model.config().experts.ff_width,
                  readers(model, {&ExpertWeights::down})),
        shared_activated(shared_weights.size(), model.config().experts.shared_ff_width,
                         readers(model, &ExpertWeights::shared_down)) {}

  std::vector<Choice> choices;        // [token][used]
  std::vector<float> shared_weights;  // [token]
  GroupedActivations input, activated, shared_activated;
};

struct ExpertFeedForward::Scratch {
  Scratch(const Model& model, std::size_t tokens, std::size_t narrow_tokens, unsigned threads)
      : logits(tokens, model.config().experts.count),
        shared_logits(model.config().experts.shared_ff_width == 0 ? 0 : tokens, 1),
        gate(tokens * model.config().experts.used, model.config().experts.ff_width),
        up(tokens * model.config().experts.used, model.config().experts.ff_width),
        shared_gate(shared_logits.values.empty() ? 0 : tokens,
                    model.config().experts.shared_ff_width),
        shared_up(shared_logits.values.empty() ? 0 : tokens,
                  model.config().experts.shared_ff_width),
        result(tokens, model.config().width),
        shared(model, tokens) {
    for (unsigned i = 0; i < threads; ++i) {
      own.emplace_back(model, std::min(tokens, narrow_tokens));
      logits_row.emplace_back(model.config().experts.count);
      ranks_row.emplace_back(model.config().experts.count);
      groups.emplace_back(model.config().experts.count, tokens * model.config().experts.used);
    }
    parts.resize(threads);
  }

  // Written in pieces by all threads. gate holds what is activated, too; `result` is one part's.
  Table logits, shared_logits, gate, up, shared_gate, shared_up, result;
  Rows shared;
  // By thread. The groups and parts are the same on each, which saves a barrier.
  std::vector<Rows> own;
  std::vector<std::vector<float>> logits_row, ranks_row;
  std::vector<ExpertGroups> groups;
  std::vector<std::vector<Part>> parts;
};

ExpertFeedForward::ExpertFeedForward(const Model& model, std::size_t tokens,
                                     std::size_t narrow_tokens, ComputePool& pool,
                                     const kernels::KernelTable& kernels)
    : config_(model.config()),
      pool_(pool),
      k_(kernels),
      s_(std::make_unique<Scratch>(model, tokens, narrow_tokens, pool.size())) {}

ExpertFeedForward::~ExpertFeedForward() = default;

std::uint64_t ExpertFeedForward::work_bytes(const ModelConfig& config, std::size_t tokens) {
  const ExpertsConfig& e = config.experts;
  if (e.count == 0) return 0;
  // What is quantised may be so in two ways, each a byte and its share of a scale and a sum.
  const std::uint64_t floats =
      e.count + 2 * (e.used * e.ff_width + e.shared_ff_width) + config.width;
  const std::uint64_t codes = 3 * (e.used * (config.width + e.ff_width) + e.shared_ff_width);
  return tokens * (floats * sizeof(float) + codes + e.used * 2 * sizeof(Choice));
}

ExpertFeedForward::Rows& ExpertFeedForward::rows(const ExpertStep& step) {
  return step.narrow ? s_->own[step.thread] : s_->shared;
}

Share ExpertFeedForward::share(const ExpertStep& step, std::size_t count) const {
  return step.narrow ? Share{0, count} : share_of(count, step.thread, pool_.size());
}

void ExpertFeedForward::rows_barrier(const ExpertStep& step) {
  if (!step.narrow) pool_.barrier();
}

void ExpertFeedForward::run(const ExpertStep& step, const ExpertWeights& weights, float* branch,
                            std::size_t stride) {
  route(step, weights);
  list_parts(step, weights);
  gather(step);
  gate_and_up(step);
  pool_.barrier();  // what is activated is complete
  quantize_activated(step);
  rows_barrier(step);
  down(step, branch, stride);
}

void ExpertFeedForward::route(const ExpertStep& step, const ExpertWeights& weights) {
  if (!step.narrow) {
    // A thread computes its own tokens' logits and reads nobody else's.
    const Share mine = share(step, step.tokens);
    if (mine.begin < mine.end) {
      const std::size_t count = mine.end - mine.begin;
      const float* x = router_input(step) + mine.begin * config_.width;
      k_.gemm_float(weights.router.floats(), x, count, config_.width, 0, weights.router.panels(),
                    s_->logits.row(mine.begin), s_->logits.stride);
      if (weights.has_shared_router()) {
        k_.gemm_float(weights.shared_router.floats(), x, count, config_.width, 0, 1,
                      s_->shared_logits.row(mine.begin), s_->shared_logits.stride);
      }
    }
    choose(step, weights, mine.begin, mine.end);
    pool_.barrier();  // all have chosen
    return;
  }
  // With few tokens the router's rows are shared out, and each thread chooses for itself.
  const std::size_t panels = weights.router.panels() + weights.shared_router.panels();
  const Share mine = share_of(panels, step.thread, pool_.size());
  const std::size_t end = std::min(mine.end, weights.router.panels());
  if (mine.begin < end) {
    k_.gemm_float(weights.router.floats(), router_input(step), step.tokens, config_.width,
                  mine.begin, end, s_->logits.row(0), s_->logits.stride);
  }
  if (mine.begin < mine.end && mine.end > weights.router.panels()) {
    k_.gemm_float(weights.shared_router.floats(), step.normed->row(0), step.tokens, config_.width,
                  0, 1, s_->shared_logits.row(0), s_->shared_logits.stride);
  }
  pool_.barrier();  // all logits are there
  choose(step, weights, 0, step.tokens);
}

void ExpertFeedForward::choose(const ExpertStep& step, const ExpertWeights& weights,
                               std::size_t begin, std::size_t end) {
  const ExpertsConfig& experts = config_.experts;
  Rows& r = rows(step);
  std::vector<float>& logits = s_->logits_row[step.thread];
  for (std::size_t t = begin; t < end; ++t) {
    std::copy_n(s_->logits.row(t), experts.count, logits.data());
    if (!weights.router_bias.empty()) {
      k_.add(logits.data(), weights.router_bias.data(), experts.count, logits.data());
    }
    choose_experts(k_, experts, weights.choice_bias, logits, s_->ranks_row[step.thread],
                   std::span(r.choices).subspan(t * experts.used, experts.used));
    if (!weights.scales.empty()) {
      for (Choice& choice : std::span(r.choices).subspan(t * experts.used, experts.used)) {
        choice.weight *= weights.scales[choice.expert];
      }
    }
    if (weights.has_shared()) r.shared_weights[t] = 1;
    if (weights.has_shared_router()) {
      // The sigmoid of x is the first of softmax(x, 0).
      float pair[2] = {s_->shared_logits.row(t)[0], 0};
      const float sum = k_.exp_sum(pair, 2, 1);
      r.shared_weights[t] = pair[0] / sum;
    }
  }
}

void ExpertFeedForward::list_parts(const ExpertStep& step, const ExpertWeights& weights) {
  Rows& r = rows(step);
  ExpertGroups& groups = s_->groups[step.thread];
  std::vector<Part>& parts = s_->parts[step.thread];
  const std::size_t used = config_.experts.used;
  groups.assign(std::span(r.choices).first(step.tokens * used), used);
  parts.clear();
  for (const ExpertGroups::Group& g : groups.groups()) {
    parts.push_back({.gate = &weights.gate.matrices[g.expert],
                     .up = &weights.up.matrices[g.expert],
                     .down = &weights.down.matrices[g.expert],
                     .gate_bias = weights.gate.bias_of(g.expert),
                     .up_bias = weights.up.bias_of(g.expert),
                     .down_bias = weights.down.bias_of(g.expert),
                     .pairs = {g.first, g.count},
                     .tokens = groups.tokens().data() + g.first,
                     .weights = groups.weights().data() + g.first,
                     .shared = false});
  }
  if (weights.has_shared()) {
    parts.push_back({.gate = &weights.shared_gate,
                     .up = &weights.shared_up,
                     .down = &weights.shared_down,
                     .gate_bias = nullptr,
                     .up_bias = nullptr,
                     .down_bias = nullptr,
                     .pairs = {0, step.tokens},
                     .tokens = nullptr,
                     .weights = r.shared_weights.data(),
                     .shared = true});
  }
}

// Puts the tokens of each expert together. A single token is its own group everywhere, and its
// input is there already.
void ExpertFeedForward::gather(const ExpertStep& step) {
  if (step.tokens == 1) return;
  Rows& r = rows(step);
  const Share mine = share(step, s_->groups[step.thread].pairs());
  for (const Part& part : s_->parts[step.thread]) {
    if (part.shared) continue;  // reads all tokens in order
    const std::size_t begin = std::max(mine.begin, part.pairs.first);
    const std::size_t end = std::min(mine.end, part.pairs.first + part.pairs.count);
    for (std::size_t pair = begin; pair < end; ++pair) {
      const std::size_t index = pair - part.pairs.first;
      r.input.put(k_, part.pairs, index, step.normed->row(part.tokens[index]));
    }
  }
  rows_barrier(step);
}

void ExpertFeedForward::gate_and_up(const ExpertStep& step) {
  Rows& r = rows(step);
  const std::vector<Part>& parts = s_->parts[step.thread];
  // All parts' panels are shared out as one run, by what they cost. A thread has the same rows of
  // gate and up, so that it can join them without waiting.
  const auto cost = [](const Part& part) { return part.pairs.count + kPassCost; };
  std::size_t total = 0;
  for (const Part& part : parts) total += part.gate->panels() * cost(part);
  const Share mine = share_of(total, step.thread, pool_.size());
  std::size_t before = 0;
  for (const Part& part : parts) {
    const std::size_t panels = part.gate->panels();
    const auto panel_at = [&](std::size_t place) {
      return place <= before ? std::size_t{0} : std::min(panels, (place - before) / cost(part));
    };
    const std::size_t begin = panel_at(mine.begin);
    const std::size_t end = panel_at(mine.end);
    before += panels * cost(part);
    if (begin >= end) continue;

    Table& gate = part.shared ? s_->shared_gate : s_->gate;
    Table& up = part.shared ? s_->shared_up : s_->up;
    const auto multiply = [&](const PackedWeight& w, Table& to) {
      float* out = to.row(part.pairs.first);
      if (part.shared || step.tokens == 1) {
        step.normed->multiply(k_, w, step.tokens, begin, end, out, to.stride);
      } else {
        r.input.multiply(k_, w, part.pairs, begin, end, out, to.stride);
      }
    };
    multiply(*part.gate, gate);
    multiply(*part.up, up);
    const std::size_t ff = part.gate->rows();
    const std::size_t first = std::min(begin * kPanelRows, ff);
    const std::size_t count = std::min(end * kPanelRows, ff) - first;
    for (std::size_t i = 0; i < part.pairs.count; ++i) {
      float* g = gate.row(part.pairs.first + i) + first;
      float* u = up.row(part.pairs.first + i) + first;
      if (part.gate_bias != nullptr) k_.add(g, part.gate_bias + first, count, g);
      if (part.up_bias != nullptr) k_.add(u, part.up_bias + first, count, u);
      if (config_.experts.weights_input && !part.shared) {  // both are linear in what they read
        k_.scale(g, part.weights[i], count, g);
        k_.scale(u, part.weights[i], count, u);
      }
      switch (config_.activation) {
        case Activation::Silu:
          k_.silu_mul(g, u, count, g);
          break;
        case Activation::GeluTanh:
          k_.gelu_tanh_mul(g, u, count, g);
          break;
        case Activation::ReluSquared:
          k_.relu_squared_mul(g, u, count, g);
          break;
        case Activation::ClampedSwiglu:
          k_.clamped_swiglu(g, u, count, kSwigluSharpness, kSwigluLimit, g);
          break;
        case Activation::Xielu:
          MINERVA_CHECK(false);  // no architecture has experts with it
      }
    }
  }
}

void ExpertFeedForward::quantize_activated(const ExpertStep& step) {
  Rows& r = rows(step);
  const Share mine = share(step, s_->groups[step.thread].pairs());
  const Share mine_shared = share(step, step.tokens);
  for (const Part& part : s_->parts[step.thread]) {
    const Share& of = part.shared ? mine_shared : mine;
    GroupedActivations& to = part.shared ? r.shared_activated : r.activated;
    Table& from = part.shared ? s_->shared_gate : s_->gate;
    const std::size_t begin = std::max(of.begin, part.pairs.first);
    const std::size_t end = std::min(of.end, part.pairs.first + part.pairs.count);
    for (std::size_t pair = begin; pair < end; ++pair) {
      to.put(k_, part.pairs, pair - part.pairs.first, from.row(pair));
    }
  }
}

// A thread has the same rows of every expert's result, so that it can add them up without waiting,
// in one order.
void ExpertFeedForward::down(const ExpertStep& step, float* branch, std::size_t stride) {
  Rows& r = rows(step);
  const Share mine = share_of(padded(config_.width) / kPanelRows, step.thread, pool_.size());
  if (mine.begin == mine.end) return;
  const std::size_t first = std::min(mine.begin * kPanelRows, config_.width);
  const std::size_t count = std::min(mine.end * kPanelRows, config_.width) - first;
  for (std::size_t t = 0; t < step.tokens; ++t) {
    std::fill_n(branch + t * stride + first, count, 0.0F);
  }
  for (const Part& part : s_->parts[step.thread]) {
    const GroupedActivations& from = part.shared ? r.shared_activated : r.activated;
    from.multiply(k_, *part.down, part.pairs, mine.begin, mine.end, s_->result.row(0),
                  s_->result.stride);
    for (std::size_t i = 0; i < part.pairs.count; ++i) {
      float* result = s_->result.row(i) + first;
      if (part.down_bias != nullptr) k_.add(result, part.down_bias + first, count, result);
      const std::size_t token = part.tokens == nullptr ? i : part.tokens[i];
      const bool weighted = config_.experts.weights_input && !part.shared;
      k_.add_scaled(result, weighted ? 1 : part.weights[i], count, branch + token * stride + first);
    }
  }
}

}  // namespace minerva::engine
