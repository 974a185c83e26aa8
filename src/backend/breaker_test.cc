#include "backend/breaker.h"

#include <gtest/gtest.h>

namespace minerva::backend {
namespace {

using std::chrono::seconds;
using State = Breaker::State;

TEST(Breaker, OpensAfterFailuresInARowAndWaitsLongerEachTime) {
  Breaker breaker;
  TimePoint now{seconds(100)};
  breaker.failure(now);
  EXPECT_EQ(breaker.state(now), State::Closed);
  breaker.failure(now);
  EXPECT_EQ(breaker.state(now), State::Open);
  EXPECT_EQ(breaker.wait(now), seconds(1));
  now += seconds(1);
  EXPECT_EQ(breaker.state(now), State::HalfOpen);
  EXPECT_TRUE(breaker.allows(now));
  breaker.attempt(now);
  EXPECT_FALSE(breaker.allows(now)) << "one trial only";
  breaker.failure(now);
  EXPECT_EQ(breaker.wait(now), seconds(2));
  for (int i = 0; i < 20; ++i) breaker.failure(now);
  EXPECT_EQ(breaker.wait(now), seconds(60));
}

TEST(Breaker, ASuccessClosesItAndForgetsTheFailures) {
  Breaker breaker;
  TimePoint now{seconds(100)};
  breaker.failure(now);
  breaker.failure(now);
  now += seconds(2);
  breaker.attempt(now);
  breaker.success();
  EXPECT_EQ(breaker.state(now), State::Closed);
  breaker.failure(now);
  EXPECT_EQ(breaker.state(now), State::Closed);
}

TEST(Breaker, AnAbandonedTrialLetsTheNextOneGo) {
  Breaker breaker({.failures_to_open = 1});
  TimePoint now{seconds(100)};
  breaker.failure(now);
  now += seconds(2);
  breaker.attempt(now);
  EXPECT_FALSE(breaker.allows(now));
  breaker.abandon();
  EXPECT_TRUE(breaker.allows(now));
}

}  // namespace
}  // namespace minerva::backend
