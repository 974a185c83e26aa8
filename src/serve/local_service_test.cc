#include "serve/local_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <future>
#include <thread>

#include "base/utf8.h"
#include "serve/test_service.h"

namespace minerva::serve {
namespace {

using backend::FinishReason;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using Outcome = backend::EndEvent::Outcome;

class LocalServiceTest : public ServiceFixture {};

// --- answers ---

TEST_F(LocalServiceTest, ACompletionIsWhatTheModelSays) {
  open();
  const Answer answer = ask(completion("Once upon"));
  EXPECT_EQ(answer.text.at(0), utf8_replace_invalid(greedy_text("Once upon", 60)));
  EXPECT_EQ(answer.finish.at(0).reason, FinishReason::Length);
  EXPECT_FALSE(answer.finish.at(0).stop_string);
  EXPECT_EQ(answer.end.end.outcome, Outcome::Done);
  EXPECT_EQ(answer.end.end.usage.prompt_tokens, 9U);
  EXPECT_EQ(answer.end.end.usage.completion_tokens, 60U);
  EXPECT_EQ(answer.end.model, "tiny");
  EXPECT_EQ(answer.end.backend, "fake");
  EXPECT_EQ(answer.end.route, "the first engine that can do it");
}

TEST_F(LocalServiceTest, AChatIsRenderedAndItsControlTokensAreTokens) {
  open();
  const Answer answer = ask(chat("Hi"));
  std::vector<TokenId> prompt{backend::FakeModel::kTurnStart};
  const auto put = [&](std::string_view text) {
    for (const TokenId id : backend::FakeModel::encode(text)) prompt.push_back(id);
  };
  put("user\nHi");
  prompt.push_back(backend::FakeModel::kTurnEnd);
  put("\n");
  prompt.push_back(backend::FakeModel::kTurnStart);
  put("assistant\n");
  EXPECT_EQ(answer.end.end.usage.prompt_tokens, prompt.size());
  const backend::FakeModel model;
  EXPECT_EQ(answer.text.at(0), utf8_replace_invalid(backend::FakeModel::decode(
                                   model.greedy(prompt, 60, /*ignore_end=*/true))));
}

TEST_F(LocalServiceTest, BosIsAddedOnce) {
  ServiceOptions options;
  options.models = {add_model("bos", {.chat_template = "<|begin|>x", .add_bos = true})};
  open({}, options);
  EXPECT_EQ(ask(completion("x", 1)).end.end.usage.prompt_tokens, 2U);
  EXPECT_EQ(ask(completion("<|begin|>x", 1)).end.end.usage.prompt_tokens, 2U);
  EXPECT_EQ(ask(chat("ignored", 1)).end.end.usage.prompt_tokens, 2U);
}

TEST_F(LocalServiceTest, TokenPromptsAreTakenAsTheyAre) {
  open();
  Request request = completion("");
  request.prompt = RawPrompt(backend::FakeModel::encode("Once upon"));
  EXPECT_EQ(ask(request).text, ask(completion("Once upon")).text);
}

TEST_F(LocalServiceTest, NoPieceEndsInsideACharacter) {
  backend::FakeOptions fake;
  fake.script = "a é 漢 😀 z";
  open(fake);
  Request request = completion("x", 100);
  request.ignore_end_of_generation = false;
  const Answer whole = ask(request);
  EXPECT_EQ(whole.text.at(0), fake.script);
  EXPECT_EQ(whole.finish.at(0).reason, FinishReason::Stop);
  for (const TextDelta& delta : whole.deltas.at(0)) EXPECT_TRUE(utf8_valid(delta.text));

  // Cut inside the last one: what is left of it becomes U+FFFD, byte for byte.
  request.max_tokens = fake.script.size() - 4;
  EXPECT_EQ(ask(request).text.at(0), "a é 漢 \ufffd\ufffd");
}

TEST_F(LocalServiceTest, AStopStringEndsTheAnswerAndTheEngine) {
  backend::FakeOptions fake;
  fake.script = "one two three four five six seven eight";
  fake.manual = true;
  open(fake);
  Request request = completion("x", 400);
  request.stop = {"zzz", " four f", "thr33"};
  const auto generation = service_->start(request);
  ASSERT_TRUE(generation);
  // No step more than the string needs: so the end can only come from telling the engine to stop.
  engine().advance(std::string("one two three four f").size());
  const Answer answer = read_all(**generation);
  EXPECT_EQ(answer.text.at(0), "one two three");
  EXPECT_EQ(answer.finish.at(0).reason, FinishReason::Stop);
  EXPECT_EQ(answer.finish.at(0).stop_string, " four f");
  EXPECT_EQ(answer.end.end.outcome, Outcome::Done);
  EXPECT_FALSE(answer.end.end.error);
  // Up to the token that completed it; how far the engine ran on meanwhile does not show.
  EXPECT_EQ(answer.end.end.usage.completion_tokens, std::string("one two three four f").size());
  EXPECT_TRUE(becomes_idle());
  EXPECT_EQ(metrics_.sum(Metric::RequestsTotal, "done"), 1);
}

TEST_F(LocalServiceTest, AStopStringThatNeverCompletesIsGivenInFull) {
  backend::FakeOptions fake;
  fake.script = "one two";
  open(fake);
  Request request = completion("x", 7);
  request.stop = {"two three"};
  const Answer answer = ask(request);
  EXPECT_EQ(answer.text.at(0), "one two");
  EXPECT_EQ(answer.finish.at(0).reason, FinishReason::Length);
}

TEST_F(LocalServiceTest, EachChoiceStopsForItself) {
  open();
  Request request = completion("tell me", 40);
  request.n = 3;
  request.sampling.temperature = 1.0F;
  request.sampling.seed = 5;
  const Answer free = ask(request);
  ASSERT_EQ(free.text.size(), 3U);
  // A piece of the second choice's text that the others lack.
  const std::string second = free.text.at(1);
  const std::string piece = second.substr(second.find_first_not_of(' '), 6);
  ASSERT_EQ(free.text.at(0).find(piece), std::string::npos);
  request.stop = {piece};
  const Answer stopped = ask(request);
  EXPECT_EQ(stopped.text.at(0), free.text.at(0));
  EXPECT_EQ(stopped.text.at(2), free.text.at(2));
  EXPECT_EQ(stopped.finish.at(1).stop_string, piece);
  EXPECT_EQ(stopped.finish.at(0).reason, FinishReason::Length);
  EXPECT_EQ(stopped.end.end.outcome, Outcome::Done);
  EXPECT_LT(stopped.end.end.usage.completion_tokens, 120U);
}

TEST_F(LocalServiceTest, EchoPutsThePromptFirst) {
  open();
  Request request = completion("Once upon", 5);
  request.echo = true;
  request.n = 2;
  const Answer answer = ask(request);
  EXPECT_TRUE(answer.text.at(0).starts_with("Once upon"));
  EXPECT_TRUE(answer.text.at(1).starts_with("Once upon"));
  EXPECT_GT(answer.text.at(0).size(), std::string("Once upon").size());
  request.prompt = RawPrompt(backend::FakeModel::encode("Once upon"));
  EXPECT_EQ(ask(request).text, answer.text);
}

TEST_F(LocalServiceTest, LogprobsComeWithTheirText) {
  backend::FakeOptions fake;
  fake.script = "ab 😀 cd STOP more";
  open(fake);
  Request request = completion("x", 400);
  request.logprobs = 0;
  request.stop = {"STOP"};
  const Answer answer = ask(request);
  EXPECT_EQ(answer.text.at(0), "ab 😀 cd ");
  std::string bytes;
  std::string text;
  for (const TextDelta& delta : answer.deltas.at(0)) {
    text += delta.text;
    for (const auto& token : delta.tokens) {
      EXPECT_TRUE(token.logprob);
      bytes += token.bytes;
    }
    EXPECT_EQ(bytes, text);
  }
}

// --- refusals ---

TEST_F(LocalServiceTest, WhatCannotBeAnsweredIsRefusedByName) {
  open();
  struct Case {
    std::function<void(Request&)> change;
    ErrorCode code;
    std::string param;
    std::string says;
  };
  const Case cases[] = {
      {[](Request& r) { r.model = "tinx"; }, ErrorCode::NotFound, "model", "known: tiny"},
      {[](Request& r) { r.model = "../tiny"; }, ErrorCode::NotFound, "model", "known: tiny"},
      {[](Request& r) { r.backend = "vllm"; }, ErrorCode::InvalidArgument, "backend", "auto, fake"},
      {[](Request& r) { r.n = 0; }, ErrorCode::InvalidArgument, "n", "n is 0"},
      {[](Request& r) { r.n = 9; }, ErrorCode::Unsupported, "n", "9"},
      {[](Request& r) { r.max_tokens = 0; }, ErrorCode::InvalidArgument, "max_tokens", "0"},
      {[](Request& r) { r.logprobs = 21; }, ErrorCode::InvalidArgument, "logprobs", "20"},
      {[](Request& r) { r.stop = {""}; }, ErrorCode::InvalidArgument, "stop", "0 bytes"},
      {[](Request& r) { r.stop.assign(17, "a"); }, ErrorCode::InvalidArgument, "stop", "17"},
      {[](Request& r) { r.constraint.emplace(); }, ErrorCode::Unsupported, "response_format",
       "fake"},
      {[](Request& r) { r.sampling.top_p = 1.5F; }, ErrorCode::InvalidArgument, "top_p", "1.5"},
      {[](Request& r) { r.sampling.temperature = NAN; }, ErrorCode::InvalidArgument, "temperature",
       "nan"},
      {[](Request& r) { r.sampling.logit_bias = {{261, 1.0F}}; }, ErrorCode::InvalidArgument,
       "logit_bias", "261"},
      {[](Request& r) { r.prompt = RawPrompt(std::vector<TokenId>{1, -1}); },
       ErrorCode::InvalidArgument, "prompt", "-1"},
      {[](Request& r) { r.prompt = RawPrompt(std::string()); }, ErrorCode::InvalidArgument,
       "prompt", "no tokens"},
      {[](Request& r) { r.prompt = chat::Conversation(); }, ErrorCode::InvalidArgument, "messages",
       "empty"},
      {[](Request& r) { r.timeout = Duration::zero(); }, ErrorCode::InvalidArgument, "timeout",
       "more than 0"},
      {[](Request& r) {
         r.echo = true;
         r.logprobs = 0;
       },
       ErrorCode::Unsupported, "echo", "logprobs"},
  };
  for (const Case& wrong : cases) {
    Request request = completion("a");
    wrong.change(request);
    const Error error = refusal(std::move(request));
    EXPECT_EQ(error.code, wrong.code) << error.message;
    EXPECT_EQ(error.param, wrong.param) << error.message;
    EXPECT_THAT(error.message, HasSubstr(wrong.says));
  }
  Request image = chat("look");
  std::get<chat::Conversation>(image.prompt)
      .messages[0]
      .content->push_back({chat::ContentPart::Kind::Image, {}, "image/png", "x"});
  const Error error = refusal(std::move(image));
  EXPECT_EQ(error.code, ErrorCode::Unsupported);
  EXPECT_THAT(error.message, HasSubstr("fake takes no images"));

  EXPECT_EQ(metrics_.sum(Metric::RequestsTotal, "rejected"), std::size(cases) + 1);
  EXPECT_EQ(service_->active(), 0U);
  EXPECT_EQ(ask(completion("a", 3)).end.end.outcome, Outcome::Done);
}

TEST_F(LocalServiceTest, TooLongAPromptSaysBothNumbers) {
  ServiceOptions options;
  options.context_size = 100;
  open({}, options);
  EXPECT_EQ(ask(completion(std::string(99, 'a'), 50)).end.end.usage.completion_tokens, 1U);
  const Error error = refusal(completion(std::string(100, 'a')));
  EXPECT_EQ(error.code, ErrorCode::ContextExceeded);
  EXPECT_THAT(error.message, HasSubstr("has 100 tokens"));
  EXPECT_THAT(error.message, HasSubstr("holds 100"));
}

TEST_F(LocalServiceTest, AFullHouseIsRefusedUntilThereIsRoom) {
  backend::FakeOptions fake;
  fake.manual = true;
  ServiceOptions options;
  options.requests_max = 2;
  open(fake, options);
  auto first = service_->start(completion("a", 1));
  auto second = service_->start(completion("b", 1));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(service_->active(), 2U);
  EXPECT_EQ(metrics_.gauge(Metric::QueuedRequests), 2);
  const Error error = refusal(completion("c"));
  EXPECT_EQ(error.code, ErrorCode::QueueFull);
  EXPECT_THAT(error.message, HasSubstr("2 is the limit"));
  engine().advance(1);
  EXPECT_EQ(read_all(**first).end.end.outcome, Outcome::Done);
  EXPECT_TRUE(service_->start(completion("c", 1)));
}

// --- loading ---

TEST_F(LocalServiceTest, ReadyOnlyAfterAToken) {
  backend::FakeOptions fake;
  fake.hold_load = true;
  fake.manual = true;
  begin(fake);
  EXPECT_FALSE(service_->ready());
  EXPECT_TRUE(becomes("tiny", ModelState::Loading));
  engine().release_load();
  EXPECT_FALSE(service_->ready());  // loaded or not, it has made no token
  engine().advance(1);
  ASSERT_TRUE(service_->wait_until_ready(clock_.now() + std::chrono::minutes(1)));
  EXPECT_TRUE(service_->ready());
  const auto info = service_->model("tiny");
  EXPECT_EQ(info->state, ModelState::Ready);
  EXPECT_EQ(info->context_size, 512U);
  EXPECT_EQ(info->architecture, "llama");
  EXPECT_EQ(info->backend, "fake");
  EXPECT_NE(info->chat_template, "");
}

// Who waits hears of what, and how far it is; so do those who only look.
TEST_F(LocalServiceTest, ALoadThatIsWaitedForSaysHowFarItIs) {
  backend::FakeOptions fake;
  fake.hold_load = true;
  begin(fake);
  auto generation = service_->start(completion("a", 1));
  ASSERT_TRUE(generation);
  Reader reader(**generation);
  const auto next_wait = [&] {
    const auto delta = reader.next();
    const auto* wait = delta ? std::get_if<WaitDelta>(&*delta) : nullptr;
    EXPECT_NE(wait, nullptr);
    return wait == nullptr ? WaitDelta{} : *wait;
  };
  WaitDelta wait = next_wait();
  EXPECT_EQ(wait.what, WaitDelta::For::Load);
  EXPECT_EQ(wait.model, "tiny");
  EXPECT_FALSE(wait.percent);
  engine().set_load_progress({42, 100});
  for (int i = 0; i < 60 && !wait.percent; ++i) {
    clock_.advance(std::chrono::seconds(1));
    wait = next_wait();
  }
  EXPECT_EQ(wait.percent, 42U);
  EXPECT_GE(wait.waited, std::chrono::seconds(1));
  // What those see who only look follows a moment later.
  EXPECT_TRUE(eventually([&] { return service_->model("tiny")->load_percent.has_value(); }));
  EXPECT_EQ(service_->model("tiny")->load_percent, 42U);
  EXPECT_EQ(service_->instances().at(0).load_percent, 42U);
  engine().release_load();
  while (auto delta = reader.next()) {
    if (std::holds_alternative<EndDelta>(*delta)) break;
  }
  EXPECT_TRUE(eventually([&] { return !service_->model("tiny")->load_percent; }));
}

TEST_F(LocalServiceTest, WhatAModelTookIsKnownToTheNextServer) {
  constexpr std::uint64_t kTook = 5 << 20;
  const std::string path = (folder_.path() / "state" / "memory.json").string();
  ServiceOptions options;
  options.learned_memory = models::LearnedMemory::open(path);
  backend::FakeOptions fake;
  fake.memory_bytes = kTook;
  open(fake, options);
  options = {};
  service_.reset();

  options.models = {(folder_.path() / "tiny.gguf").string()};
  options.learned_memory = models::LearnedMemory::open(path);
  fake.memory_bytes = 0;
  fake.hold_load = true;
  begin(fake, std::move(options));
  ASSERT_TRUE(becomes("tiny", ModelState::Loading));
  EXPECT_EQ(service_->instances().at(0).memory_bytes, kTook);
  engine(1).release_load();
}

TEST_F(LocalServiceTest, AModelThatMakesNoTokenIsNotReady) {
  backend::FakeOptions fake;
  fake.faults.hang_at_token = 0;
  ServiceOptions options;
  options.self_test_time_max = std::chrono::seconds(5);
  begin(fake, options);
  auto ready = std::async(std::launch::async, [this] {
    return service_->wait_until_ready(clock_.now() + std::chrono::years(100));
  });
  // The self test begins when it begins: so time goes on until it is over.
  while (ready.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
    clock_.advance(std::chrono::seconds(1));
  }
  const auto outcome = ready.get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::Timeout);
  EXPECT_THAT(outcome.error().message, HasSubstr("made no token within 5 s"));
  EXPECT_FALSE(service_->ready());
}

TEST_F(LocalServiceTest, LoadsOnFirstUseAndOnlyOnce) {
  backend::FakeOptions fake;
  fake.hold_load = true;
  ServiceOptions options;
  options.preload = false;
  begin(fake, options);
  EXPECT_TRUE(service_->ready());
  EXPECT_EQ(engine_count(), 0U);
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(
        [this] { EXPECT_EQ(ask(completion("a", 5)).end.end.usage.completion_tokens, 5U); });
  }
  engine().release_load();
  for (auto& client : clients) client.join();
  EXPECT_EQ(engine_count(), 1U);
  EXPECT_EQ(engine().loads(), 1U);
}

TEST_F(LocalServiceTest, AModelOfTheFolderIsServedUnderItsName) {
  open();
  add_model("other", {.architecture = "gemma3"});
  Request request = completion("a", 5);
  request.model = "other";
  EXPECT_EQ(ask(request).end.model, "other");
  EXPECT_EQ(engine_count(), 2U);
  const auto models = service_->models();
  ASSERT_EQ(models.size(), 2U);
  EXPECT_EQ(models[0].name, "tiny");
  EXPECT_EQ(models[1].name, "other");
  EXPECT_TRUE(becomes("other", ModelState::Ready));
  EXPECT_EQ(models[1].architecture, "gemma3");
}

TEST_F(LocalServiceTest, TheNumberOfLoadedModelsHasABound) {
  ServiceOptions options;
  options.models_max = 1;
  open({}, options);
  add_model("other", {});
  for (const std::string name : {"other", "tiny", "other"}) {
    Request request = completion("a", 5);
    request.model = name;
    EXPECT_EQ(ask(request).end.end.outcome, Outcome::Done);
    EXPECT_EQ(service_->instances().size(), 1U);
  }
  EXPECT_EQ(metrics_.sum(Metric::ModelEvictionsTotal), 3);
}

TEST_F(LocalServiceTest, WhoWaitsForALoadingModelWaitsNotForEver) {
  backend::FakeOptions fake;
  fake.hold_load = true;
  begin(fake);
  Request request = completion("a", 5);
  request.timeout = std::chrono::seconds(3);
  std::optional<Error> error;
  std::thread client([&] { error = refusal(request); });
  EXPECT_TRUE(eventually([&] { return service_->active() != 0; }));
  clock_.advance(std::chrono::seconds(4));
  client.join();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, ErrorCode::Timeout);
  EXPECT_THAT(error->message, AnyOf(HasSubstr("time limit of 3.0 s"), HasSubstr("still loading")));
  EXPECT_EQ(service_->active(), 0U);
  engine().release_load();
}

TEST_F(LocalServiceTest, AFailedLoadIsSaidAndTriedAgain) {
  backend::FakeOptions fake;
  fake.faults.load = Error{ErrorCode::OutOfMemory, "needs 9 GB, 1 GB are free", {}, "fake"};
  ServiceOptions options;
  options.preload = false;
  begin(fake, options);
  const Error first = refusal(completion("a"));
  EXPECT_EQ(first.code, ErrorCode::OutOfMemory);
  EXPECT_EQ(first.message, "model 'tiny': needs 9 GB, 1 GB are free");
  EXPECT_EQ(service_->model("tiny")->state, ModelState::Failed);
  EXPECT_THAT(service_->models()[0].problem, HasSubstr("9 GB"));
  EXPECT_EQ(refusal(completion("a")).code, ErrorCode::OutOfMemory);
  // Twice in a row: whoever comes now is told when to come again, and may then try.
  const Error soon = refusal(completion("a"));
  EXPECT_EQ(soon.code, ErrorCode::Unavailable);
  EXPECT_EQ(soon.retry_after, std::chrono::seconds(1));
  kind_->set_faults({});
  clock_.advance(std::chrono::seconds(1));
  EXPECT_TRUE(
      eventually([&] { return !service_->explain_route(completion("a"))->backend.empty(); }));
  EXPECT_EQ(ask(completion("a", 5)).end.end.outcome, Outcome::Done);
}

TEST_F(LocalServiceTest, AnEngineThatDiedIsLoadedAgain) {
  open();
  backend::FakeFaults faults;
  faults.die_at_token = 3;
  engine().set_faults(faults);
  const Answer answer = ask(completion("a", 20));
  EXPECT_EQ(answer.end.end.outcome, Outcome::Failed);
  EXPECT_THAT(answer.error().message, HasSubstr("died"));
  EXPECT_EQ(answer.error().origin, "fake");
  EXPECT_FALSE(answer.finish.contains(0));
  EXPECT_EQ(metrics_.sum(Metric::RequestsTotal, "error"), 1);
  // By a new engine, which has no faults; the dead one may be gone by now.
  EXPECT_EQ(ask(completion("a", 20)).end.end.outcome, Outcome::Done);
  EXPECT_EQ(engine_count(), 2U);
}

TEST_F(LocalServiceTest, BrokenAndUnknownModelsAreRefusedAtTheStart) {
  const auto open_with = [&](std::vector<std::string> models) {
    ServiceOptions options;
    options.models = std::move(models);
    Engines engines;
    engines.kinds = {fake_kind("fake", {})};
    ModelSources sources{std::make_shared<models::ModelStore>(std::vector{folder_.path().string()}),
                         std::make_shared<models::VocabularyCache>()};
    const auto opened =
        LocalService::open(std::move(options), std::move(engines), sources, clock_, metrics_);
    EXPECT_FALSE(opened);
    return opened ? Error{} : opened.error();
  };
  EXPECT_EQ(open_with({"nothing"}).code, ErrorCode::NotFound);
  EXPECT_EQ(open_with({"/nonexistent.gguf"}).code, ErrorCode::NotFound);
  const auto broken = folder_.path() / "broken.gguf";
  test::write_file(broken, std::vector<std::byte>(100));
  EXPECT_EQ(open_with({broken.string()}).code, ErrorCode::InvalidModel);
  const test::TempFolder elsewhere;
  const std::string path = add_model("twin", {});
  std::filesystem::copy(path, elsewhere.path() / "twin.gguf");
  const Error twice = open_with({path, (elsewhere.path() / "twin.gguf").string()});
  EXPECT_EQ(twice.code, ErrorCode::InvalidArgument);
  EXPECT_THAT(twice.message, HasSubstr("two models are called 'twin'"));
}

// --- ends of all kinds ---

TEST_F(LocalServiceTest, ATimeLimitEndsTheAnswer) {
  backend::FakeOptions fake;
  fake.manual = true;
  open(fake);
  Request request = completion("a", 50);
  request.timeout = std::chrono::seconds(30);
  auto generation = service_->start(request);
  ASSERT_TRUE(generation);
  engine().advance(3);
  Reader reader(**generation);
  for (int texts = 0; texts < 3;) {
    const auto delta = reader.next();
    ASSERT_TRUE(delta);
    texts += std::holds_alternative<TextDelta>(*delta) ? 1 : 0;
  }
  clock_.advance(std::chrono::seconds(31));
  const Answer rest = read_all(**generation);
  EXPECT_EQ(rest.end.end.outcome, Outcome::Failed);
  EXPECT_EQ(rest.error().code, ErrorCode::Timeout);
  EXPECT_EQ(rest.end.end.usage.completion_tokens, 3U);
  EXPECT_TRUE(becomes_idle());
}

TEST_F(LocalServiceTest, ATimeLimitHoldsEvenWhereTheEngineHangs) {
  open();
  backend::FakeFaults faults;
  faults.hang_at_token = 0;
  faults.deaf = true;
  engine().set_faults(faults);
  Request request = completion("a", 50);
  request.timeout = std::chrono::seconds(30);
  auto generation = service_->start(request);
  ASSERT_TRUE(generation);
  ASSERT_TRUE(eventually([&] { return engine().running() == 1; }));
  clock_.advance(std::chrono::seconds(31));
  const Answer answer = read_all(**generation);
  EXPECT_EQ(answer.error().code, ErrorCode::Timeout);
  EXPECT_THAT(answer.error().message, HasSubstr("30.0 s"));
  // The client has its answer; the engine's place is taken until the engine lets go.
  generation->reset();
  EXPECT_EQ(service_->active(), 1U);
  engine().unload();
  EXPECT_TRUE(becomes_idle());
}

TEST_F(LocalServiceTest, CancellingAndLeaving) {
  backend::FakeOptions fake;
  fake.manual = true;
  open(fake);
  auto cancelled = service_->start(completion("a"));
  auto left = service_->start(completion("b"));
  ASSERT_TRUE(cancelled && left);
  (*cancelled)->cancel();
  EXPECT_EQ(read_all(**cancelled).end.end.outcome, Outcome::Cancelled);
  left->reset();
  EXPECT_TRUE(becomes_idle());
  EXPECT_EQ(engine().tokens_made(), 1U);  // the self test's
  EXPECT_EQ(metrics_.sum(Metric::RequestsTotal, "cancelled"), 2);
  EXPECT_EQ(metrics_.gauge(Metric::QueuedRequests), 0);
}

TEST_F(LocalServiceTest, DrainingLetsFinishAndThenCuts) {
  backend::FakeOptions fake;
  fake.manual = true;
  open(fake);
  auto quick = service_->start(completion("a", 1));
  auto endless = service_->start(completion("b", 400));
  ASSERT_TRUE(quick && endless);
  service_->drain(std::chrono::seconds(10));
  EXPECT_EQ(refusal(completion("c")).code, ErrorCode::Unavailable);
  engine().advance(1);
  EXPECT_EQ(read_all(**quick).end.end.outcome, Outcome::Done);
  clock_.advance(std::chrono::seconds(11));
  const Answer cut = read_all(**endless);
  EXPECT_EQ(cut.end.end.outcome, Outcome::Failed);
  EXPECT_EQ(cut.error().code, ErrorCode::Unavailable);
  EXPECT_THAT(cut.error().message, HasSubstr("stopping"));
  EXPECT_TRUE(becomes_idle());
}

TEST_F(LocalServiceTest, AGenerationMayOutliveTheService) {
  backend::FakeOptions fake;
  fake.manual = true;
  open(fake);
  Request request = completion("a");
  request.timeout = std::chrono::seconds(30);
  auto generation = service_->start(request);
  ASSERT_TRUE(generation);
  service_.reset();
  EXPECT_EQ(read_all(**generation).error().code, ErrorCode::Unavailable);
}

TEST_F(LocalServiceTest, WhatIsCounted) {
  open();
  ask(completion("12345", 10));
  EXPECT_EQ(metrics_.sum(Metric::PromptTokensTotal), 5);
  EXPECT_EQ(metrics_.sum(Metric::GeneratedTokensTotal), 10);
  EXPECT_EQ(metrics_.observed(Metric::TimeToFirstTokenSeconds), 1);
  EXPECT_EQ(metrics_.observed(Metric::InterTokenLatencySeconds), 9);
  EXPECT_EQ(metrics_.sum(Metric::RequestsTotal, "done"), 1);
  EXPECT_TRUE(becomes_idle());
  EXPECT_EQ(metrics_.gauge(Metric::RunningRequests), 0);
}

}  // namespace
}  // namespace minerva::serve
