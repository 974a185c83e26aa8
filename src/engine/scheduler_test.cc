#include "engine/scheduler.h"

#include <gtest/gtest.h>

namespace minerva::engine {
namespace {

using Counts = std::vector<std::size_t>;

TEST(FairScheduler, DecodingComesFirstAndPromptsShareTheRest) {
  FairScheduler scheduler({.tokens = 10, .chunk = 6});
  const std::vector<Runnable> runnable = {{100, false, true}, {1, true, true}, {100, false, true}};
  EXPECT_EQ(scheduler.plan(runnable), (Counts{6, 1, 3}));
}

TEST(FairScheduler, InteractivePromptsGoBeforeOthers) {
  FairScheduler scheduler({.tokens = 8, .chunk = 8});
  const std::vector<Runnable> runnable = {{5, false, false}, {5, false, true}};
  EXPECT_EQ(scheduler.plan(runnable), (Counts{3, 5}));
}

TEST(FairScheduler, NeverPlansMoreThanTheStep) {
  FairScheduler scheduler({.tokens = 3, .chunk = 8});
  EXPECT_EQ(scheduler.plan(std::vector<Runnable>(5, {1, true, true})), (Counts{1, 1, 1, 0, 0}));
}

TEST(FairScheduler, TheYoungestGivesWayBatchWorkFirst) {
  FairScheduler scheduler({});
  EXPECT_EQ(scheduler.victim(std::vector<Runnable>{{1, true, true}, {1, true, true}}), 1u);
  EXPECT_EQ(scheduler.victim(std::vector<Runnable>{{1, true, false}, {1, true, true}}), 0u);
  EXPECT_EQ(scheduler.victim({}), Scheduler::npos);
}

}  // namespace
}  // namespace minerva::engine
