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

}  // namespace
}  // namespace minerva::engine
