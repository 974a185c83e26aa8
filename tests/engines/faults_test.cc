// Engines that stop, die or break off in the middle of an answer.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "engines/engine_test.h"

namespace minerva::backend {
namespace {

namespace fs = std::filesystem;

// Whether any process has this in its environment.
bool somebody_has(const std::string& mark) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream in(entry.path() / "environ", std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(in)), {});
    if (all.find(mark) != std::string::npos) return true;
  }
  return false;
}

using EngineFault = EngineTest;

TEST_F(EngineFault, WithoutOneTheAnswerIsTheModelsOwn) {
  ChildBackend& engine = loaded({"--end-one-in", "0"});
  const Read got = run(engine, ask("hello", 200));
  EXPECT_EQ(got.end->outcome, Outcome::Done);
  EXPECT_EQ(got.end->usage.prompt_tokens, 5U);
  EXPECT_EQ(got.end->usage.completion_tokens, 200U);
  const auto whole = FakeModel(0).greedy(FakeModel::encode("hello"), 200);
  // A last character that is not whole has no ids.
  ASSERT_EQ(got.ids.size(), 200U);
  EXPECT_TRUE(std::ranges::equal(std::span(got.ids).first(196), std::span(whole).first(196)));
}

TEST_F(EngineFault, AnAnswerThatEndsByItself) {
  ChildBackend& engine = loaded({"--script", "Hi é😀!"});
  const Read got = run(engine, ask("x"));
  EXPECT_EQ(got.bytes, "Hi é😀!");
  EXPECT_EQ(got.end->outcome, Outcome::Done);
  EXPECT_EQ(got.end->usage.completion_tokens, 11U) << "with the one that ended it";
}

TEST_F(EngineFault, ADeathEndsEveryStreamAndTheModelCanBeLoadedAgain) {
  ChildBackend& engine = loaded({"--end-one-in", "0", "--die-at", "20", "--token-delay-ms", "2"});
  std::vector<std::shared_ptr<GenerationStream>> streams;
  for (int i = 0; i < 8; ++i) streams.push_back(begin(engine, ask("a", 400)));
  for (const auto& stream : streams) {
    const Read got = read(*stream);
    expect_engine_failed(got);
    expect_prefix(got, "a");
    EXPECT_LE(got.ids.size(), 20U);
  }
  const auto gone = std::chrono::steady_clock::now() + kBounded;
  while (engine.is_loaded() && std::chrono::steady_clock::now() < gone) std::this_thread::yield();
  EXPECT_EQ(engine.probe().health, Health::Failed);
  EXPECT_THAT(engine.probe().detail, HasSubstr("exit code 1"));
  EXPECT_FALSE(engine.generate(ask("a"), std::make_shared<GenerationStream>()));
  ASSERT_TRUE(engine.load_model({}, 0));
  EXPECT_EQ(run(engine, ask("a", 10)).ids.size(), 10U);
}

TEST_F(EngineFault, ADeathInsideACharacter) {
  ChildBackend& engine = loaded({"--end-one-in", "0", "--die-inside-character"});
  const Read got = run(engine, ask("a", 400));
  expect_engine_failed(got);
  expect_prefix(got, "a");
  EXPECT_FALSE(got.ids.empty());
  EXPECT_TRUE(std::ranges::none_of(got.ids, [](TokenId id) { return id >= 0x80; }));
}

// Killed from outside, as the system does when memory runs out.
TEST_F(EngineFault, AKilledEngineIsNoticedAtOnce) {
  ChildBackend& engine = loaded({"--end-one-in", "0", "--token-delay-ms", "20"});
  const auto stream = begin(engine, ask("a", 400));
  read_tokens(*stream, 3);
  ASSERT_EQ(::kill(static_cast<pid_t>(engine.usage().pid), SIGKILL), 0);
  const Read got = read(*stream);
  EXPECT_EQ(got.end->outcome, Outcome::Failed);
  EXPECT_EQ(got.error().code, ErrorCode::Unavailable);
}

// A process that it has left behind holds its pipes, and the sockets that it had open.
TEST_F(EngineFault, AGrandchildKeepsNothingOpen) {
  const std::string mark = "MINERVA_TEST_MARK=grandchild." + std::to_string(::getpid());
  make({.flags = {"--end-one-in", "0", "--grandchild", "--die-at", "5", "--honest-requests", "1"},
        .environment = {mark}});
  ASSERT_TRUE(engine().load_model({}, 0));
  EXPECT_TRUE(somebody_has(mark));
  expect_engine_failed(run(engine(), ask("a", 400)));
  EXPECT_TRUE(engine().unload_model());
  EXPECT_FALSE(somebody_has(mark));
}

class SilentEngine : public EngineTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(SilentEngine, EndsByTheBoundForSilence) {
  options_.silence_max = std::chrono::milliseconds(300);
  ChildBackend& engine = loaded({"--end-one-in", "0", GetParam(), "6"});
  const auto before = engine.activity();
  const Read got = run(engine, ask("a", 400));
  expect_engine_failed(got);
  expect_prefix(got, "a");
  EXPECT_THAT(got.error().message, HasSubstr("no sign of life for 300 ms"));
  EXPECT_EQ(engine.activity().running, 0U);
  EXPECT_GE(engine.activity().tokens, before.tokens + got.ids.size());
  EXPECT_TRUE(engine.unload_model());
}

TEST_P(SilentEngine, IsCancelledAndStoppedWithoutWaiting) {
  ChildBackend& engine = loaded({"--end-one-in", "0", GetParam(), "2", "--ignore-sigterm"});
  const auto cancelled = begin(engine, ask("a", 400));
  read_tokens(*cancelled, 1);
  cancelled->cancel();
  EXPECT_EQ(read(*cancelled).end->outcome, Outcome::Cancelled);

  const auto stopped = begin(engine, ask("a", 400));
  engine.stop(std::chrono::milliseconds(10));
  EXPECT_EQ(read(*stopped).end->outcome, Outcome::Cancelled);
  EXPECT_FALSE(engine.is_loaded());
}

TEST_P(SilentEngine, EndsByItsDeadline) {
  ChildBackend& engine = loaded({"--end-one-in", "0", GetParam(), "2"});
  GenerateRequest request = ask("a", 400);
  request.deadline = clock_.now() + std::chrono::seconds(10);
  const auto stream = begin(engine, std::move(request));
  read_tokens(*stream, 1);
  clock_.advance(std::chrono::seconds(11));
  const Read got = read(*stream);
  EXPECT_EQ(got.end->outcome, Outcome::Failed);
  EXPECT_EQ(got.error().code, ErrorCode::Timeout);
  engine.kill();
  EXPECT_FALSE(engine.is_loaded());
}

INSTANTIATE_TEST_SUITE_P(Kinds, SilentEngine,
                         ::testing::Values("--hang-at", "--spin-at", "--sigstop-at"),
                         [](const auto& info) {
                           std::string name = info.param + 2;
                           name.resize(name.find('-'));
                           return name;
                         });

TEST_F(EngineFault, SlowButAliveSurvives) {
  options_.silence_max = std::chrono::seconds(2);
  ChildBackend& engine = loaded({"--end-one-in", "0", "--token-delay-ms", "250"});
  const Read got = run(engine, ask("abc", 10));  // longer than the bound, altogether
  EXPECT_EQ(got.end->outcome, Outcome::Done);
}

TEST_F(EngineFault, AReaderThatTakesNothingIsGivenUp) {
  options_.paused_max = std::chrono::seconds(5);
  make({.flags = {"--end-one-in", "0"}});
  options_.paused_max = std::chrono::seconds(5);
  ASSERT_TRUE(engine().load_model({}, 0));
  const auto stream = std::make_shared<GenerationStream>(4);
  ASSERT_TRUE(engine().generate(ask("a", 400), stream));
  const auto give_up = std::chrono::steady_clock::now() + kBounded;
  while (!stream->paused() && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
  clock_.advance(std::chrono::seconds(6));
  while (engine().activity().running > 0 && std::chrono::steady_clock::now() < give_up)
    std::this_thread::yield();
  const Read got = read(*stream);
  EXPECT_EQ(got.end->outcome, Outcome::Failed);
  EXPECT_EQ(got.error().code, ErrorCode::Timeout);
  EXPECT_EQ(got.error().origin, "minerva");
}

TEST_F(EngineFault, NothingIsLeftOpen) {
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  std::ptrdiff_t before = 0;
  for (int round = 0; round < 6; ++round) {
    ChildBackend& engine = loaded({"--end-one-in", "0", "--die-at", "5"});
    expect_engine_failed(run(engine, ask("a", 400)));
    engine_.reset();
    // What was posted to the loop before has run when this has.
    std::atomic<bool> ran = false;
    loop_.post([&] { ran = true; });
    while (!ran) std::this_thread::yield();
    if (round == 1) before = open_files();
  }
  EXPECT_LE(open_files(), before);
}

}  // namespace
}  // namespace minerva::backend
