// Events in, recorded effects out; time is a number.
#include "serve/switchboard.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace minerva::serve {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Outcome = backend::EndEvent::Outcome;

constexpr std::uint64_t kMiB = 1 << 20;

class RecordedEffects final : public Effects {
 public:
  std::vector<std::string> seen;
  std::map<TicketId, Error> refused;
  std::map<TicketId, std::vector<FailedAttempt>> retries;
  RoomLimits limits{.available_bytes = 1000 * kMiB};
  std::map<Metric, int> counts;
  std::vector<std::uint64_t> learned_bytes;

  void start_load(InstanceId i) override { note("load", i); }
  void abort_load(InstanceId i) override { note("abort", i); }
  void start_unload(InstanceId i, bool kill) override { note(kill ? "kill" : "unload", i); }
  void probe(InstanceId i) override { note("probe", i); }
  void dispatch(TicketId t, InstanceId i, const std::vector<FailedAttempt>& tried) override {
    seen.push_back(fmt::format("{} to {}", t, i));
    retries[t] = tried;
  }
  void ready(TicketId t, InstanceId i) override { seen.push_back(fmt::format("{} sees {}", t, i)); }
  void refuse(TicketId t, Error why, std::vector<FailedAttempt> tried) override {
    seen.push_back(fmt::format("refuse {}", t));
    refused[t] = std::move(why);
    retries[t] = std::move(tried);
  }
  void learned(InstanceId, std::uint64_t peak) override { learned_bytes.push_back(peak); }
  RoomLimits room() override { return limits; }
  void count(Metric what, std::string_view) override { ++counts[what]; }

  std::vector<std::string> take() { return std::exchange(seen, {}); }

 private:
  void note(std::string_view what, InstanceId i) {
    seen.push_back(std::string(what) + " " + std::to_string(i));
  }
};

class SwitchboardTest : public ::testing::Test {
 protected:
  InstanceId add(std::string model, std::uint64_t mib = 100, std::string engine = "e") {
    InstanceSetup setup;
    setup.model = std::move(model);
    setup.engine = std::move(engine);
    setup.need.weights_bytes = mib * kMiB;
    return board_.add(setup);
  }
  void ask(TicketId id, std::vector<InstanceId> chain) {
    board_.request(id, {std::move(chain), 10, now_ + seconds(300), false}, now_);
  }
  void load_ok(InstanceId id) {
    InstanceLook look;
    look.usage.emplace().held_bytes = 100 * kMiB;
    board_.look(id, look, now_);
    board_.loaded(id, {}, now_);
  }
  void done(TicketId id) {
    backend::EndEvent end;
    board_.ended(id, end, false, now_);
  }
  void fail_with(TicketId id, ErrorCode code, bool died = false, milliseconds retry = {}) {
    Error error{code, "broken"};
    error.retry_after = retry;
    board_.failed(id, error, died, now_);
  }
  void pass(Duration time) {
    now_ += time;
    board_.tick(now_);
  }
  // What the system has free, less what is loaded: instances hold 100 MiB each.
  void memory(std::uint64_t mib) { effects_.limits.available_bytes = mib * kMiB; }

  RecordedEffects effects_;
  Switchboard board_{{}, effects_};
  TimePoint now_{seconds(1000)};
};

TEST_F(SwitchboardTest, LoadsOnDemandAndAnswersInOrder) {
  const auto a = add("a");
  ask(1, {a});
  ask(2, {a});
  EXPECT_THAT(effects_.take(), ElementsAre("load 0"));
  load_ok(a);
  EXPECT_THAT(effects_.take(), ElementsAre("1 to 0", "2 to 0"));
  ask(3, {a});
  EXPECT_THAT(effects_.take(), ElementsAre("3 to 0"));
  done(1), done(2), done(3);
  EXPECT_THAT(effects_.take(), IsEmpty());
  EXPECT_EQ(board_.statuses(now_)[0].running, 0U);
}

// What a run took is told, and what an earlier server knew counts from the beginning.
TEST_F(SwitchboardTest, WhatARunTookIsLearnedForTheNextServer) {
  const auto a = add("a");
  ask(1, {a});
  InstanceLook look;
  look.usage.emplace().held_bytes = 340 * kMiB;
  board_.look(a, look, now_);
  board_.loaded(a, {}, now_);
  done(1);
  board_.unload(a, false, now_);
  EXPECT_THAT(effects_.learned_bytes, IsEmpty());
  board_.unloaded(a, now_);
  EXPECT_THAT(effects_.learned_bytes, ElementsAre(340 * kMiB));

  InstanceSetup known;
  known.model = "b";
  known.need.weights_bytes = 100 * kMiB;
  known.learned_bytes = 340 * kMiB;
  const auto b = board_.add(known);
  memory(200);
  ask(2, {b});
  EXPECT_EQ(effects_.refused[2].code, ErrorCode::OutOfMemory);
  memory(400);
  ask(3, {b});
  EXPECT_EQ(board_.statuses(now_)[b].state, ModelState::Loading);
}

TEST_F(SwitchboardTest, WhatHasTwoNamesStaysAsLongAsEitherWants) {
  InstanceSetup setup;
  setup.model = "a";
  setup.idle_ttl = seconds(10);
  const auto a = board_.add(setup);
  setup.idle_ttl = seconds(60);
  board_.join(a, setup);
  setup.idle_ttl = seconds(5);
  board_.join(a, setup);
  ask(1, {a}), load_ok(a), done(1);
  effects_.take();
  pass(seconds(59));
  EXPECT_THAT(effects_.take(), IsEmpty());
  setup.pinned = true;
  board_.join(a, setup);
  pass(seconds(100));
  EXPECT_THAT(effects_.take(), IsEmpty());
  // What is pinned now comes back when its engine dies.
  InstanceLook dead;
  dead.alive = false;
  board_.look(a, dead, now_);
  board_.unloaded(a, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("kill 0", "load 0"));
}

TEST_F(SwitchboardTest, WhoWaitsKnowsForWhat) {
  const auto a = add("a");
  const auto what = [&] {
    std::vector<WaitDelta::For> all;
    for (const auto& waiting : board_.waiting(now_)) all.push_back(waiting.what);
    return all;
  };
  ask(1, {a});
  pass(seconds(3));
  EXPECT_THAT(what(), ElementsAre(WaitDelta::For::Load));
  EXPECT_EQ(board_.waiting(now_)[0].waited, seconds(3));
  load_ok(a);
  EXPECT_THAT(what(), IsEmpty());
  fail_with(1, ErrorCode::Unavailable);
  EXPECT_THAT(what(), ElementsAre(WaitDelta::For::Retry));
  pass(milliseconds(50));
  EXPECT_THAT(what(), IsEmpty());
  memory(0);
  const auto b = add("b");
  ask(2, {b});  // 1 is being answered
  EXPECT_THAT(what(), ElementsAre(WaitDelta::For::Room));
}

TEST_F(SwitchboardTest, WhoOnlyWantsItLoadedIsToldSo) {
  const auto a = add("a");
  board_.request(1, {{a}, 0, now_ + seconds(10), true}, now_);
  load_ok(a);
  EXPECT_THAT(effects_.take(), ElementsAre("load 0", "1 sees 0"));
}

TEST_F(SwitchboardTest, AnAbandonedLoadStopsAndOneThatIsWantedAgainStartsAnew) {
  const auto a = add("a");
  ask(1, {a});
  ask(2, {a});
  board_.gone(1, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("load 0"));
  board_.gone(2, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("abort 0"));
  ask(3, {a});
  board_.loaded(a, fail(ErrorCode::Cancelled, "stopped"), now_);
  EXPECT_THAT(effects_.take(), ElementsAre("kill 0"));
  board_.unloaded(a, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("load 0"));
  EXPECT_EQ(board_.statuses(now_)[0].breaker, backend::Breaker::State::Closed);
}

// Its kill may come after it was ready, and would then look like a crash of whatever runs on it.
TEST_F(SwitchboardTest, AnAbandonedLoadThatWasReadyAllTheSameIsNotUsed) {
  const auto a = add("a");
  ask(1, {a});
  board_.gone(1, now_);
  ask(2, {a});
  EXPECT_THAT(effects_.take(), ElementsAre("load 0", "abort 0"));
  load_ok(a);
  EXPECT_THAT(effects_.take(), ElementsAre("kill 0"));
  board_.unloaded(a, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("load 0"));
  load_ok(a);
  EXPECT_THAT(effects_.take(), ElementsAre("2 to 0"));
}

TEST_F(SwitchboardTest, AFailedAttemptGoesToTheNextEngineOfTheChain) {
  const auto a = add("m", 100, "first");
  const auto b = add("m", 100, "second");
  ask(1, {a, b});
  load_ok(a);
  effects_.take();
  fail_with(1, ErrorCode::Unavailable);
  EXPECT_THAT(effects_.take(), ElementsAre("load 1"));
  load_ok(b);
  EXPECT_THAT(effects_.take(), ElementsAre("1 to 1"));
  ASSERT_EQ(effects_.retries[1].size(), 1U);
  EXPECT_EQ(effects_.retries[1][0].backend, "first");
  EXPECT_EQ(effects_.retries[1][0].why, "broken");
  EXPECT_EQ(effects_.counts[Metric::RetriesTotal], 1);
}

// Half an hour of an answer that nobody has seen: its time for waiting was hardly used.
TEST_F(SwitchboardTest, TheTimeInWhichItWasAnsweredIsNotTimeThatItWaited) {
  const auto a = add("m", 100, "first");
  const auto b = add("m", 100, "second");
  ask(1, {a, b});
  load_ok(a);
  board_.first_token(1, now_);
  pass(seconds(1800));
  effects_.take();
  fail_with(1, ErrorCode::Unavailable, /*died=*/true);
  EXPECT_THAT(effects_.take(), ElementsAre("kill 0", "load 1"));
  pass(seconds(299));
  EXPECT_THAT(effects_.take(), IsEmpty());
  pass(seconds(2));
  EXPECT_THAT(effects_.take(), ElementsAre("refuse 1"));
  EXPECT_EQ(effects_.refused[1].code, ErrorCode::Timeout);
}

TEST_F(SwitchboardTest, WhatFailsWhileTheServerStopsIsNotTriedAgain) {
  const auto a = add("m", 100, "first");
  const auto b = add("m", 100, "second");
  ask(1, {a, b});
  load_ok(a);
  board_.close(now_);
  effects_.take();
  fail_with(1, ErrorCode::Unavailable);
  EXPECT_THAT(effects_.take(), ElementsAre("refuse 1"));
  EXPECT_THAT(effects_.refused[1].message, HasSubstr("stopping"));
}

TEST_F(SwitchboardTest, TheRequestsOwnFaultIsNotTriedElsewhere) {
  const auto a = add("m", 100, "first");
  const auto b = add("m", 100, "second");
  ask(1, {a, b});
  load_ok(a);
  effects_.take();
  fail_with(1, ErrorCode::ContextExceeded);
  EXPECT_THAT(effects_.take(), ElementsAre("refuse 1"));
  EXPECT_EQ(effects_.refused[1].code, ErrorCode::ContextExceeded);
}

TEST_F(SwitchboardTest, ALoneEngineIsTriedAgainAfterAWhileButNotForEver) {
  const auto a = add("a");
  ask(1, {a});
  load_ok(a);
  effects_.take();
  for (int i = 0; i < 2; ++i) {
    fail_with(1, ErrorCode::Unavailable);
    EXPECT_THAT(effects_.take(), IsEmpty());
    pass(milliseconds(50));
    EXPECT_THAT(effects_.take(), ElementsAre("1 to 0"));
  }
  fail_with(1, ErrorCode::Unavailable);
  EXPECT_THAT(effects_.take(), ElementsAre("refuse 1"));
  EXPECT_EQ(effects_.retries[1].size(), 3U);
}

TEST_F(SwitchboardTest, RetryAfterIsHonoured) {
  const auto a = add("a");
  ask(1, {a});
  load_ok(a);
  effects_.take();
  fail_with(1, ErrorCode::QueueFull, false, seconds(7));
  pass(milliseconds(6900));
  EXPECT_THAT(effects_.take(), IsEmpty());
  pass(milliseconds(100));
  EXPECT_THAT(effects_.take(), ElementsAre("1 to 0"));
  fail_with(1, ErrorCode::QueueFull, false, seconds(3600));
  EXPECT_THAT(effects_.take(), ElementsAre("refuse 1"));
  EXPECT_EQ(effects_.refused[1].retry_after, seconds(3600));
}

TEST_F(SwitchboardTest, ADeadEngineIsClearedAwayAndStartedAgain) {
  const auto a = add("a");
  ask(1, {a});
  load_ok(a);
  effects_.take();
  fail_with(1, ErrorCode::Unavailable, /*died=*/true);
  EXPECT_THAT(effects_.take(), ElementsAre("kill 0"));
  board_.unloaded(a, now_);
  pass(milliseconds(50));
  EXPECT_THAT(effects_.take(), ElementsAre("load 0"));
  load_ok(a);
  EXPECT_THAT(effects_.take(), ElementsAre("1 to 0"));
  EXPECT_EQ(board_.statuses(now_)[0].restarts, 1U);
  EXPECT_EQ(effects_.counts[Metric::EngineRestartsTotal], 1);
}

TEST_F(SwitchboardTest, ARequestAtTwoCrashesIsQuarantinedAndOthersAreNot) {
  const auto a = add("a");
  ask(1, {a});
  load_ok(a);
  const auto crash = [&](std::vector<TicketId> running) {
    for (const TicketId id : running) fail_with(id, ErrorCode::Unavailable, true);
    board_.unloaded(a, now_);
    pass(seconds(2));
  };
  crash({1});
  load_ok(a);
  ask(2, {a});
  effects_.take();
  crash({1, 2});
  EXPECT_THAT(effects_.refused[1].message, HasSubstr("2 times"));
  EXPECT_EQ(effects_.refused[1].code, ErrorCode::InvalidArgument);
  EXPECT_FALSE(effects_.refused.contains(2));
  EXPECT_EQ(effects_.counts[Metric::QuarantinedTotal], 1);
  load_ok(a);
  EXPECT_THAT(effects_.take(), ElementsAre("kill 0", "refuse 1", "load 0", "2 to 0"));
}

TEST_F(SwitchboardTest, AnEngineThatCannotLoadIsNotAskedForAWhile) {
  const auto a = add("a");
  const auto broken = [&] { return fail(ErrorCode::Unavailable, "no such tensor"); };
  ask(1, {a});
  board_.loaded(a, broken(), now_);
  board_.unloaded(a, now_);
  pass(milliseconds(50));
  board_.loaded(a, broken(), now_);
  board_.unloaded(a, now_);
  effects_.take();
  // The breaker is open: what comes new is told at once, and when to come again.
  ask(2, {a});
  EXPECT_THAT(effects_.take(), ElementsAre("refuse 2"));
  EXPECT_THAT(effects_.refused[2].message, HasSubstr("no such tensor"));
  EXPECT_EQ(effects_.refused[2].retry_after, seconds(1));
  // What was accepted waits for the trial.
  pass(milliseconds(1000));
  EXPECT_THAT(effects_.take(), ElementsAre("load 0"));
  load_ok(a);
  EXPECT_THAT(effects_.take(), ElementsAre("1 to 0"));
  done(1);
  EXPECT_EQ(board_.statuses(now_)[0].breaker, backend::Breaker::State::Closed);
}

TEST_F(SwitchboardTest, AnEngineThatLivesAndLiesIsAskedLast) {
  using State = backend::Breaker::State;
  const auto a = add("m", 100, "a"), b = add("m", 100, "b");
  ask(1, {a}), load_ok(a), done(1);
  ask(2, {b}), load_ok(b), done(2);
  effects_.take();
  // All that ran together counts once.
  for (TicketId id = 10; id < 18; ++id) ask(id, {a, b});
  effects_.take();
  for (TicketId id = 10; id < 18; ++id) fail_with(id, ErrorCode::Unavailable);
  EXPECT_EQ(effects_.take().size(), 8U);
  EXPECT_EQ(board_.statuses(now_)[a].breaker, State::Closed);
  ask(19, {a, b});
  fail_with(19, ErrorCode::Unavailable);
  EXPECT_THAT(effects_.take(), ElementsAre("19 to 0", "19 to 1"));
  EXPECT_EQ(board_.statuses(now_)[a].breaker, State::Open);
  EXPECT_EQ(board_.statuses(now_)[a].state, ModelState::Ready);
  ask(20, {a, b});
  EXPECT_THAT(effects_.take(), ElementsAre("20 to 1"));
  ask(21, {a});  // nobody else is left
  EXPECT_THAT(effects_.take(), ElementsAre("21 to 0"));
  // After its time one tries it.
  now_ += seconds(1);
  ask(22, {a, b}), ask(23, {a, b});
  EXPECT_THAT(effects_.take(), ElementsAre("22 to 0", "23 to 1"));
  backend::EndEvent left;
  left.outcome = Outcome::Cancelled;
  board_.ended(22, left, false, now_);
  ask(24, {a, b});
  EXPECT_THAT(effects_.take(), ElementsAre("24 to 0"));
  backend::EndEvent cut;
  cut.outcome = Outcome::Failed;
  cut.error = Error{ErrorCode::Unavailable, "cut after its first token"};
  board_.ended(24, cut, false, now_);
  now_ += seconds(1);
  ask(25, {a, b});
  EXPECT_THAT(effects_.take(), ElementsAre("25 to 1"));  // it doubles
  now_ += seconds(1);
  ask(26, {a, b});
  done(26);
  EXPECT_THAT(effects_.take(), ElementsAre("26 to 0"));
  EXPECT_EQ(board_.statuses(now_)[a].breaker, State::Closed);
}

TEST_F(SwitchboardTest, StreamsThatBrokeAMomentBeforeTheirEnginesEndCountAsThatEnd) {
  const auto a = add("m");
  for (TicketId id = 1; id < 5; ++id) ask(id, {a});
  load_ok(a);
  for (TicketId id = 1; id < 5; ++id) fail_with(id, ErrorCode::Unavailable);
  InstanceLook dead;
  dead.alive = false;
  board_.look(a, dead, now_);
  EXPECT_EQ(board_.statuses(now_)[a].breaker, backend::Breaker::State::Closed);
  board_.unloaded(a, now_);
  effects_.take();
  pass(milliseconds(50));
  EXPECT_THAT(effects_.take(), ElementsAre("load 0"));
}

TEST_F(SwitchboardTest, WhatIsNotTheEnginesFaultIsNotHeldAgainstIt) {
  const auto a = add("m", 100, "a"), b = add("m", 100, "b");
  ask(1, {a}), load_ok(a), done(1);
  for (TicketId id = 10; id < 18; id += 4) {
    for (TicketId i = 0; i < 4; ++i) ask(id + i, {a, b});
    fail_with(id, ErrorCode::QueueFull);
    fail_with(id + 1, ErrorCode::InvalidArgument);
    fail_with(id + 2, ErrorCode::Timeout);
    fail_with(id + 3, ErrorCode::Unavailable, false, seconds(3));
  }
  EXPECT_EQ(board_.statuses(now_)[a].breaker, backend::Breaker::State::Closed);
}

TEST_F(SwitchboardTest, ATrialThatWasUnloadedKeepsNobodyOut) {
  const auto a = add("a");
  for (int i = 0; i < 2; ++i) {
    ask(static_cast<TicketId>(i + 1), {a});
    load_ok(a);
    InstanceLook dead;
    dead.alive = false;
    board_.look(a, dead, now_);
    board_.unloaded(a, now_);
    board_.gone(static_cast<TicketId>(i + 1), now_);
  }
  now_ += seconds(2);
  ask(10, {a});
  load_ok(a);
  board_.unload(a, true, now_);
  fail_with(10, ErrorCode::ContextExceeded);
  board_.unloaded(a, now_);
  effects_.take();
  ask(11, {a});
  EXPECT_THAT(effects_.take(), ElementsAre("load 0"));
}

TEST_F(SwitchboardTest, TheLeastRecentlyUsedLeavesForAnother) {
  const auto a = add("a"), b = add("b"), c = add("c");
  memory(250);
  ask(1, {a});
  load_ok(a);
  done(1);
  memory(150);
  pass(seconds(1));
  ask(2, {b});
  load_ok(b);
  done(2);
  memory(50);
  pass(seconds(1));
  effects_.take();
  ask(3, {c});
  EXPECT_THAT(effects_.take(), ElementsAre("unload 0"));
  memory(150);
  board_.unloaded(a, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("load 2"));
  EXPECT_EQ(effects_.counts[Metric::ModelEvictionsTotal], 1);
}

TEST_F(SwitchboardTest, ABusyModelIsWaitedFor) {
  const auto a = add("a"), b = add("b");
  memory(150);
  ask(1, {a});
  load_ok(a);
  memory(50);
  effects_.take();
  ask(2, {b});
  EXPECT_THAT(effects_.take(), IsEmpty());
  done(1);
  EXPECT_THAT(effects_.take(), ElementsAre("unload 0"));
  memory(150);
  board_.unloaded(a, now_);
  load_ok(b);
  EXPECT_THAT(effects_.take(), ElementsAre("load 1", "2 to 1"));
}

// Requests for a without a pause must not keep b out for ever, and b's must not be lost.
TEST_F(SwitchboardTest, AStreamOfRequestsForOneDoesNotStarveTheOther) {
  const auto a = add("a"), b = add("b");
  memory(150);
  ask(1, {a});
  load_ok(a);
  memory(50);
  ask(2, {b});
  effects_.take();
  ask(3, {a});
  EXPECT_THAT(effects_.take(), ElementsAre("3 to 0")) << "its turn is not over";
  pass(seconds(6));
  ask(4, {a});
  EXPECT_THAT(effects_.take(), IsEmpty()) << "it takes nothing new";
  done(1);
  done(3);
  EXPECT_THAT(effects_.take(), ElementsAre("unload 0"));
  memory(150);
  board_.unloaded(a, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("load 1"));
  memory(50);
  load_ok(b);
  EXPECT_THAT(effects_.take(), ElementsAre("2 to 1"));
  done(2);
  EXPECT_THAT(effects_.take(), ElementsAre("unload 1"));
  memory(150);
  board_.unloaded(b, now_);
  load_ok(a);
  EXPECT_THAT(effects_.take(), ElementsAre("load 0", "4 to 0"));
}

TEST_F(SwitchboardTest, WhatCanNeverFitIsRefusedWithFigures) {
  const auto a = add("a", 500);
  const auto small = add("a", 100, "other");
  memory(300);
  ask(1, {a});
  EXPECT_THAT(effects_.take(), ElementsAre("refuse 1"));
  EXPECT_EQ(effects_.refused[1].code, ErrorCode::OutOfMemory);
  EXPECT_THAT(effects_.refused[1].message, HasSubstr("needs 500 MiB"));
  ask(2, {a, small});
  EXPECT_THAT(effects_.take(), ElementsAre("load 1"));
}

TEST_F(SwitchboardTest, TheOverheadOfTheLastRunIsLearned) {
  const auto a = add("a", 100);
  memory(150);
  ask(1, {a});
  InstanceLook look;
  look.usage.emplace().held_bytes = 180 * kMiB;
  board_.look(a, look, now_);
  board_.loaded(a, {}, now_);
  done(1);
  board_.unload(a, false, now_);
  board_.unloaded(a, now_);
  effects_.take();
  ask(2, {a});
  EXPECT_THAT(effects_.refused[2].message, HasSubstr("needs 180 MiB"));
}

TEST_F(SwitchboardTest, ARunThatTookLessTeachesNothing) {
  const auto a = add("a", 200);
  memory(250);
  ask(1, {a});
  load_ok(a);
  done(1);
  board_.unload(a, false, now_);
  board_.unloaded(a, now_);
  effects_.take();
  memory(150);
  ask(2, {a});
  EXPECT_THAT(effects_.refused[2].message, HasSubstr("needs 200 MiB"));
}

TEST_F(SwitchboardTest, AModelWithAShorterContextFitsWhereItsLongestDoesNot) {
  InstanceSetup setup;
  setup.model = "a";
  setup.need.weights_bytes = 50 * kMiB;
  setup.need.kv_bytes = 400 * kMiB;
  setup.need.least_bytes = 60 * kMiB;
  const auto a = board_.add(setup);
  memory(100);
  ask(1, {a});
  EXPECT_THAT(effects_.take(), ElementsAre("load 0"));
}

TEST_F(SwitchboardTest, IdleModelsLeaveAfterTheirTimeAndPinnedOnesDoNot) {
  InstanceSetup setup;
  setup.model = "a";
  setup.idle_ttl = seconds(60);
  const auto a = board_.add(setup);
  setup.model = "pinned";
  setup.pinned = true;
  const auto pinned = board_.add(setup);
  ask(1, {a});
  ask(2, {pinned});
  load_ok(a), load_ok(pinned);
  done(2);
  effects_.take();
  pass(seconds(100));
  EXPECT_THAT(effects_.take(), IsEmpty()) << "one is busy, one is pinned";
  done(1);
  pass(seconds(59));
  EXPECT_THAT(effects_.take(), IsEmpty());
  pass(seconds(1));
  EXPECT_THAT(effects_.take(), ElementsAre("unload 0"));
}

TEST_F(SwitchboardTest, APinnedModelThatDiedComesBackByItself) {
  InstanceSetup setup;
  setup.model = "a";
  setup.pinned = true;
  const auto a = board_.add(setup);
  board_.request(1, {{a}, 0, now_ + seconds(10), true}, now_);
  load_ok(a);
  effects_.take();
  InstanceLook dead;
  dead.alive = false;
  dead.detail = "SIGSEGV";
  board_.look(a, dead, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("kill 0"));
  board_.unloaded(a, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("load 0"));
}

TEST_F(SwitchboardTest, AStuckEngineIsAskedForATokenAndThenReplaced) {
  const auto a = add("a");
  ask(1, {a});
  load_ok(a);
  effects_.take();
  InstanceLook look;
  look.activity.running = 1;
  board_.look(a, look, now_);
  now_ += milliseconds(9900);
  board_.look(a, look, now_);
  EXPECT_THAT(effects_.take(), IsEmpty());
  now_ += milliseconds(100);
  board_.look(a, look, now_);
  board_.look(a, look, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("probe 0"));
  board_.probed(a, true, now_);
  now_ += seconds(10);
  board_.look(a, look, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("probe 0"));
  board_.probed(a, false, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("kill 0"));
  // Its request hears of it by its stream, and gets the next engine.
  fail_with(1, ErrorCode::Unavailable);
  board_.unloaded(a, now_);
  pass(milliseconds(50));
  EXPECT_THAT(effects_.take(), ElementsAre("load 0"));
}

TEST_F(SwitchboardTest, ATicketThatWaitedTooLongIsTold) {
  const auto a = add("a");
  ask(1, {a});
  effects_.take();
  pass(seconds(300));
  EXPECT_THAT(effects_.take(), ElementsAre("refuse 1"));
  EXPECT_EQ(effects_.refused[1].code, ErrorCode::Timeout);
  EXPECT_THAT(effects_.refused[1].message, HasSubstr("still loading"));
}

TEST_F(SwitchboardTest, UnloadingWaitsForWhatRunsUnlessAtOnce) {
  const auto a = add("a");
  ask(1, {a});
  load_ok(a);
  effects_.take();
  board_.unload(a, false, now_);
  ask(2, {a});
  EXPECT_THAT(effects_.take(), IsEmpty());
  done(1);
  EXPECT_THAT(effects_.take(), ElementsAre("unload 0"));
  board_.unloaded(a, now_);
  load_ok(a);
  EXPECT_THAT(effects_.take(), ElementsAre("load 0", "2 to 0")) << "it was wanted again";
  board_.unload(a, true, now_);
  EXPECT_THAT(effects_.take(), ElementsAre("kill 0"));
}

TEST_F(SwitchboardTest, ClosingRefusesAndUnloadsEverything) {
  const auto a = add("a"), b = add("b");
  ask(1, {a});
  load_ok(a);
  ask(2, {b});
  effects_.take();
  board_.close(now_);
  EXPECT_THAT(effects_.take(), UnorderedElementsAre("refuse 2", "kill 0", "abort 1"));
  EXPECT_FALSE(board_.at_rest());
  board_.unloaded(a, now_);
  board_.loaded(b, fail(ErrorCode::Cancelled, "stopped"), now_);
  board_.unloaded(b, now_);
  EXPECT_TRUE(board_.at_rest());
  ask(3, {a});
  EXPECT_THAT(effects_.refused[3].message, HasSubstr("stopping"));
}

}  // namespace
}  // namespace minerva::serve
