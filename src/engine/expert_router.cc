#include "engine/expert_router.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace minerva::engine {

void choose_experts(const kernels::KernelTable& kernels, const ExpertsConfig& config,
                    std::span<float> logits, std::span<Choice> chosen) {
  MINERVA_DCHECK(chosen.size() <= std::min(logits.size(), kExpertsUsedMax));
  const auto value = [&](std::uint32_t expert) {
    const float logit = logits[expert];
    return std::isnan(logit) ? -std::numeric_limits<float>::infinity() : logit;
  };
  std::array<std::uint32_t, kExpertsUsedMax> best{};
  std::size_t kept = 0;
  for (std::uint32_t expert = 0; expert < logits.size(); ++expert) {
    const float logit = value(expert);
    if (kept == chosen.size()) {
      if (!(logit > value(best[kept - 1]))) continue;
      --kept;
    }
    // An equal one was there first and has the lower index: it stays in front.
    std::size_t at = kept++;
    for (; at > 0 && logit > value(best[at - 1]); --at) best[at] = best[at - 1];
    best[at] = expert;
  }
  std::sort(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(kept));

  std::array<float, kExpertsUsedMax> weights{};
  float sum = 0;
  if (config.normalize_chosen) {
    for (std::size_t i = 0; i < kept; ++i) weights[i] = logits[best[i]];
    sum = kernels.exp_sum(weights.data(), kept, 1);
  } else {
    sum = kernels.exp_sum(logits.data(), logits.size(), 1);
    for (std::size_t i = 0; i < kept; ++i) weights[i] = logits[best[i]];
  }
  for (std::size_t i = 0; i < kept; ++i) {
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
