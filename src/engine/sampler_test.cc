#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace minerva::engine {
namespace {

class SamplerTest : public testing::Test {
 protected:
  // Samples once at each of `positions` output positions; what is generated does not feed back.
  std::map<TokenId, int> histogram(const SamplingSettings& settings, std::size_t positions,
                                   std::uint64_t choice = 0) {
    std::map<TokenId, int> counts;
    std::vector<TokenId> output;
    for (std::size_t i = 0; i < positions; ++i) {
      ++counts[once(settings, output, choice)];
      output.push_back(9);
    }
    return counts;
  }
  TokenId once(const SamplingSettings& settings, std::span<const TokenId> output = {},
               std::uint64_t choice = 0, std::span<const TokenId> prompt = {}) {
    std::vector<float> copy = logits;
    return sampler.sample(copy, settings, {prompt, output, choice}, nullptr);
  }

  Sampler sampler{kernels::best_kernels()};
  // Probabilities 0.5, 0.25, 0.125, 0.0625, 0.0625 and then four of nearly nothing.
  std::vector<float> logits = {std::log(0.5F),
                               std::log(0.25F),
                               std::log(0.125F),
                               std::log(0.0625F),
                               std::log(0.0625F),
                               -50,
                               -50,
                               -50,
                               -50,
                               -50};
};

SamplingSettings seeded(std::uint64_t seed) {
  SamplingSettings s;
  s.seed = seed;
  return s;
}

TEST_F(SamplerTest, GreedyTakesTheLowestIdOnATie) {
  SamplingSettings s;
  s.temperature = 0;
  logits = {1, 3, 3, 2};
  EXPECT_EQ(once(s), 1);
}

TEST_F(SamplerTest, DrawsFollowTheDistribution) {
  const auto counts = histogram(seeded(7), 4000);
  EXPECT_NEAR(counts.at(0), 2000, 150);
  EXPECT_NEAR(counts.at(1), 1000, 130);
  EXPECT_NEAR(counts.at(2), 500, 100);
}

TEST_F(SamplerTest, ADrawDependsOnSeedChoiceAndPositionAlone) {
  const std::vector<TokenId> output(5, 1);
  const TokenId first = once(seeded(3), output, 2);
  histogram(seeded(4), 50);  // other draws in between
  EXPECT_EQ(once(seeded(3), output, 2), first);
  EXPECT_NE(histogram(seeded(3), 200, 0), histogram(seeded(3), 200, 1));
  EXPECT_NE(histogram(seeded(3), 200), histogram(seeded(4), 200));
}

TEST_F(SamplerTest, LowTemperatureSharpens) {
  SamplingSettings s = seeded(1);
  s.temperature = 0.25F;  // p^4: 0.5 -> 0.94
  EXPECT_NEAR(histogram(s, 2000).at(0), 1882, 60);
}

TEST_F(SamplerTest, TopKCuts) {
  SamplingSettings s = seeded(1);
  s.top_k = 2;
  const auto counts = histogram(s, 2000);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_NEAR(counts.at(0), 1333, 100);
}

TEST_F(SamplerTest, TopPKeepsAsFewAsHoldTheMass) {
  SamplingSettings s = seeded(1);
  s.top_p = 0.6F;
  EXPECT_EQ(histogram(s, 500).size(), 2u);
  s.top_p = 0.4F;
  EXPECT_EQ(histogram(s, 500).size(), 1u);
}

TEST_F(SamplerTest, MinPCutsBelowAShareOfTheLikeliest) {
  SamplingSettings s = seeded(1);
  s.min_p = 0.3F;  // of 0.5: 0.15
  EXPECT_EQ(histogram(s, 500).size(), 2u);
}

TEST_F(SamplerTest, TypicalKeepsWhatIsAsSurprisingAsExpected) {
  // Entropy is 1.875 bits: 0.25 (2 bits) is nearest, then 0.5 (1 bit) and 0.125 (3 bits) follow.
  SamplingSettings s = seeded(1);
  s.typical_p = 0.2F;
  const auto counts = histogram(s, 300);
  ASSERT_EQ(counts.size(), 1u);
  EXPECT_EQ(counts.begin()->first, 1);
}

TEST_F(SamplerTest, LogitBiasForbidsAndForces) {
  SamplingSettings s;
  s.temperature = 0;
  s.logit_bias = {{0, -100.0F}};
  EXPECT_EQ(once(s), 1);
  s.logit_bias = {{6, 100.0F}};
  EXPECT_EQ(once(s), 6);
}

TEST_F(SamplerTest, RepetitionPenaltyLooksAtPromptAndOutputWithinItsWindow) {
  SamplingSettings s;
  s.temperature = 0;
  s.repetition_penalty = 4;
  const std::vector<TokenId> seen = {0};
  EXPECT_EQ(once(s, {}, 0, seen), 1);
  EXPECT_EQ(once(s, seen), 1);
  s.repetition_window = 1;
  const std::vector<TokenId> long_ago = {0, 5};
  EXPECT_EQ(once(s, long_ago), 0);
  s.repetition_window = 0;  // all
  EXPECT_EQ(once(s, long_ago), 1);
  // A positive logit is divided: it must not grow.
  logits = {8, 7};
  EXPECT_EQ(once(s, seen), 1);
}

TEST_F(SamplerTest, PresenceAndFrequencyCountTheOutputOnly) {
  SamplingSettings s;
  s.temperature = 0;
  s.presence_penalty = 2;
  const std::vector<TokenId> zero = {0};
  EXPECT_EQ(once(s, {}, 0, zero), 0) << "the prompt does not count";
  EXPECT_EQ(once(s, zero), 1);
  s.presence_penalty = 0;
  s.frequency_penalty = 0.5F;
  EXPECT_EQ(once(s, zero), 0);  // 0.69 apart
  const std::vector<TokenId> twice = {0, 0};
  EXPECT_EQ(once(s, twice), 1);
}

TEST_F(SamplerTest, CutsCombineAndKeepAtLeastOne) {
  SamplingSettings s = seeded(1);
  s.top_k = 1;
  s.top_p = 0.01F;
  s.min_p = 1;
  s.typical_p = 0.01F;
  EXPECT_EQ(histogram(s, 50).size(), 1u);
}

TEST_F(SamplerTest, LogprobsAreOfTheUntouchedDistribution) {
  const Logprobs logprobs = sampler.logprobs(logits, 3);
  ASSERT_EQ(logprobs.top.size(), 3u);
  EXPECT_EQ(logprobs.top[0].id, 0);
  EXPECT_NEAR(logprobs.top[0].logprob, std::log(0.5), 1e-5);
  EXPECT_NEAR(logprobs.top[2].logprob, std::log(0.125), 1e-5);
  EXPECT_NEAR(sampler.logprob_of(logits, 4), std::log(0.0625), 1e-5);
}

// Allows one token only.
class OnlyToken final : public LogitMask {
 public:
  explicit OnlyToken(TokenId id) : id_(id) {}
  Result<void> prepare() override { return {}; }
  void apply(std::span<float> logits) override {
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (static_cast<TokenId>(i) != id_) logits[i] = -std::numeric_limits<float>::infinity();
    }
  }
  Result<void> accept(TokenId) override { return {}; }
  Result<void> rollback(std::size_t) override { return {}; }
  std::unique_ptr<LogitMask> fork() const override { return std::make_unique<OnlyToken>(id_); }

 private:
  TokenId id_;
};

TEST_F(SamplerTest, TheMaskHasTheLastWord) {
  OnlyToken mask(8);
  for (const float temperature : {0.0F, 1.0F}) {
    SamplingSettings s = seeded(5);
    s.temperature = temperature;
    s.top_p = 0.9F;
    std::vector<float> copy = logits;
    EXPECT_EQ(sampler.sample(copy, s, {}, &mask), 8);
  }
}

}  // namespace
}  // namespace minerva::engine
