// The fake backend: the suite, and its faults.
#include "backend/fake/fake_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <span>

#include "backend/fake/fake_model.h"
#include "conformance/backend_conformance.h"
#include "conformance/recorder.h"

namespace minerva::backend {
namespace {

using Outcome = EndEvent::Outcome;

Subject fake(std::string name, FakeOptions options) {
  Subject subject;
  subject.name = std::move(name);
  subject.make = [options](const Clock& clock) {
    return std::make_unique<FakeBackend>(options, clock);
  };
  subject.reads_files = false;
  subject.end_token = [](const InferenceBackend&) { return FakeModel::kEnd; };
  return subject;
}

FakeOptions narrow() {
  FakeOptions options;
  options.batch_max = 2;
  return options;
}

INSTANTIATE_TEST_SUITE_P(Fake, BackendConformance,
                         ::testing::Values(fake("wide", {}), fake("narrow", narrow())),
                         subject_name);

class FakeBackendTest : public ::testing::Test {
 protected:
  FakeBackend& start(FakeOptions options) {
    engine_ = std::make_unique<FakeBackend>(std::move(options), clock_);
    EXPECT_TRUE(engine_->load_model({}, 0));
    return *engine_;
  }
  static GenerateRequest ask(std::string_view text, std::uint64_t max_tokens = 100) {
    GenerateRequest request;
    request.prompt.emplace_back(FakeModel::encode(text));
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    return request;
  }
  FakeClock clock_;
  std::unique_ptr<FakeBackend> engine_;
};

TEST_F(FakeBackendTest, TheNextTokenIsAFunctionOfThePrefix) {
  FakeBackend& engine = start({});
  const FakeModel model;
  for (const char* text : {"a", "b", "hello", "hello "}) {
    const auto ids = run(engine, ask(text)).ids();
    EXPECT_EQ(ids, model.greedy(FakeModel::encode(text), 100));
    // Cut anywhere, the rest is the answer to what came before.
    std::vector<TokenId> prefix = FakeModel::encode(text);
    prefix.insert(prefix.end(), ids.begin(),
                  ids.begin() + static_cast<std::ptrdiff_t>(ids.size() / 2));
    const auto rest = model.greedy(prefix, 100 - ids.size() / 2);
    EXPECT_TRUE(std::ranges::equal(rest, std::span(ids).subspan(ids.size() / 2)));
  }
}

TEST_F(FakeBackendTest, EndsByItselfAndSaysStop) {
  FakeOptions options;
  options.script = "Hi é!";
  const Recording got = run(start(options), ask("x"));
  EXPECT_EQ(got.bytes(), "Hi é!");
  EXPECT_EQ(got.reasons.at(0), FinishReason::Stop);
  EXPECT_EQ(got.end->usage.completion_tokens, 7U) << "with the one that ended it";
}

TEST_F(FakeBackendTest, OneRequestFailsAndTheOthersGoOn) {
  FakeOptions options;
  options.faults.fail_at_token = 5;
  FakeBackend& engine = start(options);
  const auto four = std::make_shared<GenerationStream>();
  const auto ten = std::make_shared<GenerationStream>();
  ASSERT_TRUE(engine.generate(ask("a", 4), four));
  ASSERT_TRUE(engine.generate(ask("a", 10), ten));
  EXPECT_EQ(record(*four).end->outcome, Outcome::Done);
  const Recording failed = record(*ten);
  EXPECT_EQ(failed.end->outcome, Outcome::Failed);
  EXPECT_EQ(failed.end->error.value().origin, "fake");
  EXPECT_EQ(failed.token_count(), 5U);
  EXPECT_TRUE(engine.is_loaded());
}

TEST_F(FakeBackendTest, DyingTakesEverybodyAlong) {
  FakeOptions options;
  options.end_one_in = 0;
  options.faults.die_inside_character = true;
  FakeBackend& engine = start(options);
  const auto whole = FakeModel(0).greedy(FakeModel::encode("a"), 400);
  const auto inside = std::ranges::find_if(whole, [](TokenId id) { return (id & 0xc0) == 0x80; });
  ASSERT_NE(inside, whole.end());
  const Recording got = run(engine, ask("a", 400));
  EXPECT_EQ(got.end->outcome, Outcome::Failed);
  EXPECT_EQ(got.ids(), std::vector<TokenId>(whole.begin(), inside));
  EXPECT_EQ(engine.probe().health, Health::Failed);
  EXPECT_FALSE(engine.is_loaded());
  EXPECT_FALSE(engine.generate(ask("a"), std::make_shared<GenerationStream>()));
  engine.set_faults({});
  EXPECT_TRUE(engine.load_model({}, 0));
  EXPECT_EQ(run(engine, ask("a", 3)).token_count(), 3U);
}

TEST_F(FakeBackendTest, AHangHearsCancelUnlessItIsDeaf) {
  FakeOptions options;
  options.end_one_in = 0;
  options.faults.hang_at_token = 2;
  FakeBackend& engine = start(options);
  const auto wait_for_two = [](GenerationStream& stream) {
    int tokens = 0;
    while (tokens < 2) {
      const auto event = stream.pop_for(std::chrono::minutes(1));
      ASSERT_TRUE(event);
      tokens += std::holds_alternative<TokenEvent>(*event) ? 1 : 0;
    }
  };
  const auto hearing = std::make_shared<GenerationStream>();
  ASSERT_TRUE(engine.generate(ask("a"), hearing));
  wait_for_two(*hearing);
  hearing->cancel();
  EXPECT_EQ(record(*hearing).end->outcome, Outcome::Cancelled);

  options.faults.deaf = true;
  engine.set_faults(options.faults);
  const auto deaf = std::make_shared<GenerationStream>();
  ASSERT_TRUE(engine.generate(ask("a"), deaf));
  wait_for_two(*deaf);
  deaf->cancel();
  EXPECT_EQ(engine.running(), 1U);
  EXPECT_TRUE(engine.unload_model());
  EXPECT_EQ(record(*deaf).end->outcome, Outcome::Cancelled);
}

TEST_F(FakeBackendTest, AHangHearsWhoHasLeftBeforeIt) {
  FakeOptions options;
  options.faults.hang_at_token = 0;
  FakeBackend& engine = start(options);
  const auto stream = std::make_shared<GenerationStream>();
  stream->cancel();
  EmbedRequest request;
  request.inputs.emplace_back(std::string("a"));
  ASSERT_TRUE(engine.embed(request, stream));
  EXPECT_EQ(record(*stream).end->outcome, Outcome::Cancelled);
}

TEST_F(FakeBackendTest, LoadFailuresAndStepsByHand) {
  FakeOptions options;
  options.faults.load = Error{ErrorCode::OutOfMemory, "too large", {}, "fake"};
  options.manual = true;
  FakeBackend engine(options, clock_);
  EXPECT_EQ(engine.load_model({}, 0).error().code, ErrorCode::OutOfMemory);
  EXPECT_EQ(engine.probe().health, Health::Failed);
  engine.set_faults({});
  ASSERT_TRUE(engine.load_model({}, 0));
  const auto stream = std::make_shared<GenerationStream>();
  ASSERT_TRUE(engine.generate(ask("a", 5), stream));
  EXPECT_FALSE(stream->pop_for(std::chrono::milliseconds(1)));
  engine.advance(5);
  EXPECT_EQ(record(*stream).token_count(), 5U);
  EXPECT_EQ(engine.loads(), 2U);
}

}  // namespace
}  // namespace minerva::backend
