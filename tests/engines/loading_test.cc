// Engines that do not get ready, or are not the ones that were started.
#include <thread>

#include "engines/engine_test.h"

namespace minerva::backend {
namespace {

using EngineLoad = EngineTest;

TEST_F(EngineLoad, ASlowStartIsWaitedFor) {
  make({.flags = {"--slow-start-ms", "300"}});
  ASSERT_TRUE(engine().load_model({}, 0));
  EXPECT_EQ(engine().probe().health, Health::Ready);
  EXPECT_EQ(engine().context_size(), 512U);
  EXPECT_GT(engine().usage().pid, 0);
  EXPECT_GT(engine().usage().memory.at(0).bytes, 0U);
  EXPECT_THAT(engine().last_log_lines(5), ::testing::Contains(HasSubstr("listening on")));
}

TEST_F(EngineLoad, OneThatIsNeverReadyIsGivenUp) {
  make({.flags = {"--never-ready"}});
  options_.ready_max = std::chrono::milliseconds(400);
  const auto refused = engine().load_model({}, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Timeout);
  EXPECT_FALSE(engine().is_loaded());
  EXPECT_EQ(engine().probe().health, Health::Failed);
}

TEST_F(EngineLoad, AFailureIsToldInTheEnginesOwnWords) {
  make({.flags = {"--fail-load"}});
  const auto refused = engine().load_model({}, 0);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("exit code 1"));
  EXPECT_THAT(refused.error().message, HasSubstr("'token_embd.weight' is missing"));
  EXPECT_EQ(refused.error().origin, "llama_cpp");
  EXPECT_THAT(engine().last_log_lines(5), ::testing::Contains(HasSubstr("failed to load")));
}

TEST_F(EngineLoad, AnAbandonedLoadStops) {
  make({.flags = {"--never-ready"}});
  Result<void> outcome;
  ChildBackend& backend = engine();
  std::thread loading([&] { outcome = backend.load_model({}, 0); });
  const auto give_up = std::chrono::steady_clock::now() + kBounded;
  while (engine().usage().pid == 0 && std::chrono::steady_clock::now() < give_up)
    std::this_thread::yield();
  EXPECT_EQ(engine().probe().health, Health::Starting);
  EXPECT_TRUE(engine().unload_model());
  loading.join();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::Cancelled);
  EXPECT_FALSE(engine().is_loaded());
}

TEST_F(EngineLoad, OverAPortTheAnswersMustComeFromTheChild) {
  make({.by_port = true});
  ASSERT_TRUE(engine().load_model({}, 0));
  EXPECT_EQ(run(engine(), ask("a", 5)).ids.size(), 5U);

  // A second one at the same port cannot listen, and the first one would answer for it.
  const auto other = process::free_loopback_port();
  ASSERT_TRUE(other);
  ChildBackend first(test::fake_engine_options({.by_port = true, .port = *other}), loop_, clock_);
  ASSERT_TRUE(first.load_model({}, 0));
  ChildBackend second(test::fake_engine_options({.by_port = true, .port = *other}), loop_, clock_);
  const auto refused = second.load_model({}, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Unavailable);
  EXPECT_TRUE(first.is_loaded());
}

// One that lives on without listening, while somebody else answers at its port.
TEST_F(EngineLoad, AnImpostorIsFoundOut) {
  const auto port = process::free_loopback_port();
  ASSERT_TRUE(port);
  ChildBackend honest(test::fake_engine_options({.key = false, .by_port = true, .port = *port}),
                      loop_, clock_);
  ASSERT_TRUE(honest.load_model({}, 0));
  ChildBackendOptions options = test::fake_engine_options({.key = false});
  options.plan = [port = *port](const ModelSpec&, std::size_t context) {
    auto plan = test::plan_fake_engine({.key = false}, context);
    plan->upstream.address.socket_path.clear();
    plan->upstream.address.port = port;
    plan->prove_port = true;
    return plan;
  };
  ChildBackend impostor(options, loop_, clock_);
  const auto refused = impostor.load_model({}, 0);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("another process answers"));
}

TEST_F(EngineLoad, AWrongKeyIsNoAnswer) {
  options_ = test::fake_engine_options({});
  options_.plan = [](const ModelSpec&, std::size_t context) {
    auto plan = test::plan_fake_engine({}, context);
    plan->upstream.key = Secret("wrong");
    return plan;
  };
  const auto refused = engine().load_model({}, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("Invalid API Key"));
}

TEST_F(EngineLoad, AProgramThatIsNotThere) {
  options_ = test::fake_engine_options({});
  options_.plan = [](const ModelSpec&, std::size_t context) {
    auto plan = test::plan_fake_engine({}, context);
    plan->child->argv[0] = "/nonexistent/engine";
    return plan;
  };
  const auto refused = engine().load_model({}, 0);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("/nonexistent/engine"));
}

// Without a tokenizer of ours, prompts go as text and events come without ids.
TEST_F(EngineLoad, TheEngineMayBeTheOnlyOneToTokenize) {
  make({.flags = {"--script", "Hi é!"}, .own_tokenizer = false});
  ASSERT_TRUE(engine().load_model({}, 0));
  GenerateRequest request;
  request.prompt.emplace_back(std::string("hello"));
  request.sampling.temperature = 0;
  const Read got = run(engine(), std::move(request));
  EXPECT_EQ(got.bytes, "Hi é!");
  EXPECT_EQ(got.end->outcome, Outcome::Done);
  EXPECT_EQ(got.end->usage.prompt_tokens, 5U);
}

}  // namespace
}  // namespace minerva::backend
