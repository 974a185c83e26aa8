#include "serve/watchdog.h"

#include <gtest/gtest.h>

namespace minerva::serve {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Verdict = Watchdog::Verdict;

struct Engine {
  Watchdog dog;
  Watchdog::Look state;
  Duration cpu_time{};
  bool measured = true;
  Verdict after(Duration wait, std::uint64_t progress = 0, Duration cpu = {}) {
    state.now += wait;
    state.activity.progress += progress;
    cpu_time += cpu;
    state.cpu_time.reset();
    if (measured) state.cpu_time = cpu_time;
    return dog.look(state);
  }
};

Engine working() {
  Engine engine;
  engine.state.now = TimePoint(seconds(1000));
  engine.state.activity.running = 1;
  EXPECT_EQ(engine.after({}), Verdict::Fine);
  return engine;
}

TEST(Watchdog, StillForTenSecondsIsSuspect) {
  Engine engine = working();
  EXPECT_EQ(engine.after(milliseconds(9999)), Verdict::Fine);
  EXPECT_EQ(engine.after(milliseconds(1)), Verdict::Suspect);
}

TEST(Watchdog, IdleIsNotStill) {
  Engine engine = working();
  engine.state.activity.running = 0;
  EXPECT_EQ(engine.after(seconds(3600)), Verdict::Fine);
  engine.state.activity.running = 1;
  EXPECT_EQ(engine.after(seconds(1)), Verdict::Fine);
  EXPECT_EQ(engine.after(seconds(9)), Verdict::Fine);
  EXPECT_EQ(engine.after(seconds(2)), Verdict::Suspect);
}

TEST(Watchdog, ATokenInFiveSecondsIsSlowButAlive) {
  Engine engine = working();
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(engine.after(milliseconds(4900)), Verdict::Fine);
    EXPECT_EQ(engine.after(milliseconds(100), 1), Verdict::Fine);
  }
  // And it may take its time now and then, but not for so long that nobody else could answer.
  EXPECT_EQ(engine.after(seconds(29)), Verdict::Fine);
  EXPECT_EQ(engine.after(seconds(1)), Verdict::Suspect);
}

TEST(Watchdog, ComputingBuysAsMuchTimeAgainOnce) {
  Engine engine = working();
  EXPECT_EQ(engine.after(seconds(10), 0, seconds(9)), Verdict::Fine);
  EXPECT_EQ(engine.after(milliseconds(9999), 0, seconds(9)), Verdict::Fine);
  EXPECT_EQ(engine.after(milliseconds(1)), Verdict::Suspect);
  EXPECT_EQ(engine.after(seconds(10), 0, seconds(10)), Verdict::Suspect);
}

TEST(Watchdog, ProcessorTimeIsMeasuredNowAndThen) {
  Engine engine = working();
  engine.measured = false;
  EXPECT_EQ(engine.after(milliseconds(100), 1, seconds(100)), Verdict::Fine);
  engine.measured = true;
  EXPECT_EQ(engine.after(seconds(1)), Verdict::Fine);
  engine.after(seconds(7), 0, seconds(7));
  engine.measured = false;
  EXPECT_EQ(engine.after(seconds(3)), Verdict::Fine) << "it computed for seven of eleven seconds";
  EXPECT_EQ(engine.after(seconds(9), 0, seconds(9)), Verdict::Suspect);
}

TEST(Watchdog, WhatWasComputedBeforeItStoodStillBuysNothing) {
  Engine engine = working();
  engine.measured = false;
  EXPECT_EQ(engine.after(milliseconds(100), 1, seconds(100)), Verdict::Fine);
  engine.measured = true;
  EXPECT_EQ(engine.after(seconds(1)), Verdict::Fine);
  EXPECT_EQ(engine.after(seconds(9)), Verdict::Suspect);
}

TEST(Watchdog, ALongPromptIsReadInProportion) {
  Engine engine = working();
  engine.state.prompt_tokens = 10'000;
  EXPECT_EQ(engine.after(seconds(199)), Verdict::Fine);
  EXPECT_EQ(engine.after(seconds(1)), Verdict::Suspect);
}

TEST(Watchdog, AProbeThatPassedStartsAnew) {
  Engine engine = working();
  EXPECT_EQ(engine.after(seconds(10)), Verdict::Suspect);
  engine.dog.passed(engine.state.now);
  EXPECT_EQ(engine.after(seconds(9)), Verdict::Fine);
  EXPECT_EQ(engine.after(seconds(1)), Verdict::Suspect);
}

TEST(Watchdog, PatienceHasAnEnd) {
  Engine engine = working();
  engine.state.prompt_tokens = 100'000'000;
  EXPECT_EQ(engine.after(std::chrono::minutes(10)), Verdict::Suspect);
}

}  // namespace
}  // namespace minerva::serve
