#include "conformance/backend_conformance.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include "conformance/recorder.h"

namespace minerva::backend {

using ::testing::HasSubstr;
using Outcome = EndEvent::Outcome;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BackendConformance);

std::unique_ptr<InferenceBackend> BackendConformance::made() { return GetParam().make(clock_); }

std::unique_ptr<InferenceBackend> BackendConformance::loaded() {
  auto engine = made();
  const auto started = engine->start();
  EXPECT_TRUE(started) << started.error().message;
  const auto loaded = engine->load_model(GetParam().spec, GetParam().context_size);
  EXPECT_TRUE(loaded) << loaded.error().message;
  return engine;
}

GenerateRequest BackendConformance::greedy(const InferenceBackend& engine, std::uint64_t max_tokens,
                                           std::string_view text) {
  GenerateRequest request;
  request.id = "conformance";
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  request.ignore_end_of_generation = true;
  if (!tokenizes(engine)) {
    request.prompt.emplace_back(std::string(text));
    return request;
  }
  const auto ids = engine.tokenize(text, {.add_special = true});
  EXPECT_TRUE(ids) << ids.error().message;
  request.prompt.emplace_back(ids ? *ids : std::vector<TokenId>{});
  return request;
}

void BackendConformance::expect_counted(const InferenceBackend& engine, const EndEvent& end,
                                        const GenerateRequest& request) {
  if (tokenizes(engine)) {
    EXPECT_EQ(end.usage.prompt_tokens,
              std::get<std::vector<TokenId>>(request.prompt.front()).size());
  } else {
    EXPECT_GT(end.usage.prompt_tokens, 0U);
  }
  EXPECT_LE(end.usage.cached_tokens, end.usage.prompt_tokens);
}

namespace {

// What a request gets beside others against what it gets alone. Where answers may depend on the
// batch, as many tokens are all that is promised.
void expect_same(const InferenceBackend& engine, const std::vector<TokenId>& beside_others,
                 const std::vector<TokenId>& alone) {
  if (engine.capabilities().load_invariant == Support::Yes) {
    EXPECT_EQ(beside_others, alone);
  } else {
    EXPECT_EQ(beside_others.size(), alone.size());
  }
}

// A stream that pauses its sequence after four events.
std::shared_ptr<GenerationStream> small_stream() { return std::make_shared<GenerationStream>(4); }

// --- lifecycle ---

TEST_P(BackendConformance, DoesNothingWithoutAModel) {
  const auto engine = made();
  EXPECT_TRUE(engine->start());
  EXPECT_FALSE(engine->is_loaded());
  EXPECT_EQ(engine->context_size(), 0U);
  EXPECT_GE(engine->thread_count(), 1U);
  EXPECT_NE(engine->probe().health, Health::Ready);
  EXPECT_FALSE(engine->name().empty());

  GenerateRequest request;
  request.prompt.emplace_back(std::vector<TokenId>{1});
  const auto stream = std::make_shared<GenerationStream>();
  const auto refused = engine->generate(std::move(request), stream);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Unavailable);
  EXPECT_FALSE(stream->try_pop());
  EXPECT_FALSE(engine->tokenize("a", {}));
  EXPECT_FALSE(engine->detokenize(std::vector<TokenId>{1}));
  EXPECT_TRUE(engine->unload_model());
}

TEST_P(BackendConformance, LoadsUnloadsAndLoadsAgain) {
  const auto engine = loaded();
  EXPECT_TRUE(engine->is_loaded());
  EXPECT_EQ(engine->context_size(), GetParam().context_size);
  EXPECT_EQ(engine->probe().health, Health::Ready);
  const auto first = run(*engine, greedy(*engine, 8)).ids();

  // One model at a time: a second one is refused and leaves the first alone.
  EXPECT_FALSE(engine->load_model(GetParam().spec, GetParam().context_size));
  EXPECT_EQ(run(*engine, greedy(*engine, 8)).ids(), first);

  EXPECT_TRUE(engine->unload_model());
  EXPECT_FALSE(engine->is_loaded());
  EXPECT_EQ(engine->context_size(), 0U);
  EXPECT_TRUE(engine->load_model(GetParam().spec, GetParam().context_size));
  EXPECT_EQ(run(*engine, greedy(*engine, 8)).ids(), first);

  engine->stop(Duration::zero());
  EXPECT_FALSE(engine->is_loaded());
}

TEST_P(BackendConformance, AMissingFileIsAnErrorThatNamesIt) {
  if (!GetParam().reads_files) GTEST_SKIP() << "NOT RUN: this backend reads no files";
  const auto engine = made();
  EXPECT_TRUE(engine->start());
  ModelSpec spec = GetParam().spec;
  spec.path = "/nonexistent/model.gguf";
  const auto loaded = engine->load_model(spec, 0);
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, HasSubstr("/nonexistent/model.gguf"));
  EXPECT_FALSE(engine->is_loaded());
}

TEST_P(BackendConformance, UnloadingEndsWhatRuns) {
  const auto engine = loaded();
  std::vector<std::shared_ptr<GenerationStream>> streams;
  for (int i = 0; i < 3; ++i) {
    streams.push_back(small_stream());
    ASSERT_TRUE(engine->generate(greedy(*engine, 100), streams.back()));
  }
  EXPECT_TRUE(engine->unload_model());
  for (const auto& stream : streams) {
    const Recording recording = record(*stream);
    ASSERT_TRUE(recording.end);
    EXPECT_NE(recording.end->outcome, Outcome::Done);
  }
}

// --- what a generation gives ---

TEST_P(BackendConformance, GivesSoManyTokensAndCountsThem) {
  const auto engine = loaded();
  for (const std::uint64_t max_tokens : {1U, 2U, 33U}) {
    const GenerateRequest request = greedy(*engine, max_tokens);
    const Recording got = run(*engine, request);
    ASSERT_TRUE(got.end);
    EXPECT_EQ(got.end->outcome, Outcome::Done);
    EXPECT_FALSE(got.end->error);
    EXPECT_EQ(got.token_count(), max_tokens);
    EXPECT_EQ(got.reasons, (std::map<std::uint32_t, FinishReason>{{0, FinishReason::Length}}));
    EXPECT_EQ(got.end->usage.completion_tokens, max_tokens);
    expect_counted(*engine, *got.end, request);
    EXPECT_EQ(got.end->engine, engine->name());
  }
}

// OpenAI counts what was generated, and that was.
TEST_P(BackendConformance, TheTokenThatEndsAnAnswerCounts) {
  if (!GetParam().end_token) GTEST_SKIP() << "NOT RUN: nobody knows which token ends an answer";
  const auto engine = loaded();
  GenerateRequest request = greedy(*engine, 8);
  request.ignore_end_of_generation = false;
  request.sampling.logit_bias = {{GetParam().end_token(*engine), 1000.0F}};
  const Recording got = run(*engine, request);
  ASSERT_TRUE(got.end);
  EXPECT_EQ(got.end->outcome, Outcome::Done);
  EXPECT_EQ(got.reasons, (std::map<std::uint32_t, FinishReason>{{0, FinishReason::Stop}}));
  EXPECT_EQ(got.bytes(), "");
  EXPECT_EQ(got.end->usage.completion_tokens, 1U);
}

TEST_P(BackendConformance, BytesAreThoseOfTheTokens) {
  const auto engine = loaded();
  const Recording got = run(*engine, greedy(*engine, 64));
  if (!got.has_ids()) GTEST_SKIP() << "NOT RUN: this engine gives no token ids";
  std::vector<TokenId> with_text;
  for (const TokenEvent& token : got.tokens.at(0)) {
    ASSERT_TRUE(token.id);
    // Control tokens have no text in an answer.
    if (!token.bytes.empty()) with_text.push_back(*token.id);
  }
  EXPECT_EQ(engine->detokenize(with_text).value(), got.bytes());
}

TEST_P(BackendConformance, TextGoesToTokensAndBack) {
  const auto engine = loaded();
  if (!tokenizes(*engine)) GTEST_SKIP() << "NOT RUN: this engine does not tokenize";
  for (const std::string text : {"Hello, world!", "a", " two  spaces ", "line\nbreak\ttab",
                                 "é漢😀 and more", "0123456789"}) {
    const auto ids = engine->tokenize(text, {});
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_FALSE(ids->empty());
    EXPECT_EQ(engine->detokenize(*ids).value(), text);
  }
  EXPECT_TRUE(engine->tokenize("", {})->empty());
}

// Special tokens are added to a text as the model asks.
TEST_P(BackendConformance, ATextPromptIsItsTokens) {
  const auto engine = loaded();
  if (engine->capabilities().text_prompts == Support::No || !tokenizes(*engine)) {
    GTEST_SKIP() << "NOT RUN: this backend takes no text, or nothing else";
  }
  const GenerateRequest by_tokens = greedy(*engine, 16);
  GenerateRequest by_text = by_tokens;
  by_text.prompt = {std::string("The quick brown fox")};
  EXPECT_EQ(run(*engine, by_text).ids(), run(*engine, by_tokens).ids());
}

TEST_P(BackendConformance, GreedyAnswersAreAlwaysTheSame) {
  const auto engine = loaded();
  const auto first = run(*engine, greedy(*engine, 48)).ids();
  EXPECT_EQ(run(*engine, greedy(*engine, 48)).ids(), first);
  EXPECT_NE(run(*engine, greedy(*engine, 48, "Something else")).ids(), first);
  const auto other = loaded();
  EXPECT_EQ(run(*other, greedy(*other, 48)).ids(), first);
}

TEST_P(BackendConformance, TheSameSeedGivesTheSameAnswer) {
  const auto engine = loaded();
  if (engine->capabilities().seed == Support::No) GTEST_SKIP() << "NOT RUN: no seeds";
  GenerateRequest request = greedy(*engine, 48);
  request.sampling.temperature = 1.5F;
  request.sampling.seed = 7;
  const Recording first = run(*engine, request);
  EXPECT_EQ(first.end->seed, 7U);
  EXPECT_EQ(run(*engine, request).ids(), first.ids());
  request.sampling.seed = 8;
  EXPECT_NE(run(*engine, request).ids(), first.ids());
  if (engine->capabilities().seed != Support::Yes) return;
  // A seed that the backend drew itself can be asked for again.
  request.sampling.seed.reset();
  const Recording drawn = run(*engine, request);
  request.sampling.seed = drawn.end->seed;
  EXPECT_EQ(run(*engine, request).ids(), drawn.ids());
}

TEST_P(BackendConformance, SeveralChoicesOfOnePrompt) {
  const auto engine = loaded();
  if (engine->capabilities().choices_max < 3) GTEST_SKIP() << "NOT RUN: one choice only";
  GenerateRequest request = greedy(*engine, 24);
  request.n = 3;
  request.sampling.temperature = 1.5F;
  request.sampling.seed = 1;
  const Recording got = run(*engine, request);
  ASSERT_EQ(got.tokens.size(), 3U);
  EXPECT_EQ(got.reasons.size(), 3U);
  for (std::uint32_t i = 0; i < 3 && got.has_ids(); ++i) EXPECT_EQ(got.ids(i).size(), 24U);
  EXPECT_NE(got.ids(0), got.ids(1));
  EXPECT_NE(got.ids(1), got.ids(2));
  EXPECT_EQ(got.end->usage.completion_tokens, 72U);
  expect_counted(*engine, *got.end, request);
  const Recording again = run(*engine, request);
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(again.ids(i), got.ids(i));
}

TEST_P(BackendConformance, LogprobsAreThoseOfADistribution) {
  const auto engine = loaded();
  if (engine->capabilities().logprobs == Support::No) GTEST_SKIP() << "NOT RUN: no logprobs";
  GenerateRequest request = greedy(*engine, 16);
  const auto without = run(*engine, request);
  for (const TokenEvent& token : without.tokens.at(0)) {
    EXPECT_FALSE(token.logprob);
    EXPECT_TRUE(token.top.empty());
  }
  request.logprobs = 3;
  const auto got = run(*engine, request);
  EXPECT_EQ(got.ids(), without.ids());
  for (const TokenEvent& token : got.tokens.at(0)) {
    ASSERT_TRUE(token.logprob);
    EXPECT_LE(*token.logprob, 1e-4F);
    ASSERT_LE(token.top.size(), 3U);
    ASSERT_FALSE(token.top.empty());
    EXPECT_EQ(token.top.front().id, *token.id);  // greedy takes the likeliest
    EXPECT_EQ(token.top.front().logprob, *token.logprob);
    double sum = 0;
    for (const TokenLogprob& likely : token.top)
      sum += std::exp(static_cast<double>(likely.logprob));
    EXPECT_LE(sum, 1.001);
    EXPECT_TRUE(std::ranges::is_sorted(token.top, std::greater{}, &TokenLogprob::logprob));
  }
  request.logprobs = 0;
  const Recording chosen_only = run(*engine, request);
  for (const TokenEvent& token : chosen_only.tokens.at(0)) {
    EXPECT_TRUE(token.logprob);
    EXPECT_TRUE(token.top.empty());
  }
}

TEST_P(BackendConformance, LogitBiasForcesAndForbids) {
  const auto engine = loaded();
  if (engine->capabilities().logit_bias == Support::No) GTEST_SKIP() << "NOT RUN: no logit_bias";
  GenerateRequest request = greedy(*engine, 1);
  const Recording first = run(*engine, request);
  if (!first.has_ids()) {
    request.sampling.logit_bias = {{engine->tokenize("x", {})->front(), 1000.0F}};
    EXPECT_EQ(run(*engine, request).bytes(), "x");
    return;
  }
  const TokenId usual = first.ids().at(0);
  request.sampling.logit_bias = {{usual, -1000.0F}};
  const TokenId other = run(*engine, request).ids().at(0);
  EXPECT_NE(other, usual);
  const TokenId forced = engine->tokenize("x", {})->front();
  request.sampling.logit_bias = {{forced, 1000.0F}};
  EXPECT_EQ(run(*engine, request).ids().at(0), forced);
}

TEST_P(BackendConformance, GoesOnBehindAResumePrefix) {
  const auto engine = loaded();
  GenerateRequest request = greedy(*engine, 24);
  const Recording first = run(*engine, request);
  if (!first.has_ids()) GTEST_SKIP() << "NOT RUN: this engine gives no token ids to go on behind";
  const auto whole = first.ids();
  request.resume_prefix.assign(whole.begin(), whole.begin() + 9);
  const Recording rest = run(*engine, request);
  EXPECT_EQ(rest.ids(), std::vector<TokenId>(whole.begin() + 9, whole.end()));
  EXPECT_EQ(rest.end->usage.completion_tokens, 15U);
}

// --- limits ---

TEST_P(BackendConformance, APromptThatLeavesNoRoomIsRefusedWithBothNumbers) {
  const auto engine = loaded();
  const std::size_t context = engine->context_size();
  if (context == 0) GTEST_SKIP() << "NOT RUN: this engine does not say its context";
  const TokenId token = engine->tokenize("a", {})->front();
  for (const std::size_t length : {context, context + 7}) {
    GenerateRequest request = greedy(*engine, 1);
    request.prompt = {std::vector<TokenId>(length, token)};
    const auto refused = engine->generate(std::move(request), small_stream());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::ContextExceeded);
    EXPECT_THAT(refused.error().message, HasSubstr(std::to_string(length)));
    EXPECT_THAT(refused.error().message, HasSubstr(std::to_string(context)));
  }
}

TEST_P(BackendConformance, AFullContextEndsWithLength) {
  const auto engine = loaded();
  if (engine->context_size() == 0) {
    GTEST_SKIP() << "NOT RUN: this engine does not say its context";
  }
  GenerateRequest request = greedy(*engine, 1);
  // Of a text, since an engine without token prompts is given one.
  std::string text = "a";
  std::vector<TokenId> ids;
  while (ids.size() < engine->context_size() - 5) {
    text += " a";
    ids = *engine->tokenize(text, {});
  }
  ids.resize(engine->context_size() - 5);
  request.prompt = {ids};
  for (const bool limited : {false, true}) {
    request.max_tokens = limited ? std::optional<std::uint64_t>(1000) : std::nullopt;
    const Recording got = run(*engine, request);
    EXPECT_EQ(got.token_count(), 5U);
    EXPECT_EQ(got.reasons.at(0), FinishReason::Length);
    EXPECT_EQ(got.end->outcome, Outcome::Done);
  }
}

TEST_P(BackendConformance, WhatCannotBeDoneIsRefusedAtOnce) {
  const auto engine = loaded();
  const auto refused = [&](auto change) {
    GenerateRequest request = greedy(*engine, 1);
    change(request);
    const auto stream = std::make_shared<GenerationStream>();
    const auto result = engine->generate(std::move(request), stream);
    EXPECT_FALSE(result);
    EXPECT_FALSE(stream->try_pop());
    return result ? std::string() : result.error().message;
  };
  const Capabilities can = engine->capabilities();
  EXPECT_NE(refused([](auto& r) { r.prompt.clear(); }), "");
  EXPECT_NE(refused([](auto& r) { r.prompt = {std::vector<TokenId>{}}; }), "");
  // One that knows no tokens takes none at all.
  const std::string number = tokenizes(*engine) ? "1000000000" : "";
  EXPECT_THAT(refused([](auto& r) { r.prompt = {std::vector<TokenId>{1'000'000'000}}; }),
              HasSubstr(number));
  EXPECT_NE(refused([](auto& r) { r.prompt = {std::vector<TokenId>{-1}}; }), "");
  EXPECT_THAT(refused([](auto& r) { r.sampling.logit_bias = {{1'000'000'000, 1.0F}}; }),
              HasSubstr(number));
  EXPECT_NE(refused([](auto& r) { r.n = 0; }), "");
  EXPECT_NE(refused([&](auto& r) { r.n = can.choices_max + 1; }), "");
  if (can.images == Support::No) {
    EXPECT_NE(refused([](auto& r) { r.prompt = {EmbeddingBlock{{1.0F}, 1}}; }), "");
  }
  if (can.constraints == Support::No) {
    EXPECT_NE(refused([](auto& r) { r.constraint = ConstraintSpec{}; }), "");
  }
  // None of it has harmed the engine.
  EXPECT_EQ(run(*engine, greedy(*engine, 4)).token_count(), 4U);
}

// --- cancelling, slow readers, deadlines, many at once ---

TEST_P(BackendConformance, CancelledBeforeItBegins) {
  const auto engine = loaded();
  const auto stream = small_stream();
  stream->cancel();
  ASSERT_TRUE(engine->generate(greedy(*engine, 100), stream));
  const Recording got = record(*stream);
  EXPECT_EQ(got.end->outcome, Outcome::Cancelled);
  EXPECT_EQ(got.token_count(), 0U);
}

TEST_P(BackendConformance, CancelledWhileItRuns) {
  const auto engine = loaded();
  const auto alone = run(*engine, greedy(*engine, 32)).ids();
  for (int round = 0; round < 5; ++round) {
    const auto cancelled = small_stream();
    ASSERT_TRUE(engine->generate(greedy(*engine, 200), cancelled));
    const auto other = std::make_shared<GenerationStream>();
    ASSERT_TRUE(engine->generate(greedy(*engine, 32), other));
    while (const auto event = cancelled->pop_for(std::chrono::minutes(1))) {
      if (std::holds_alternative<TokenEvent>(*event)) break;
    }
    cancelled->cancel();
    const Recording got = record(*cancelled);
    EXPECT_EQ(got.end->outcome, Outcome::Cancelled);
    EXPECT_LT(got.end->usage.completion_tokens, 200U);
    // Its neighbour notices nothing.
    expect_same(*engine, record(*other).ids(), alone);
  }
}

TEST_P(BackendConformance, ASlowReaderPausesOnlyItself) {
  const auto engine = loaded();
  const auto alone = run(*engine, greedy(*engine, 60)).ids();
  const auto slow = small_stream();
  ASSERT_TRUE(engine->generate(greedy(*engine, 60), slow));
  // The neighbours go on while nobody reads the slow one, and take more steps than it would need.
  for (int i = 0; i < 3; ++i) EXPECT_EQ(run(*engine, greedy(*engine, 100)).token_count(), 100U);
  EXPECT_TRUE(slow->paused());
  const Recording got = record(*slow);
  expect_same(*engine, got.ids(), alone);  // nothing lost, nothing twice
  EXPECT_EQ(got.end->outcome, Outcome::Done);
}

TEST_P(BackendConformance, ADeadlineEndsARequest) {
  const auto engine = loaded();
  GenerateRequest late = greedy(*engine, 100);
  late.deadline = clock_.now() - std::chrono::seconds(1);
  const auto stream = std::make_shared<GenerationStream>();
  if (const auto accepted = engine->generate(std::move(late), stream); !accepted) {
    EXPECT_EQ(accepted.error().code, ErrorCode::Timeout);
  } else {
    const Recording got = record(*stream);
    EXPECT_EQ(got.end->outcome, Outcome::Failed);
    EXPECT_EQ(got.end->error.value().code, ErrorCode::Timeout);
    EXPECT_LT(got.token_count(), 100U);
  }

  // One that passes while the request runs; the unread stream keeps it from finishing before.
  GenerateRequest timed = greedy(*engine, 100);
  timed.deadline = clock_.now() + std::chrono::hours(1);
  const auto unread = small_stream();
  ASSERT_TRUE(engine->generate(std::move(timed), unread));
  clock_.advance(std::chrono::hours(2));
  const Recording got = record(*unread);
  EXPECT_EQ(got.end->outcome, Outcome::Failed);
  EXPECT_EQ(got.end->error.value().code, ErrorCode::Timeout);
  EXPECT_LT(got.token_count(), 100U);
}

TEST_P(BackendConformance, AVectorIsThatOfItsTextAloneOrThereIsNone) {
  const auto engine = loaded();
  EmbedRequest request;
  const bool takes_tokens = engine->capabilities().token_prompts != Support::No;
  for (std::size_t i = 0; i < 20; ++i) {
    const std::string text = "Text " + std::string(i * 3, 'x');
    if (!takes_tokens) {
      request.inputs.emplace_back(text);
      continue;
    }
    const auto ids = engine->tokenize(text, {.add_special = true});
    ASSERT_TRUE(ids);
    request.inputs.emplace_back(*ids);
  }
  const auto stream = std::make_shared<GenerationStream>();
  const auto taken = engine->embed(request, stream);
  if (engine->capabilities().embeddings == Support::No) {
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ErrorCode::Unsupported);
    return;
  }
  ASSERT_TRUE(taken) << taken.error().message;
  const Recording together = record(*stream);
  ASSERT_EQ(together.end->outcome, Outcome::Done);
  ASSERT_EQ(together.vectors.size(), request.inputs.size());
  std::size_t tokens = 0;
  for (std::uint32_t i = 0; i < request.inputs.size(); ++i) {
    EmbedRequest one;
    one.inputs.push_back(request.inputs[i]);
    const auto own = std::make_shared<GenerationStream>();
    ASSERT_TRUE(engine->embed(one, own));
    const Recording alone = record(*own);
    ASSERT_EQ(alone.vectors.size(), 1U);
    if (takes_tokens) {
      EXPECT_EQ(alone.end->usage.prompt_tokens,
                std::get<std::vector<TokenId>>(request.inputs[i]).size());
    }
    tokens += alone.end->usage.prompt_tokens;
    EXPECT_EQ(alone.vectors.at(0), together.vectors.at(i)) << "input " << i;
    EXPECT_EQ(together.vectors.at(i).size(), together.vectors.at(0).size());
    if (i > 0) {
      EXPECT_NE(together.vectors.at(i), together.vectors.at(i - 1));
    }
  }
  EXPECT_GT(tokens, 20U);
  EXPECT_EQ(together.end->usage.prompt_tokens, tokens);
  EXPECT_FALSE(engine->embed({}, std::make_shared<GenerationStream>())) << "nothing to embed";
}

TEST_P(BackendConformance, AVectorThatNobodyWaitsForEndsToo) {
  const auto engine = loaded();
  if (engine->capabilities().embeddings == Support::No) {
    GTEST_SKIP() << "NOT RUN: this engine makes no embeddings";
  }
  EmbedRequest request;
  request.inputs.emplace_back(std::string("a text"));
  const auto stream = std::make_shared<GenerationStream>();
  stream->cancel();
  ASSERT_TRUE(engine->embed(std::move(request), stream));
  const Recording got = record(*stream);
  EXPECT_EQ(got.end->outcome, Outcome::Cancelled);
  EXPECT_TRUE(got.vectors.empty());
}

TEST_P(BackendConformance, SixteenAtOnceGetWhatEachGetsAlone) {
  const auto engine = loaded();
  constexpr std::size_t kRequests = 16;
  const bool sampled = engine->capabilities().load_invariant == Support::Yes;
  std::vector<GenerateRequest> requests;
  for (std::size_t i = 0; i < kRequests; ++i) {
    requests.push_back(greedy(*engine, 20 + i, "Request " + std::string(i, 'x')));
    if (sampled && i % 2 == 1) {
      requests.back().sampling.temperature = 1.0F;
      requests.back().sampling.seed = i;
    }
  }
  std::vector<std::vector<TokenId>> alone;
  for (const auto& request : requests) alone.push_back(run(*engine, request).ids());
  std::vector<std::shared_ptr<GenerationStream>> streams;
  for (const auto& request : requests) {
    streams.push_back(std::make_shared<GenerationStream>());
    ASSERT_TRUE(engine->generate(request, streams.back()));
  }
  std::size_t same = 0;
  for (std::size_t i = 0; i < kRequests; ++i) {
    const auto ids = record(*streams[i]).ids();
    expect_same(*engine, ids, alone[i]);
    same += ids == alone[i] ? 1 : 0;
  }
  // Rounding tips a near tie now and then; answers that were mixed up would all be others.
  EXPECT_GT(same, kRequests / 2);
}

}  // namespace
}  // namespace minerva::backend
