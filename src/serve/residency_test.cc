#include "serve/residency.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace minerva::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = RoomDecision::Kind;
constexpr std::uint64_t kMiB = 1 << 20;

Resident loaded(std::uint32_t id, std::uint64_t mib, int used) {
  Resident resident;
  resident.id = id;
  resident.name = "m" + std::to_string(id);
  resident.bytes = resident.held_bytes = mib * kMiB;
  resident.last_used = TimePoint(std::chrono::seconds(used));
  return resident;
}

RoomLimits available(std::uint64_t mib) { return {.available_bytes = mib * kMiB}; }

TEST(Residency, LoadsWhereThereIsRoom) {
  const std::vector<Resident> none;
  EXPECT_EQ(plan_room("x", {100 * kMiB}, none, available(100)).kind, Kind::Load);
  EXPECT_EQ(plan_room("x", {101 * kMiB}, none, available(100)).kind, Kind::Refuse);
}

TEST(Residency, TheLeastRecentlyUsedIdleOnesGoUntilItFits) {
  const std::vector<Resident> three = {loaded(1, 50, 30), loaded(2, 50, 10), loaded(3, 50, 20)};
  EXPECT_THAT(plan_room("x", {60 * kMiB}, three, available(20)).evict, ElementsAre(2));
  EXPECT_THAT(plan_room("x", {120 * kMiB}, three, available(20)).evict, ElementsAre(2, 3));
  EXPECT_EQ(plan_room("x", {171 * kMiB}, three, available(20)).kind, Kind::Refuse);
}

TEST(Residency, NeverABusyPinnedOrMovingOne) {
  std::vector<Resident> two = {loaded(1, 50, 1), loaded(2, 50, 2)};
  two[0].busy = true;
  EXPECT_THAT(plan_room("x", {50 * kMiB}, two, available(10)).evict, ElementsAre(2));
  two[1].busy = true;
  EXPECT_EQ(plan_room("x", {50 * kMiB}, two, available(10)).kind, Kind::Wait);
  two[0].pinned = two[1].pinned = true;
  const RoomDecision refused = plan_room("x", {50 * kMiB}, two, available(10));
  EXPECT_EQ(refused.kind, Kind::Refuse);
  EXPECT_THAT(refused.why, HasSubstr("50 MiB"));
  EXPECT_THAT(refused.why, HasSubstr("10 MiB"));
  EXPECT_THAT(refused.why, HasSubstr("m1 (50 MiB), m2 (50 MiB)"));
}

TEST(Residency, WhatALoadWillTakeIsNotFree) {
  std::vector<Resident> one = {loaded(1, 80, 1)};
  one[0].moving = true;
  one[0].held_bytes = 0;
  EXPECT_EQ(plan_room("x", {30 * kMiB}, one, available(100)).kind, Kind::Wait);
  EXPECT_EQ(plan_room("x", {20 * kMiB}, one, available(100)).kind, Kind::Load);
}

TEST(Residency, AWishThatCouldNeverBeMetIsCutToAllThereIs) {
  const std::vector<Resident> one = {loaded(1, 60, 1)};
  // All goes for it, though its least would fit beside the other one.
  EXPECT_THAT(plan_room("x", {200 * kMiB, 30 * kMiB}, one, available(40)).evict, ElementsAre(1));
  EXPECT_EQ(plan_room("x", {200 * kMiB, 100 * kMiB}, {}, available(100)).kind, Kind::Load);
  const RoomDecision refused = plan_room("x", {200 * kMiB, 101 * kMiB}, one, available(40));
  EXPECT_EQ(refused.kind, Kind::Refuse);
  EXPECT_THAT(refused.why, HasSubstr("101 MiB"));
  // What could be had is not cut.
  EXPECT_EQ(plan_room("x", {90 * kMiB, 30 * kMiB}, one, available(40)).kind, Kind::Evict);
}

TEST(Residency, WhatALoadHasTakenComesBackWithIt) {
  std::vector<Resident> one = {loaded(1, 80, 1)};
  one[0].moving = true;
  one[0].held_bytes = 0;  // not measured yet, and 60 of 100 MiB are taken
  EXPECT_EQ(plan_room("x", {100 * kMiB}, one, available(40)).kind, Kind::Wait);
  EXPECT_EQ(plan_room("x", {130 * kMiB}, one, available(40)).kind, Kind::Refuse);
}

TEST(Residency, MappedPagesInUseAreNotFreeThoughTheSystemSaysSo) {
  std::vector<Resident> one = {loaded(1, 80, 1)};
  one[0].mapped_bytes = 70 * kMiB;
  one[0].busy = true;
  // The system counts the 70 mapped ones among these 100.
  EXPECT_EQ(plan_room("x", {40 * kMiB}, one, available(100)).kind, Kind::Wait);
  EXPECT_EQ(plan_room("x", {30 * kMiB}, one, available(100)).kind, Kind::Load);
  one[0].busy = false;
  EXPECT_EQ(plan_room("x", {110 * kMiB}, one, available(100)).kind, Kind::Evict);
  EXPECT_EQ(plan_room("x", {111 * kMiB}, one, available(100)).kind, Kind::Refuse);
}

TEST(Residency, WaitsForWhatLeavesInsteadOfDrivingOutMore) {
  std::vector<Resident> two = {loaded(1, 50, 1), loaded(2, 50, 2)};
  two[0].moving = two[0].leaving = true;
  const RoomDecision decision = plan_room("x", {50 * kMiB}, two, available(5));
  EXPECT_EQ(decision.kind, Kind::Wait);
  // Not enough: the other one has to go as well.
  EXPECT_THAT(plan_room("x", {60 * kMiB}, two, available(5)).evict, ElementsAre(2));
}

TEST(Residency, LimitsOfOurOwn) {
  const std::vector<Resident> two = {loaded(1, 50, 1), loaded(2, 50, 2)};
  RoomLimits limits = available(1000);
  limits.bytes_max = 120 * kMiB;
  EXPECT_EQ(plan_room("x", {20 * kMiB}, two, limits).kind, Kind::Load);
  EXPECT_THAT(plan_room("x", {21 * kMiB}, two, limits).evict, ElementsAre(1));
  EXPECT_THAT(plan_room("x", {121 * kMiB}, two, limits).why, HasSubstr("memory_max is 120 MiB"));
  limits.bytes_max = 0;
  limits.models_max = 2;
  EXPECT_THAT(plan_room("x", {1}, two, limits).evict, ElementsAre(1));
}

}  // namespace
}  // namespace minerva::serve
