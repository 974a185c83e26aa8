// LocalService over two engines: who is asked, who takes over, what the client is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/utf8.h"
#include "serve/test_service.h"

namespace minerva::serve {
namespace {

using ::testing::HasSubstr;
using Outcome = backend::EndEvent::Outcome;

class SeveralEnginesTest : public ServiceFixture {
 protected:
  // "first" with these faults, then "second", which is well.
  void begin_with(backend::FakeFaults faults, ServiceOptions options = {}) {
    second_ = fake_kind("second", {});
    more_kinds_ = {second_};
    backend::FakeOptions fake;
    options.preload = false;
    begin(std::move(fake), std::move(options));
    kind_->set_faults(std::move(faults));
  }
  Request named(std::optional<std::string> backend, std::vector<std::string> fallback = {}) {
    Request request = completion("abc", 10);
    request.backend = std::move(backend);
    request.fallback = std::move(fallback);
    return request;
  }
  std::shared_ptr<FakeKind> second_;
};

TEST_F(SeveralEnginesTest, AnEngineThatCannotLoadIsReplacedAndThatIsSaid) {
  backend::FakeFaults faults;
  faults.load = Error{ErrorCode::Unsupported, "an odd tensor", {}, "fake"};
  begin_with(faults);
  const Answer answer = ask(named(std::nullopt));
  EXPECT_EQ(answer.end.end.outcome, Outcome::Done);
  EXPECT_EQ(answer.text.at(0), utf8_replace_invalid(greedy_text("abc", 10)));
  EXPECT_EQ(answer.end.backend, "second");
  ASSERT_EQ(answer.end.retries.size(), 1U);
  EXPECT_EQ(answer.end.retries[0].backend, "fake");
  EXPECT_THAT(answer.end.retries[0].why, HasSubstr("an odd tensor"));
  EXPECT_THAT(answer.end.route, HasSubstr("gave no answer"));
  EXPECT_EQ(metrics_.sum(Metric::RetriesTotal, "fake"), 1);
}

TEST_F(SeveralEnginesTest, WhoeverFailsBeforeATokenIsReplaced) {
  backend::FakeFaults faults;
  begin_with(faults);
  ask(named("fake"));  // loaded, and well until now
  faults.fail_at_token = 0;
  engine(0).set_faults(faults);
  const Answer answer = ask(named("fake", {"second"}));
  EXPECT_EQ(answer.end.end.outcome, Outcome::Done);
  ASSERT_EQ(answer.end.retries.size(), 1U);
  EXPECT_EQ(engine_count(), 2U);
}

TEST_F(SeveralEnginesTest, AfterATokenNobodyTakesOver) {
  begin_with({});
  ask(named("fake"));
  backend::FakeFaults faults;
  faults.fail_at_token = 3;
  engine(0).set_faults(faults);
  const Answer answer = ask(named("fake", {"second"}));
  EXPECT_EQ(answer.end.end.outcome, Outcome::Failed);
  EXPECT_TRUE(answer.end.retries.empty());
  EXPECT_EQ(engine_count(), 1U);
}

// Where nothing is shown before the end, nothing has been promised after a token either.
TEST_F(SeveralEnginesTest, AWholeAnswerBegunInVainIsMadeElsewhereFromItsBeginning) {
  begin_with({});
  ask(named("fake"));
  backend::FakeFaults faults;
  faults.fail_at_token = 3;
  engine(0).set_faults(faults);
  Request request = named("fake", {"second"});
  request.whole = true;
  request.n = 2;
  request.logprobs = 1;
  auto generation = service_->start(std::move(request));
  ASSERT_TRUE(generation);
  const Answer answer = read_all(**generation);
  EXPECT_EQ(answer.end.end.outcome, Outcome::Done);
  EXPECT_EQ(answer.end.backend, "second");
  ASSERT_EQ(answer.end.retries.size(), 1U);
  EXPECT_EQ(answer.end.retries[0].backend, "fake");
  EXPECT_EQ(answer.end.end.usage.completion_tokens, 20U);
  for (const std::uint32_t choice : {0U, 1U}) {
    EXPECT_EQ(answer.text.at(choice), utf8_replace_invalid(greedy_text("abc", 10)));
    EXPECT_EQ(answer.finish.at(choice).reason, backend::FinishReason::Length);
    ASSERT_EQ(answer.deltas.at(choice).size(), 1U);
    EXPECT_EQ(answer.deltas.at(choice)[0].tokens.size(), 10U);
  }
  EXPECT_EQ(metrics_.observed(Metric::TimeToFirstTokenSeconds), 2) << "one for each request";
}

TEST_F(SeveralEnginesTest, AWholeAnswerWhoseEngineDiesIsMadeByTheNextOneOfItsKind) {
  begin_with({});
  ask(named("fake"));
  backend::FakeFaults faults;
  faults.die_at_token = 7;
  engine(0).set_faults(faults);
  Request request = named("fake");
  request.whole = true;
  request.echo = true;
  const Answer answer = ask(request);
  EXPECT_EQ(answer.end.end.outcome, Outcome::Done);
  EXPECT_EQ(answer.text.at(0), "abc" + utf8_replace_invalid(greedy_text("abc", 10)));
  EXPECT_EQ(answer.end.retries.size(), 1U);
  EXPECT_EQ(service_->instances().at(0).restarts, 1U);
  EXPECT_EQ(metrics_.gauge(Metric::RunningRequests), 0);
  EXPECT_EQ(metrics_.gauge(Metric::QueuedRequests), 0);
}

TEST_F(SeveralEnginesTest, AWholeAnswerThatNobodyCanMakeIsAnErrorWithoutText) {
  backend::FakeFaults faults;
  faults.fail_at_token = 4;
  begin_with({});
  ask(named("fake"));
  ask(named("second"));
  engine(0).set_faults(faults);
  engine(1).set_faults(faults);
  std::atomic<bool> stop = false;
  std::thread time([&] {
    while (!stop) {
      clock_.advance(std::chrono::milliseconds(5));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  Request request = named("fake", {"second"});
  request.whole = true;
  const Answer answer = ask(request);
  stop = true;
  time.join();
  EXPECT_EQ(answer.end.end.outcome, Outcome::Failed);
  EXPECT_TRUE(answer.text.empty());
  EXPECT_EQ(answer.end.retries.size(), 5U) << "the budget";
}

// Vectors are one answer, too, of which nobody sees a part.
TEST_F(SeveralEnginesTest, VectorsBegunInVainAreMadeElsewhere) {
  begin_with({});
  ask(named("fake"));
  backend::FakeFaults faults;
  faults.fail_at_token = 2;
  engine(0).set_faults(faults);
  EmbeddingRequest request;
  request.id = "embd-test";
  request.backend = "fake";
  request.fallback = {"second"};
  request.inputs = {"one", "two", "three"};
  auto generation = service_->embed(request);
  ASSERT_TRUE(generation);
  const Answer answer = read_all(**generation);
  EXPECT_EQ(answer.end.end.outcome, Outcome::Done);
  EXPECT_EQ(answer.end.backend, "second");
  ASSERT_EQ(answer.end.retries.size(), 1U);
  EXPECT_EQ(answer.end.retries[0].backend, "fake");
  ASSERT_EQ(answer.vectors.size(), 3U);
  for (std::uint32_t i = 0; i < 3; ++i) {
    const auto& text = std::get<std::string>(request.inputs[i]);
    EXPECT_EQ(answer.vectors.at(i),
              backend::FakeModel::embedding(backend::FakeModel::encode(text)));
  }

  // Nobody can: an error, and none of the two vectors that were made.
  engine(1).set_faults(faults);
  std::atomic<bool> stop = false;
  std::thread time([&] {
    while (!stop) {
      clock_.advance(std::chrono::milliseconds(5));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  generation = service_->embed(request);
  ASSERT_TRUE(generation);
  const Answer none = read_all(**generation);
  stop = true;
  time.join();
  EXPECT_EQ(none.end.end.outcome, Outcome::Failed);
  EXPECT_TRUE(none.vectors.empty());
}

// The stop string was there before the engine died, so the answer is whole.
TEST_F(SeveralEnginesTest, AWholeAnswerThatHadItsStopStringIsNotMadeAgain) {
  begin_with({});
  ask(named("fake"));
  backend::FakeFaults faults;
  faults.deaf = true;  // it goes on after it was told to stop
  faults.fail_at_token = 50;
  engine(0).set_faults(faults);
  Request request = named("fake");
  request.whole = true;
  request.max_tokens = 60;
  request.stop = {utf8_replace_invalid(greedy_text("abc", 60)).substr(20, 4)};
  const Answer answer = ask(request);
  EXPECT_EQ(answer.end.end.outcome, Outcome::Done);
  EXPECT_EQ(answer.finish.at(0).stop_string, request.stop[0]);
  EXPECT_TRUE(answer.end.retries.empty());
}

TEST_F(SeveralEnginesTest, ARequestThatNamesItsEngineGetsNoOther) {
  backend::FakeFaults faults;
  faults.load = Error{ErrorCode::Unsupported, "an odd tensor", {}, "fake"};
  ServiceOptions options;
  options.rules.fallback = {"second"};
  begin_with(faults, options);
  EXPECT_THAT(refusal(named("fake")).message, HasSubstr("an odd tensor"));
  EXPECT_EQ(engine_count(), 1U);
  EXPECT_EQ(ask(named(std::nullopt)).end.end.outcome, Outcome::Done) << "the configured chain";
}

TEST_F(SeveralEnginesTest, AnEngineThatDiesIsStartedAgainOrLeft) {
  begin_with({});
  ask(named("fake"));
  backend::FakeFaults faults;
  faults.die_at_token = 0;
  engine(0).set_faults(faults);
  // Alone it is started again, and the new one is well.
  const Answer again = ask(named("fake"));
  EXPECT_EQ(again.end.end.outcome, Outcome::Done);
  EXPECT_EQ(again.end.retries.size(), 1U);
  EXPECT_EQ(metrics_.sum(Metric::EngineRestartsTotal, "fake"), 1);
  EXPECT_EQ(service_->instances().at(0).restarts, 1U);
}

TEST_F(SeveralEnginesTest, WhatIsMissingIsSaidWithItsInstallation) {
  second_ = fake_kind("second", {});
  second_->found.available = false;
  second_->found.why_not = "no such program";
  second_->found.install = "pip install second";
  more_kinds_ = {second_};
  open();
  const Error error = refusal(named("second"));
  EXPECT_EQ(error.code, ErrorCode::Unavailable);
  EXPECT_THAT(error.message, HasSubstr("pip install second"));
  const auto backends = service_->backends();
  ASSERT_EQ(backends.size(), 2U);
  EXPECT_TRUE(backends[0].available);
  EXPECT_EQ(backends[0].instances.size(), 1U);
  EXPECT_EQ(backends[0].models, std::vector<std::string>{"tiny"});
  EXPECT_FALSE(backends[1].available);
  EXPECT_EQ(backends[1].install, "pip install second");
}

TEST_F(SeveralEnginesTest, ARouteIsExplainedWithoutRunning) {
  begin_with({});
  second_->refuses = "reads no such thing";
  const auto report = service_->explain_route(named(std::nullopt));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->backend, "fake");
  EXPECT_EQ(report->prompt_tokens, 3U);
  ASSERT_EQ(report->steps.size(), 2U);
  EXPECT_EQ(report->steps[1].why, "reads no such thing");
  EXPECT_EQ(engine_count(), 0U);
  const auto none = service_->explain_route(named("second"));
  ASSERT_TRUE(none);
  EXPECT_EQ(none->backend, "");
  EXPECT_THAT(none->reason, HasSubstr("reads no such thing"));
  EXPECT_EQ(service_->explain_route(named("third")).error().param, "backend");
}

TEST_F(SeveralEnginesTest, AliasesDefaultsAndEnginesOfSingleModels) {
  ServiceOptions options;
  ModelRules rules;
  rules.name = "tiny";
  rules.aliases = {"gpt-4", "small"};
  rules.backend = "second";
  rules.defaults.max_tokens = 4;
  options.rules.models = {rules};
  begin_with({}, options);
  Request request = named(std::nullopt);
  request.model = "gpt-4";
  request.max_tokens.reset();
  const Answer answer = ask(request);
  EXPECT_EQ(answer.end.end.usage.completion_tokens, 4U);
  EXPECT_EQ(answer.end.model, "tiny");
  EXPECT_EQ(service_->instances().at(0).backend, "second");
  EXPECT_EQ(service_->model("small")->name, "tiny");
  EXPECT_EQ(service_->models().at(0).aliases, (std::vector<std::string>{"gpt-4", "small"}));
}

// Names of one file are one model where they are loaded in the same way, and never get what was
// made for another name.
TEST_F(SeveralEnginesTest, NamesOfOneFileShareOnlyWhatIsTheSame) {
  ServiceOptions options;
  options.models = {
      add_model("tiny", {.chat_template = "{{ messages[0].content }}", .add_bos = false})};
  ModelRules twin;
  twin.path = options.models[0];
  twin.name = "twin";
  ModelRules shouts = twin;
  shouts.name = "shouts";
  shouts.chat_template = "{{ messages[0].content }}!!!";
  ModelRules narrow = twin;
  narrow.name = "narrow";
  narrow.context_size = 64;
  options.rules.models = {twin, shouts, narrow};
  begin_with({}, options);
  const auto prompt_tokens = [&](std::string model) {
    Request request = chat("abc", 2);
    request.model = std::move(model);
    return ask(std::move(request)).end.end.usage.prompt_tokens;
  };
  EXPECT_EQ(prompt_tokens("tiny"), 3U);
  EXPECT_EQ(prompt_tokens("twin"), 3U);
  EXPECT_EQ(prompt_tokens("shouts"), 6U);
  EXPECT_EQ(engine_count(), 1U);
  EXPECT_EQ(prompt_tokens("narrow"), 3U);
  EXPECT_EQ(engine_count(), 2U);
  EXPECT_TRUE(becomes("narrow", ModelState::Ready));
  EXPECT_EQ(service_->model("narrow")->context_size, 64U);
  EXPECT_EQ(service_->model("twin")->context_size, 512U);
  EXPECT_TRUE(service_->unload("shouts", false));
  EXPECT_EQ(service_->unload("tiny", false).error().code, ErrorCode::NotFound);
  EXPECT_TRUE(service_->unload("narrow", false));
}

TEST_F(SeveralEnginesTest, LoadingAndUnloadingByHand) {
  begin_with({});
  EXPECT_EQ(service_->unload("tiny", false).error().code, ErrorCode::NotFound);
  const auto loaded = service_->load("tiny", "second", std::chrono::minutes(1));
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->state, ModelState::Ready);
  EXPECT_EQ(loaded->backend, "second");
  EXPECT_EQ(service_->instances().size(), 1U);
  EXPECT_TRUE(service_->unload("tiny", false));
  EXPECT_TRUE(service_->instances().empty());
  EXPECT_EQ(service_->load("nothing", {}, std::chrono::minutes(1)).error().code,
            ErrorCode::NotFound);
  EXPECT_EQ(service_->load("tiny", "third", std::chrono::minutes(1)).error().param, "backend");
}

// Clients, loads, unloads and readers who leave, all at once: under ThreadSanitizer this is where a
// model would be used after it has gone.
TEST_F(SeveralEnginesTest, ManyAtOnceWhileModelsComeAndGo) {
  ServiceOptions options;
  options.models_max = 1;
  options.loop.switchboard.turn_min = {};
  begin_with({}, options);
  add_model("other", {});
  std::atomic<int> done = 0, failed = 0;
  std::atomic<bool> stop = false;
  std::thread admin([&] {
    for (int i = 0; !stop; ++i) {
      static_cast<void>(service_->unload(i % 2 == 0 ? "tiny" : "other", i % 3 == 0));
      static_cast<void>(service_->backends());
    }
  });
  std::thread time([&] {
    while (!stop) {
      clock_.advance(std::chrono::milliseconds(5));  // whoever pauses goes on
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  std::vector<std::thread> clients;
  for (int c = 0; c < 16; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 6; ++i) {
        Request request = named(std::nullopt, {});
        request.model = (c + i) % 2 == 0 ? "tiny" : "other";
        auto generation = service_->start(std::move(request));
        ASSERT_TRUE(generation) << generation.error().message;
        if (i % 3 == 2) continue;  // its reader leaves at once
        const Answer answer = read_all(**generation);
        ++(answer.end.end.outcome == Outcome::Done ? done : failed);
        // What is unloaded at once takes its answers along; nothing else fails.
        if (answer.end.end.outcome != Outcome::Done) {
          EXPECT_EQ(answer.error().code, ErrorCode::Unavailable) << answer.error().message;
        }
      }
    });
  }
  for (auto& client : clients) client.join();
  stop = true;
  admin.join();
  time.join();
  EXPECT_EQ(done + failed, 16 * 4);
  EXPECT_GT(done, 0);
  EXPECT_TRUE(eventually([&] { return service_->active() == 0; }));
}

}  // namespace
}  // namespace minerva::serve
