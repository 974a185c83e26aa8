#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/rng.h"

namespace minerva::engine {
namespace {

// Calls `each(id, count)` for every token of the sorted list.
template <class Each>
void for_each_count(const std::vector<TokenId>& sorted, const Each& each) {
  for (std::size_t i = 0; i < sorted.size();) {
    std::size_t j = i;
    while (j < sorted.size() && sorted[j] == sorted[i]) ++j;
    each(static_cast<std::size_t>(sorted[i]), static_cast<float>(j - i));
    i = j;
  }
}

}  // namespace

void Sampler::penalise(std::span<float> logits, const SamplingSettings& s,
                       const SamplingPoint& at) {
  if (s.repetition_penalty != 1) {
    const std::size_t window =
        s.repetition_window == 0 ? at.prompt.size() + at.output.size() : s.repetition_window;
    const std::size_t of_output = std::min(window, at.output.size());
    const std::size_t of_prompt = std::min(window - of_output, at.prompt.size());
    seen_.assign(at.output.end() - static_cast<std::ptrdiff_t>(of_output), at.output.end());
    seen_.insert(seen_.end(), at.prompt.end() - static_cast<std::ptrdiff_t>(of_prompt),
                 at.prompt.end());
    std::sort(seen_.begin(), seen_.end());
    for_each_count(seen_, [&](std::size_t id, float) {
      float& logit = logits[id];
      logit = logit > 0 ? logit / s.repetition_penalty : logit * s.repetition_penalty;
    });
  }
  if (s.presence_penalty != 0 || s.frequency_penalty != 0) {
    seen_.assign(at.output.begin(), at.output.end());
    std::sort(seen_.begin(), seen_.end());
    for_each_count(seen_, [&](std::size_t id, float count) {
      logits[id] -= s.presence_penalty + s.frequency_penalty * count;
    });
  }
}

TokenId Sampler::sample(std::span<float> logits, const SamplingSettings& settings,
                        const SamplingPoint& at, LogitMask* mask) {
  for (const auto& [id, bias] : settings.logit_bias) {
    logits[static_cast<std::size_t>(id)] += bias;
  }
  penalise(logits, settings, at);
  if (mask != nullptr) mask->apply(logits);
  if (settings.temperature <= 0) {
    return static_cast<TokenId>(k_.argmax(logits.data(), logits.size()));
  }
  return draw(logits, settings, uniform(settings.seed, at.choice, at.output.size()));
}

// Keeps the candidates whose surprise is nearest to the distribution's entropy, until they hold
// typical_p of the mass (Meister et al., "Locally typical sampling", 2022). At least one is kept.
void Sampler::keep_typical(double typical_p) {
  double total = 0;
  for (const Candidate& c : candidates_) total += static_cast<double>(c.weight);
  double entropy = 0;
  for (const Candidate& c : candidates_) {
    const double p = static_cast<double>(c.weight) / total;
    if (p > 0) entropy -= p * std::log(p);
  }
  auto distance = [&](const Candidate& c) {
    const double p = static_cast<double>(c.weight) / total;
    return p > 0 ? std::abs(-std::log(p) - entropy) : std::numeric_limits<double>::infinity();
  };
  std::sort(candidates_.begin(), candidates_.end(), [&](const Candidate& a, const Candidate& b) {
    const double da = distance(a);
    const double db = distance(b);
    return da != db ? da < db : a.id < b.id;
  });
  double kept = 0;
  std::size_t n = 0;
  while (n < candidates_.size() && (n == 0 || kept < typical_p * total)) {
    kept += static_cast<double>(candidates_[n++].weight);
  }
  candidates_.resize(n);
}

TokenId Sampler::draw(std::span<float> logits, const SamplingSettings& s, double uniform) {
  const std::size_t best = k_.argmax(logits.data(), logits.size());
  // Weights relative to the best token's: exp((l - max) / T), 1 at most.
  k_.exp_sum(logits.data(), logits.size(), 1 / s.temperature);

  auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
  };
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > 0) candidates_.push_back({static_cast<TokenId>(i), logits[i]});
  }
  // No finite logit at all (a mask that forbids everything): the argmax is as good as any.
  if (candidates_.empty()) return static_cast<TokenId>(best);

  if (s.top_k > 0 && s.top_k < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + (s.top_k - 1), candidates_.end(),
                     likelier);
    candidates_.resize(s.top_k);
  }
  if (s.typical_p < 1) keep_typical(static_cast<double>(s.typical_p));
  if (s.top_p < 1) {
    std::sort(candidates_.begin(), candidates_.end(), likelier);
    double total = 0;
    for (const Candidate& c : candidates_) total += static_cast<double>(c.weight);
    double kept = 0;
    std::size_t n = 0;
    // At least one, and as few as hold top_p of the mass.
    while (n < candidates_.size() && (n == 0 || kept < static_cast<double>(s.top_p) * total)) {
      kept += static_cast<double>(candidates_[n++].weight);
    }
    candidates_.resize(n);
  }
  if (s.min_p > 0) {
    float top = 0;
    for (const Candidate& c : candidates_) top = std::max(top, c.weight);
    std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < s.min_p * top; });
  }

  // In order of ids, so that the sum does not depend on which cuts have sorted the list.
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  double total = 0;
  for (const Candidate& c : candidates_) total += static_cast<double>(c.weight);
  const double target = uniform * total;
  double sum = 0;
  for (const Candidate& c : candidates_) {
    sum += static_cast<double>(c.weight);
    if (sum > target) return c.id;
  }
  return candidates_.back().id;
}

Logprobs Sampler::logprobs(std::span<const float> logits, std::size_t top) {
  scratch_.assign(logits.begin(), logits.end());
  const std::size_t best = k_.argmax(logits.data(), logits.size());
  const float sum = k_.exp_sum(scratch_.data(), scratch_.size(), 1);
  log_sum_ = static_cast<double>(logits[best]) + std::log(static_cast<double>(sum));

  Logprobs out;
  if (top == 0) return out;
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    candidates_.push_back({static_cast<TokenId>(i), logits[i]});
  }
  const std::size_t n = std::min(top, candidates_.size());
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(n),
                    candidates_.end(), [](const Candidate& a, const Candidate& b) {
                      return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
                    });
  for (std::size_t i = 0; i < n; ++i) {
    out.top.push_back({candidates_[i].id, logprob_of(logits, candidates_[i].id)});
  }
  return out;
}

float Sampler::logprob_of(std::span<const float> logits, TokenId id) const {
  return static_cast<float>(static_cast<double>(logits[static_cast<std::size_t>(id)]) - log_sum_);
}

}  // namespace minerva::engine
