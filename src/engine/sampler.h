// Chooses the next token from logits. A pure function of the logits, the settings, the tokens so
// far and one uniform number for (seed, choice, output position): nothing else of the past or of
// other sequences matters. In order:
//
//   logit_bias  ->  repetition, presence and frequency penalties  ->  constraint
//   temperature 0: the largest logit
//   else  temperature -> top_k -> typical_p -> top_p -> min_p -> draw
//
// Used by one thread.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/token.h"
#include "engine/logit_mask.h"
#include "kernels/kernel_table.h"

namespace minerva::engine {

struct SamplingSettings {
  float temperature = 1;
  std::uint32_t top_k = 0;  // 0: off
  float top_p = 1;
  float min_p = 0;
  float typical_p = 1;
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  std::uint32_t repetition_window = 64;  // tokens looked back at, prompt included; 0: all
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::uint64_t seed = 0;
};

// Where in which answer the token will stand.
struct SamplingPoint {
  std::span<const TokenId> prompt;
  std::span<const TokenId> output;  // generated before
  std::uint64_t choice = 0;
};

struct LikelyToken {
  TokenId id;
  float logprob;
};

// Log-probabilities of the model's own distribution, before any setting is applied.
struct Logprobs {
  float chosen = 0;
  std::vector<LikelyToken> top;  // likeliest first; the lower id first on a tie
};

class Sampler {
 public:
  explicit Sampler(const kernels::KernelTable& kernels) : k_(kernels) {}

  // Chooses a token; `logits` is overwritten. The mask may be null.
  TokenId sample(std::span<float> logits, const SamplingSettings& settings, const SamplingPoint& at,
                 LogitMask* mask);

  // Of the untouched logits: ask before sample().
  Logprobs logprobs(std::span<const float> logits, std::size_t top);
  float logprob_of(std::span<const float> logits, TokenId id) const;

 private:
  void penalise(std::span<float> logits, const SamplingSettings& settings, const SamplingPoint& at);
  TokenId draw(std::span<float> logits, const SamplingSettings& settings, double uniform);

  struct Candidate {
    TokenId id;
    float weight;  // unnormalised probability
  };
  void keep_typical(double typical_p);

  const kernels::KernelTable& k_;
  std::vector<float> scratch_;
  std::vector<Candidate> candidates_;
  std::vector<TokenId> seen_;
  double log_sum_ = 0;  // of the last logprobs()
};

}  // namespace minerva::engine
