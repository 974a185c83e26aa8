#include "engine/expert_router.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"

namespace minerva::engine {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

float rank_of(float score) { return std::isnan(score) ? kLowest : score; }

// The indexes of the largest of `ranks`, ascending, into best[0, count).
void take_largest(std::span<const float> ranks, std::span<std::uint32_t> best) {
  std::size_t kept = 0;
  for (std::uint32_t i = 0; i < ranks.size(); ++i) {
    const float rank = rank_of(ranks[i]);
    if (kept == best.size()) {
      if (!(rank > rank_of(ranks[best[kept - 1]]))) continue;
      --kept;
    }
    // An equal one was there first and has the lower index: it stays in front.
    std::size_t at = kept++;
    for (; at > 0 && rank > rank_of(ranks[best[at - 1]]); --at) best[at] = best[at - 1];
    best[at] = i;
  }
  std::sort(best.begin(), best.end());
}

// Leaves the best groups' ranks and takes the others out of the choice.
void keep_groups(const ExpertsConfig& config, std::span<float> ranks) {
  const std::size_t size = ranks.size() / config.groups;
  std::array<float, kExpertsUsedMax> scores{};
  std::array<std::uint32_t, kExpertsUsedMax> best{};
  for (std::size_t g = 0; g < config.groups; ++g) {
    const auto group = ranks.subspan(g * size, size);
    const auto taken = std::span(best).first(std::min(config.group_best, size));
    take_largest(group, taken);
    for (const std::uint32_t i : taken) scores[g] += rank_of(group[i]);
  }
  const auto kept = std::span(best).first(config.groups_used);
  take_largest(std::span(scores).first(config.groups), kept);
  for (std::uint32_t g = 0; g < config.groups; ++g) {
    if (std::ranges::find(kept, g) != kept.end()) continue;
    std::ranges::fill(ranks.subspan(g * size, size), kLowest);
  }
}

void logits_to_scores(const kernels::KernelTable& kernels, Gate gate, std::span<float> logits) {
  if (gate == Gate::Softmax) {
    const float sum = kernels.exp_sum(logits.data(), logits.size(), 1);
    return kernels.divide(logits.data(), sum, logits.size(), logits.data());
  }
  for (float& logit : logits) {
    // The sigmoid of x is the first of softmax(x, 0).
    float pair[2] = {logit, 0};
    const float sum = kernels.exp_sum(pair, 2, 1);
    logit = pair[0] / sum;
  }
}

// The best expert and the best of the others. `kept` is room for as many as `logits`.
void mix_sparsely(const kernels::KernelTable& kernels, const ExpertsConfig& config,
                  std::span<const float> logits, std::span<float> kept, std::span<Choice> chosen) {
  constexpr std::uint32_t kNone = ~std::uint32_t{0};
  std::uint32_t first = kNone;
  for (Choice& choice : chosen) {
    std::uint32_t best = kNone;
    for (std::uint32_t i = 0; i < logits.size(); ++i) {
      if (i == first) continue;
      if (best == kNone || rank_of(logits[i]) > rank_of(logits[best])) best = i;
    }
    const float top = logits[best];
    std::size_t count = 0;
    std::size_t place = 0;
    for (std::uint32_t i = 0; i < logits.size(); ++i) {
      if (i == first) continue;
      const float factor = std::max(std::abs(logits[i]), top);
      if ((top - logits[i]) / factor > 2 * config.mixer_share) continue;
      if (i == best) place = count;
      kept[count++] = logits[i];
    }
    const float sum = kernels.exp_sum(kept.data(), count, 1);
    choice = {best, kept[place] / sum * config.weight_scale};
    first = best;
  }
  if (chosen.size() == 2 && chosen[0].expert > chosen[1].expert) std::swap(chosen[0], chosen[1]);
}

}  // namespace

void choose_experts(const kernels::KernelTable& kernels, const ExpertsConfig& config,
                    std::span<const float> bias, std::span<float> logits, std::span<float> ranks,
                    std::span<Choice> chosen) {
  MINERVA_DCHECK(chosen.size() <= std::min(logits.size(), kExpertsUsedMax));
  MINERVA_DCHECK(ranks.size() == logits.size());
  if (config.mixer_share != 0) return mix_sparsely(kernels, config, logits, ranks, chosen);
  // A softmax alone keeps the order, and its weights need only the chosen ones.
  const bool plain = config.gate == Gate::Softmax && bias.empty() && config.groups == 1;
  if (!plain) logits_to_scores(kernels, config.gate, logits);
  std::ranges::copy(logits, ranks.begin());
  if (!bias.empty()) kernels.add(ranks.data(), bias.data(), ranks.size(), ranks.data());
  if (config.groups > 1) keep_groups(config, ranks);
  std::array<std::uint32_t, kExpertsUsedMax> all{};
  const auto best = std::span(all).first(chosen.size());
  take_largest(ranks, best);

  std::array<float, kExpertsUsedMax> weights{};
  float sum = 1;
  if (plain && !config.normalize_chosen) sum = kernels.exp_sum(logits.data(), logits.size(), 1);
  for (std::size_t i = 0; i < best.size(); ++i) weights[i] = logits[best[i]];
  if (plain && config.normalize_chosen) {
    sum = kernels.exp_sum(weights.data(), best.size(), 1);
  } else if (config.normalize_chosen) {
    sum = 1e-20F;  // all scores may be 0
    for (std::size_t i = 0; i < best.size(); ++i) sum += weights[i];
  }
  for (std::size_t i = 0; i < best.size(); ++i) {
    chosen[i] = {best[i], weights[i] / sum * config.weight_scale};
  }
}

ExpertGroups::ExpertGroups(std::size_t experts, std::size_t pairs) : next_(experts) {
  groups_.reserve(std::min(experts, pairs));
  tokens_.reserve(pairs);
  weights_.reserve(pairs);
}

void ExpertGroups::assign(std::span<const Choice> choices, std::size_t used) {
  tokens_.resize(choices.size());
  weights_.resize(choices.size());
  groups_.clear();
  std::fill(next_.begin(), next_.end(), 0);
  for (const Choice& choice : choices) ++next_[choice.expert];
  std::size_t first = 0;
  for (std::size_t expert = 0; expert < next_.size(); ++expert) {
    const std::size_t count = next_[expert];
    next_[expert] = first;
    if (count > 0) groups_.push_back({expert, first, count});
    first += count;
  }
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const std::size_t pair = next_[choices[i].expert]++;
    tokens_[pair] = static_cast<std::uint32_t>(i / used);
    weights_[pair] = choices[i].weight;
  }
}

}  // namespace minerva::engine
