#include "engine/expert_router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace minerva::engine {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<Choice> choose(ExpertsConfig config, std::vector<float> logits,
                           const std::vector<float>& bias = {}) {
  config.count = logits.size();
  std::vector<Choice> chosen(config.used);
  std::vector<float> ranks(logits.size());
  choose_experts(kernels::best_kernels(), config, bias, logits, ranks, chosen);
  return chosen;
}

std::vector<Choice> choose(std::vector<float> logits, std::size_t used, bool normalize,
                           float scale = 1) {
  ExpertsConfig config;
  config.count = logits.size();
  config.used = used;
  config.normalize_chosen = normalize;
  config.weight_scale = scale;
  return choose(config, std::move(logits));
}

std::vector<std::uint32_t> experts(const std::vector<Choice>& chosen) {
  std::vector<std::uint32_t> out;
  for (const Choice& c : chosen) out.push_back(c.expert);
  return out;
}

using Experts = std::vector<std::uint32_t>;

TEST(ExpertRouter, TakesTheLargestInOrderOfTheirIndexes) {
  EXPECT_EQ(experts(choose({0, 3, 1, 2, -1}, 2, true)), (Experts{1, 3}));
  EXPECT_EQ(experts(choose({9, 3, 1, 2, 10}, 3, true)), (Experts{0, 1, 4}));
  EXPECT_EQ(experts(choose({5}, 1, true)), (Experts{0}));
  EXPECT_EQ(experts(choose({1, 2, 3}, 3, false)), (Experts{0, 1, 2}));
}

// The second of three is within 2 x 5 % of the best, the third is not; of the others' best, both
// are.
TEST(ExpertRouter, SparseMixersWeightsAreSharesAmongNeighbours) {
  ExpertsConfig config{.used = 2, .mixer_share = 0.05F};
  const auto chosen = choose(config, {9.2F, 10, 8.5F, 2});
  EXPECT_EQ(experts(chosen), (Experts{0, 1}));
  EXPECT_FLOAT_EQ(chosen[1].weight, static_cast<float>(1 / (1 + std::exp(-0.8))));
  EXPECT_FLOAT_EQ(chosen[0].weight, static_cast<float>(1 / (1 + std::exp(-0.7))));
  // Of scores below zero the distance counts in terms of their own size.
  const auto below = choose(config, {-9.2F, -10, -9, -20});
  EXPECT_EQ(experts(below), (Experts{0, 2}));
  EXPECT_FLOAT_EQ(below[1].weight, static_cast<float>(1 / (1 + std::exp(-0.2) + std::exp(-1.0))));
  EXPECT_FLOAT_EQ(below[0].weight, static_cast<float>(1 / (1 + std::exp(-0.8))));
  EXPECT_EQ(experts(choose(config, {3, 3, 3})), (Experts{0, 1}));  // the lower indexes on a tie
  EXPECT_TRUE(std::isnan(choose(config, {kNan, kNan, kNan})[0].weight));
  config.used = 1;
  EXPECT_EQ(experts(choose(config, {1, 2, 0})), (Experts{1}));
}

TEST(ExpertRouter, SigmoidsAreWeightsEachForItself) {
  const std::vector<float> logits = {0, 2, -1, 1};
  const ExpertsConfig config{.used = 2, .gate = Gate::Sigmoid, .weight_scale = 3};
  const auto chosen = choose(config, logits);
  EXPECT_EQ(experts(chosen), (Experts{1, 3}));
  EXPECT_FLOAT_EQ(chosen[0].weight, static_cast<float>(3 / (1 + std::exp(-2.0))));
  EXPECT_FLOAT_EQ(chosen[1].weight, static_cast<float>(3 / (1 + std::exp(-1.0))));
  const auto normed = choose(
      {.used = 2, .gate = Gate::Sigmoid, .normalize_chosen = true, .weight_scale = 3}, logits);
  EXPECT_FLOAT_EQ(normed[0].weight + normed[1].weight, 3);
  EXPECT_FLOAT_EQ(normed[0].weight / normed[1].weight, chosen[0].weight / chosen[1].weight);
}

TEST(ExpertRouter, ABiasChoosesAndDoesNotWeigh) {
  const std::vector<float> logits = {0, 2, -1, 1};
  const std::vector<float> bias = {0, -0.5F, 0.6F, 0};
  for (const Gate gate : {Gate::Sigmoid, Gate::Softmax}) {
    const ExpertsConfig config{.used = 2, .gate = gate};
    const auto chosen = choose(config, logits, bias);
    EXPECT_EQ(experts(chosen), (Experts{2, 3}));
    const double sum = std::exp(0.0) + std::exp(2.0) + std::exp(-1.0) + std::exp(1.0);
    const double want = gate == Gate::Sigmoid ? 1 / (1 + std::exp(1.0)) : std::exp(-1.0) / sum;
    EXPECT_FLOAT_EQ(chosen[0].weight, static_cast<float>(want));
  }
}

TEST(ExpertRouter, OnlyTheBestGroupsAreChosenFrom) {
  // Pairs of neighbours. The single best expert is in a pair whose other one is poor.
  const std::vector<float> logits = {5, -9, 2, 1.9F, 1, 1.2F, -3, -3};
  const ExpertsConfig sums{
      .used = 2, .gate = Gate::Sigmoid, .groups = 4, .groups_used = 1, .group_best = 2};
  EXPECT_EQ(experts(choose(sums, logits)), (Experts{2, 3}));
  ExpertsConfig best = sums;
  best.group_best = 1;
  EXPECT_EQ(experts(choose(best, logits)), (Experts{0, 1}));
  best.groups_used = 2;
  EXPECT_EQ(experts(choose(best, logits)), (Experts{0, 2}));
  best.gate = Gate::Softmax;
  EXPECT_EQ(experts(choose(best, logits)), (Experts{0, 2}));
  // A bias counts for groups, too.
  const std::vector<float> bias = {0, 0, 0, 0, 0, 0, 2, 2};
  EXPECT_EQ(experts(choose(sums, logits, bias)), (Experts{6, 7}));
}

TEST(ExpertRouter, ATieGoesToTheLowerIndex) {
  EXPECT_EQ(experts(choose({1, 1, 1, 1}, 2, true)), (Experts{0, 1}));
  EXPECT_EQ(experts(choose({0, 1, 2, 1, 2, 1}, 3, true)), (Experts{1, 2, 4}));
}

TEST(ExpertRouter, AgreesWithASort) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> logits(1 + random() % 70);
    // Few values, so that there are many ties.
    for (float& l : logits) l = static_cast<float>(random() % 9) - 4;
    const std::size_t used = 1 + random() % std::min<std::size_t>(logits.size(), 8);
    Experts want(logits.size());
    for (std::uint32_t i = 0; i < want.size(); ++i) want[i] = i;
    std::sort(want.begin(), want.end(), [&](std::uint32_t a, std::uint32_t b) {
      return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
    });
    want.resize(used);
    std::sort(want.begin(), want.end());
    EXPECT_EQ(experts(choose(logits, used, true)), want);
  }
}

TEST(ExpertRouter, WeightsAreASoftmaxOverAllOrOverTheChosen) {
  const std::vector<float> logits = {0, 3, 1, 2, -1};
  double all = 0;
  for (const float l : logits) all += std::exp(static_cast<double>(l));
  const double two = std::exp(3.0) + std::exp(2.0);
  const auto of_all = choose(logits, 2, false);
  EXPECT_NEAR(static_cast<double>(of_all[0].weight), std::exp(3.0) / all, 1e-6);
  EXPECT_NEAR(static_cast<double>(of_all[1].weight), std::exp(2.0) / all, 1e-6);
  const auto of_two = choose(logits, 2, true, 2.5F);
  EXPECT_NEAR(static_cast<double>(of_two[0].weight), 2.5 * std::exp(3.0) / two, 1e-6);
  EXPECT_NEAR(static_cast<double>(of_two[1].weight), 2.5 * std::exp(2.0) / two, 1e-6);
}

TEST(ExpertRouter, ANanIsSeen) {
  const auto chosen = choose({kNan, 1, kNan, 2}, 2, true);
  EXPECT_EQ(experts(chosen), (Experts{1, 3}));
  for (const Choice& c : choose({kNan, kNan, kNan}, 2, true)) EXPECT_TRUE(std::isnan(c.weight));
  EXPECT_TRUE(std::isnan(choose({kNan, 1, 2}, 2, false)[0].weight));
}

TEST(ExpertGroups, EachExpertHasItsTokensInOrder) {
  ExpertGroups groups(5, 8);
  const std::vector<Choice> choices = {{1, 0.1F}, {4, 0.2F}, {0, 0.3F}, {4, 0.4F},
                                       {1, 0.5F}, {2, 0.6F}, {2, 0.7F}, {4, 0.8F}};
  groups.assign(choices, 2);
  ASSERT_EQ(groups.groups().size(), 4u);
  const std::size_t want[4][3] = {{0, 0, 1}, {1, 1, 2}, {2, 3, 2}, {4, 5, 3}};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(groups.groups()[i].expert, want[i][0]);
    EXPECT_EQ(groups.groups()[i].first, want[i][1]);
    EXPECT_EQ(groups.groups()[i].count, want[i][2]);
  }
  EXPECT_EQ(Experts(groups.tokens().begin(), groups.tokens().end()),
            (Experts{1, 0, 2, 2, 3, 0, 1, 3}));
  EXPECT_EQ(std::vector<float>(groups.weights().begin(), groups.weights().end()),
            (std::vector<float>{0.3F, 0.1F, 0.5F, 0.6F, 0.7F, 0.2F, 0.4F, 0.8F}));
  groups.assign(std::span(choices).first(2), 2);
  EXPECT_EQ(groups.groups().size(), 2u);
  EXPECT_EQ(groups.pairs(), 2u);
}

}  // namespace
}  // namespace minerva::engine
