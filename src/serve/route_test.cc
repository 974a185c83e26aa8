#include "serve/route.h"

#include <gtest/gtest.h>

#include <vector>

namespace minerva::serve {
namespace {

using backend::Support;

RouteCandidate engine(std::string name) {
  RouteCandidate candidate;
  candidate.name = std::move(name);
  candidate.can.token_prompts = Support::Yes;
  return candidate;
}

TEST(Route, TheFirstEngineThatCanIsTaken) {
  std::vector<RouteCandidate> engines = {engine("native"), engine("vision")};
  engines[1].can.images = Support::BestEffort;
  const auto plain = plan_route({}, engines);
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->backend, "native");
  EXPECT_EQ(plain->reason, "the default engine");
  EXPECT_TRUE(plain->token_prompt);

  RouteAsks asks;
  asks.images = true;
  const auto images = plan_route(asks, engines);
  ASSERT_TRUE(images);
  EXPECT_EQ(images->backend, "vision");
  EXPECT_EQ(images->reason, "native takes no images");
}

TEST(Route, AnEngineAskedForIsTakenOrRefusedAndNeverReplaced) {
  std::vector<RouteCandidate> engines = {engine("native"), engine("other")};
  engines[0].can.logprobs = Support::Yes;
  RouteAsks asks;
  asks.backend = "other";
  EXPECT_EQ(plan_route(asks, engines)->backend, "other");
  EXPECT_EQ(plan_route(asks, engines)->reason, "asked for by name");
  asks.logprobs = true;
  const auto refused = plan_route(asks, engines);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Unsupported);
  EXPECT_EQ(refused.error().param, "logprobs");
  asks.backend = "auto";
  EXPECT_EQ(plan_route(asks, engines)->backend, "native");
  asks.backend = "nothing";
  const auto unknown = plan_route(asks, engines);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(unknown.error().message,
            "no engine is called 'nothing'; there are: auto, native, other");
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

TEST(Route, AnEngineWithItsOwnTokenizerGetsText) {
  std::vector<RouteCandidate> engines = {engine("text")};
  engines[0].can.token_prompts = Support::No;
  EXPECT_FALSE(plan_route({}, engines));
  engines[0].can.text_prompts = Support::Yes;
  EXPECT_FALSE(plan_route({}, engines)->token_prompt);
  RouteAsks asks;
  asks.logit_bias_or_ids = true;
  EXPECT_EQ(plan_route(asks, engines).error().param, "logit_bias");
}

}  // namespace
}  // namespace minerva::serve
