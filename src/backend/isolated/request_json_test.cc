#include "backend/isolated/request_json.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

GenerateRequest full() {
  GenerateRequest request;
  request.id = "req \"1\"";
  request.client_id = "c";
  request.prompt = {std::vector<TokenId>{1, 2, 1 << 30}, std::string("text é\n")};
  request.resume_prefix = {5, 6};
  SamplingParams& s = request.sampling;
  s.temperature = 0.1F;
  s.top_k = 40;
  s.top_p = std::nextafterf(1.0F, 0.0F);
  s.min_p = 1e-30F;
  s.typical_p = 0.7F;
  s.repetition_penalty = 1.1F;
  s.presence_penalty = -0.3F;
  s.frequency_penalty = 2.0F / 3.0F;
  s.repetition_window = 0;
  s.logit_bias = {{3, -100.0F}, {4, -std::numeric_limits<float>::infinity()}};
  s.seed = std::numeric_limits<std::uint64_t>::max();
  request.constraint = ConstraintSpec{ConstraintSpec::Kind::Regex, "a\"b"};
  request.n = 3;
  request.max_tokens = 17;
  request.ignore_end_of_generation = true;
  request.logprobs = 5;
  request.priority = Priority::Batch;
  return request;
}

TEST(RequestJsonTest, EveryFieldComesBack) {
  const GenerateRequest sent = full();
  const auto json = request_json(sent);
  ASSERT_TRUE(json) << json.error().message;
  const auto got = parse_request_json(*json);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->id, sent.id);
  EXPECT_EQ(got->client_id, sent.client_id);
  ASSERT_EQ(got->prompt.size(), 2U);
  EXPECT_EQ(std::get<std::vector<TokenId>>(got->prompt[0]),
            std::get<std::vector<TokenId>>(sent.prompt[0]));
  EXPECT_EQ(std::get<std::string>(got->prompt[1]), "text é\n");
  EXPECT_EQ(got->resume_prefix, sent.resume_prefix);
  EXPECT_EQ(got->sampling.temperature, 0.1F);
  EXPECT_EQ(got->sampling.top_k, 40);
  EXPECT_EQ(got->sampling.top_p, sent.sampling.top_p);
  EXPECT_EQ(got->sampling.min_p, 1e-30F);
  EXPECT_EQ(got->sampling.typical_p, 0.7F);
  EXPECT_EQ(got->sampling.repetition_penalty, 1.1F);
  EXPECT_EQ(got->sampling.presence_penalty, -0.3F);
  EXPECT_EQ(got->sampling.frequency_penalty, 2.0F / 3.0F);
  EXPECT_EQ(got->sampling.repetition_window, 0U);
  ASSERT_EQ(got->sampling.logit_bias.size(), 2U);
  EXPECT_EQ(got->sampling.logit_bias[0], sent.sampling.logit_bias[0]);
  EXPECT_LT(got->sampling.logit_bias[1].second, -1e38F);
  EXPECT_EQ(got->sampling.seed, sent.sampling.seed);
  ASSERT_TRUE(got->constraint);
  EXPECT_EQ(got->constraint->kind, ConstraintSpec::Kind::Regex);
  EXPECT_EQ(got->constraint->source, "a\"b");
  EXPECT_EQ(got->n, 3U);
  EXPECT_EQ(got->max_tokens, 17U);
  EXPECT_TRUE(got->ignore_end_of_generation);
  EXPECT_EQ(got->logprobs, 5);
  EXPECT_EQ(got->priority, Priority::Batch);
}

TEST(RequestJsonTest, DefaultsStayDefaults) {
  GenerateRequest sent;
  sent.prompt = {std::vector<TokenId>{1}};
  const auto got = parse_request_json(request_json(sent).value());
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_FALSE(got->sampling.seed);
  EXPECT_FALSE(got->max_tokens);
  EXPECT_FALSE(got->constraint);
  EXPECT_EQ(got->logprobs, -1);
  EXPECT_EQ(got->sampling.temperature, sent.sampling.temperature);
  EXPECT_EQ(got->sampling.repetition_window, sent.sampling.repetition_window);
}

TEST(RequestJsonTest, WhatHasNoPlaceIsRefused) {
  GenerateRequest image;
  image.prompt = {EmbeddingBlock{{1.0F}, 1}};
  EXPECT_EQ(request_json(image).error().code, ErrorCode::Unsupported);
  image.prompt = {ChatPrompt{"[]", ""}};
  EXPECT_EQ(request_json(image).error().code, ErrorCode::Unsupported);
  image.prompt = {std::string("\xFF")};
  EXPECT_EQ(request_json(image).error().code, ErrorCode::InvalidArgument);
  image.prompt.clear();
  image.sampling.temperature = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(request_json(image).error().param, "temperature");
}

// Taken out or given another type, each member is missed by name.
TEST(RequestJsonTest, MembersThatAreMissingOrWrongAreErrors) {
  const auto whole = wire::parse_json(request_json(full()).value());
  ASSERT_TRUE(whole);
  const std::vector<std::string> optional = {"constraint", "max_tokens"};
  for (const auto& [key, value] : whole->items()) {
    wire::Json wrong = *whole;
    wrong[key] = wire::Json{{"a", wire::Json::array({1})}};
    EXPECT_FALSE(parse_request_json(wire::dump_json(wrong))) << key;
    wrong.erase(key);
    const bool may_miss = std::ranges::count(optional, key) > 0;
    EXPECT_EQ(parse_request_json(wire::dump_json(wrong)).has_value(), may_miss) << key;
  }
}

}  // namespace
}  // namespace minerva::backend
