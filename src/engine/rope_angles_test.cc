#include "engine/rope_angles.h"

#include <gtest/gtest.h>

#include <cmath>

namespace minerva::engine {
namespace {

TEST(RopeAngles, SinCosAgreeWithTheLibrary) {
  for (double x = -20; x < 20; x += 0.0137) {
    double s = 0;
    double c = 0;
    sin_cos(x, s, c);
    ASSERT_NEAR(s, std::sin(x), 1e-15) << x;
    ASSERT_NEAR(c, std::cos(x), 1e-15) << x;
  }
  // Positions of very long contexts.
  for (const double x : {1e3, 12345.678, 131071.0, 1048575.5}) {
    double s = 0;
    double c = 0;
    sin_cos(x, s, c);
    EXPECT_NEAR(s, std::sin(x), 1e-12) << x;
    EXPECT_NEAR(c, std::cos(x), 1e-12) << x;
  }
}

TEST(RopeAngles, FollowsBaseScaleAndFactors) {
  RopeConfig config{.base = 100, .frequency_scale = 0.5, .n_rot = 4, .factors = {1, 4}};
  const RopeAngles angles(config, 0);
  ASSERT_EQ(angles.pairs(), 2u);
  float cos[2];
  float sin[2];
  angles.at(6, cos, sin);
  EXPECT_FLOAT_EQ(cos[0], std::cos(3.0F));
  EXPECT_FLOAT_EQ(sin[1], std::sin(6 * 0.5F * 0.1F / 4));
}

TEST(RopeAngles, TheContextChoosesBetweenTwoSetsOfFactors) {
  RopeConfig config{.n_rot = 2, .magnitude = 3, .factors = {2}, .long_factors = {5}};
  config.original_context = 100;
  float cos = 0;
  float sin = 0;
  RopeAngles(config, 100).at(1, &cos, &sin);
  EXPECT_FLOAT_EQ(cos, 3 * std::cos(0.5F));
  RopeAngles(config, 101).at(1, &cos, &sin);
  EXPECT_FLOAT_EQ(cos, 3 * std::cos(0.2F));
  EXPECT_FLOAT_EQ(sin, 3 * std::sin(0.2F));
}

// Pairs that turn often keep their frequency, slow ones are divided by the factor, and those
// between lie on a line over their indexes.
TEST(RopeAngles, YarnMixesFrequencies) {
  RopeConfig config{.base = 10'000, .n_rot = 64};
  const RopeAngles plain(config, 0);
  config.yarn = YarnConfig{.factor = 4, .original_context = 2048, .beta_fast = 32, .beta_slow = 1};
  const auto ratio = [&](std::size_t pair) {
    float cos[32];
    float sin[32];
    float cos_plain[32];
    float sin_plain[32];
    RopeAngles(config, 0).at(1, cos, sin);
    plain.at(1, cos_plain, sin_plain);
    return std::asin(sin[pair]) / std::asin(sin_plain[pair]);
  };
  // Pair i turns 2048 / (2 pi 10000^(i/32)) times: 32 times for i = 8.06, once for i = 20.11.
  EXPECT_FLOAT_EQ(ratio(1), 1);
  EXPECT_FLOAT_EQ(ratio(8), 1);
  EXPECT_NEAR(ratio(9), 1 - 0.75 / 13, 1e-5);  // from 8 to 21
  EXPECT_NEAR(ratio(20), 1 - 0.75 * 12 / 13, 1e-5);
  EXPECT_FLOAT_EQ(ratio(21), 0.25F);
  EXPECT_FLOAT_EQ(ratio(31), 0.25F);
  config.yarn->whole_pairs = false;
  EXPECT_NEAR(ratio(9), 1 - 0.75 * (9 - 8.0640) / (20.1052 - 8.0640), 1e-4);
}

}  // namespace
}  // namespace minerva::engine
