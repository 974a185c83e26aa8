#include "serve/route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace minerva::serve {
namespace {

using backend::Support;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

RouteCandidate engine(std::string name) {
  RouteCandidate candidate;
  candidate.name = std::move(name);
  candidate.can.token_prompts = Support::Yes;
  return candidate;
}

std::vector<std::string> names(const Result<RoutePlan>& plan,
                               const std::vector<RouteCandidate>& engines) {
  std::vector<std::string> out;
  if (!plan) return {plan.error().message};
  for (const RouteChoice& choice : plan->choices) out.push_back(engines[choice.candidate].name);
  return out;
}

TEST(Route, AllThatCanAreTriedInTheMachinesOrder) {
  std::vector<RouteCandidate> engines = {engine("native"), engine("vision"), engine("blind")};
  engines[1].can.images = Support::BestEffort;
  const auto plain = plan_route({}, engines);
  EXPECT_THAT(names(plain, engines), ElementsAre("native", "vision", "blind"));
  EXPECT_EQ(plain->choices[0].reason, "the first engine that can do it");

  RouteAsks asks;
  asks.images = true;
  const auto images = plan_route(asks, engines);
  EXPECT_THAT(names(images, engines), ElementsAre("vision"));
  EXPECT_EQ(images->choices[0].reason, "native takes no images");
  ASSERT_EQ(images->steps.size(), 3U);
  EXPECT_FALSE(images->steps[0].usable);
  EXPECT_TRUE(images->steps[1].usable);
  EXPECT_EQ(images->steps[2].why, "takes no images");
}

TEST(Route, VectorsComeFromWhoMakesThemAndTextFromWhoMakesThat) {
  std::vector<RouteCandidate> engines = {engine("text"), engine("encoder")};
  engines[1].can.generation = Support::No;
  engines[1].can.embeddings = Support::Yes;
  engines[1].context_size = 10;
  RouteAsks asks;
  EXPECT_THAT(names(plan_route(asks, engines), engines), ElementsAre("text"));
  asks.embeddings = true;
  asks.prompt_tokens = 10;  // all of the context
  EXPECT_THAT(names(plan_route(asks, engines), engines), ElementsAre("encoder"));
  asks.prompt_tokens = 11;
  const auto longer = plan_route(asks, engines);
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, ErrorCode::ContextExceeded);
  EXPECT_EQ(longer.error().param, "input");
  RouteAsks load;
  load.only_load = true;
  EXPECT_THAT(names(plan_route(load, engines), engines), ElementsAre("text", "encoder"));
}

TEST(Route, AnEngineAskedForIsTakenOrRefusedAndNeverReplaced) {
  std::vector<RouteCandidate> engines = {engine("native"), engine("other")};
  engines[0].can.logprobs = Support::Yes;
  RouteAsks asks;
  asks.backend = "other";
  asks.backend_said_by = "the request";
  EXPECT_THAT(names(plan_route(asks, engines), engines), ElementsAre("other"));
  EXPECT_EQ(plan_route(asks, engines)->choices[0].reason, "asked for by the request");
  asks.logprobs = true;
  const auto refused = plan_route(asks, engines);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Unsupported);
  EXPECT_EQ(refused.error().param, "logprobs");
  asks.backend = "auto";
  EXPECT_THAT(names(plan_route(asks, engines), engines), ElementsAre("native"));
  asks.backend = "nothing";
  const auto unknown = plan_route(asks, engines);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(unknown.error().message,
            "no engine is called 'nothing'; there are: auto, native, other");
}

TEST(Route, ChainsAreTriedInTheirOrderAndNothingElse) {
  const std::vector<RouteCandidate> engines = {engine("a"), engine("b"), engine("c")};
  RouteAsks asks;
  asks.backend = "b";
  asks.fallback = {"c"};
  EXPECT_THAT(names(plan_route(asks, engines), engines), ElementsAre("b", "c"));
  asks.backend = "auto";
  EXPECT_THAT(names(plan_route(asks, engines), engines), ElementsAre("a", "c"));
  asks.fallback = {"c", "a"};
  EXPECT_THAT(names(plan_route(asks, engines), engines), ElementsAre("a", "c"));
  asks.fallback = {"d"};
  EXPECT_EQ(plan_route(asks, engines).error().param, "fallback");
}

TEST(Route, EveryReasonIsSaidAndTheFieldOnlyWhereItIsTheSame) {
  std::vector<RouteCandidate> engines = {engine("a"), engine("b")};
  RouteAsks asks;
  asks.choices = 2;
  asks.constraint = true;
  engines[0].can.choices_max = 8;
  engines[1].can.constraints = Support::Yes;
  const auto refused = plan_route(asks, engines);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "no engine here can do what is asked: a cannot hold its output to a format; b gives at "
            "most 1 choices and 2 are asked for");
  EXPECT_EQ(refused.error().param, "");
  engines[1].can.constraints = Support::No;
  EXPECT_EQ(plan_route(asks, engines).error().param, "response_format");
}

TEST(Route, WhatIsMissingOrUnwellIsA503ThatSaysHow) {
  std::vector<RouteCandidate> engines = {engine("a"), engine("b"), engine("c")};
  engines[0].objection = "reads no MLX folders";
  engines[1].available = false;
  engines[1].why_not = "no such program (install it with: pip install it)";
  engines[2].unwell = "it has failed 3 times";
  engines[2].retry_after = std::chrono::seconds(4);
  const auto refused = plan_route({}, engines);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Unavailable);
  EXPECT_EQ(refused.error().retry_after, std::chrono::seconds(4));
  EXPECT_THAT(refused.error().message, HasSubstr("a reads no MLX folders"));
  EXPECT_THAT(refused.error().message, HasSubstr("pip install it"));
  EXPECT_THAT(refused.error().message, HasSubstr("it has failed 3 times"));
  engines.resize(1);
  EXPECT_EQ(plan_route({}, engines).error().code, ErrorCode::Unsupported);
}

TEST(Route, ATooLongPromptIsSaidAsSuch) {
  std::vector<RouteCandidate> engines = {engine("small"), engine("large")};
  engines[0].context_size = 100;
  engines[1].context_size = 1000;
  RouteAsks asks;
  asks.prompt_tokens = 100;
  EXPECT_THAT(names(plan_route(asks, engines), engines), ElementsAre("large"));
  asks.prompt_tokens = 1000;
  const auto refused = plan_route(asks, engines);
  EXPECT_EQ(refused.error().code, ErrorCode::ContextExceeded);
  EXPECT_THAT(refused.error().message, HasSubstr("context holds 1000"));
}

TEST(Route, SeedsPreferWhoKeepsThem) {
  std::vector<RouteCandidate> engines = {engine("a"), engine("b")};
  engines[0].can.seed = Support::BestEffort;
  engines[1].can.seed = Support::Yes;
  RouteAsks asks;
  asks.seed = true;
  EXPECT_THAT(names(plan_route(asks, engines), engines), ElementsAre("b", "a"));
}

TEST(Route, TheContextThatIsTooSmallIsOfAnEngineThatCouldElse) {
  std::vector<RouteCandidate> engines = {engine("a"), engine("b")};
  engines[0].context_size = 40;
  engines[1].context_size = 42;
  engines[1].objection = "does not take it";
  RouteAsks asks;
  asks.embeddings = true;
  asks.prompt_tokens = 41;
  engines[0].can.embeddings = engines[1].can.embeddings = Support::Yes;
  EXPECT_THAT(plan_route(asks, engines).error().message, HasSubstr("the model takes 40 at most"));
}

TEST(Route, OnlyChatMeansNoRawPrompts) {
  std::vector<RouteCandidate> engines = {engine("cloud")};
  engines[0].can.token_prompts = Support::No;
  EXPECT_FALSE(plan_route({}, engines));
  engines[0].can.chat_only = Support::Yes;
  EXPECT_TRUE(plan_route({}, engines));
  RouteAsks asks;
  asks.raw_prompt = true;
  EXPECT_EQ(plan_route(asks, engines).error().param, "prompt");
  engines[0].can.text_prompts = Support::Yes;
  EXPECT_TRUE(plan_route(asks, engines));
  asks.truncate = true;
  EXPECT_EQ(plan_route(asks, engines).error().param, "truncate");
  asks.truncate = false;
  asks.token_ids = true;
  EXPECT_EQ(plan_route(asks, engines).error().param, "prompt");
}

}  // namespace
}  // namespace minerva::serve
