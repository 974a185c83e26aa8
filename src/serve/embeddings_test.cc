// Vectors through the whole of serve: which model and engine, limits, failures, and leaving.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "serve/request_checks.h"
#include "serve/test_service.h"

namespace minerva::serve {
namespace {

using backend::FakeModel;
using ::testing::HasSubstr;
using Outcome = backend::EndEvent::Outcome;

class EmbeddingsTest : public ServiceFixture {
 protected:
  static EmbeddingRequest texts(std::vector<RawPrompt> inputs) {
    EmbeddingRequest request;
    request.id = "embd-test";
    request.inputs = std::move(inputs);
    return request;
  }
  Answer embed(EmbeddingRequest request) {
    const auto generation = service_->embed(std::move(request));
    EXPECT_TRUE(generation) << generation.error().message;
    return generation ? read_all(**generation) : Answer{};
  }
  Error embed_refusal(EmbeddingRequest request) {
    const auto generation = service_->embed(std::move(request));
    EXPECT_FALSE(generation);
    return generation ? Error{} : generation.error();
  }
  static std::vector<float> vector_of(std::string_view text) {
    return FakeModel::embedding(FakeModel::encode(text));
  }
};

TEST_F(EmbeddingsTest, EachInputGetsItsVector) {
  open();
  const Answer got = embed(texts({"one", std::vector<TokenId>{'t', 'w', 'o'}, "three"}));
  EXPECT_EQ(got.end.end.outcome, Outcome::Done);
  EXPECT_EQ(got.end.end.usage.prompt_tokens, 11U);
  EXPECT_EQ(got.end.model, "tiny");
  EXPECT_EQ(got.end.backend, "fake");
  ASSERT_EQ(got.vectors.size(), 3U);
  EXPECT_EQ(got.vectors.at(0), vector_of("one"));
  EXPECT_EQ(got.vectors.at(1), vector_of("two"));
  EXPECT_EQ(got.vectors.at(2), vector_of("three"));
  EXPECT_TRUE(becomes_idle());
}

TEST_F(EmbeddingsTest, DimensionsCutTheVectorAndKeepItsLength) {
  open();
  EmbeddingRequest request = texts({"one"});
  request.dimensions = 3;
  const auto cut = embed(request).vectors.at(0);
  const auto whole = vector_of("one");
  ASSERT_EQ(cut.size(), 3U);
  double squares = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    squares += static_cast<double>(cut[i]) * static_cast<double>(cut[i]);
    EXPECT_NEAR(static_cast<double>(cut[i] / cut[0]), static_cast<double>(whole[i] / whole[0]),
                1e-5);
  }
  EXPECT_NEAR(std::sqrt(squares), 5, 1e-5) << "the fake's vectors have this length";

  request.dimensions = FakeModel::kWidth;
  EXPECT_EQ(embed(request).vectors.at(0), whole);
  request.dimensions = FakeModel::kWidth + 1;
  const Answer too_many = embed(request);
  EXPECT_TRUE(too_many.vectors.empty());
  ASSERT_TRUE(too_many.end.end.error);
  EXPECT_EQ(too_many.end.end.error->code, ErrorCode::InvalidArgument);
  EXPECT_EQ(too_many.end.end.error->param, "dimensions");
  EXPECT_THAT(too_many.end.end.error->message, HasSubstr("5, and the model's vectors have 4"));
  EXPECT_TRUE(becomes_idle());
}

TEST_F(EmbeddingsTest, WhatIsEmptyTooManyOrTooLongIsRefusedWithBothNumbers) {
  backend::FakeOptions fake;
  fake.context_size = 8;
  open(fake);
  EXPECT_EQ(embed_refusal(texts({})).param, "input");
  EXPECT_THAT(embed_refusal(texts({"a", ""})).message, HasSubstr("input 1 of 2"));
  EXPECT_THAT(embed_refusal(texts({std::vector<TokenId>{}})).message, HasSubstr("is empty"));
  const auto many = embed_refusal(texts(std::vector<RawPrompt>(kEmbeddingInputsMax + 1, "a")));
  EXPECT_THAT(many.message, HasSubstr("2049 texts, and 2048 are the most"));
  EXPECT_THAT(embed_refusal(texts({std::vector<TokenId>{1, 9999}})).message,
              HasSubstr("token 9999"));
  // A text may fill the context, as no answer comes behind it.
  EXPECT_EQ(embed(texts({"12345678"})).vectors.size(), 1U);
  const Error longer = embed_refusal(texts({"a", "123456789"}));
  EXPECT_EQ(longer.code, ErrorCode::ContextExceeded);
  EXPECT_EQ(longer.param, "input");
  EXPECT_THAT(longer.message, HasSubstr("has 9 tokens, and the model takes 8"));
}

TEST_F(EmbeddingsTest, WhatIsTooLongIsCutOffWhereThatIsAskedFor) {
  backend::FakeOptions fake;
  fake.context_size = 8;
  open(fake);
  EmbeddingRequest request =
      texts({"123456789", "short", std::vector<TokenId>(30, 'x'), std::vector<TokenId>(8, 'y')});
  request.truncate = true;
  const Answer got = embed(request);
  ASSERT_EQ(got.vectors.size(), 4U);
  EXPECT_EQ(got.vectors.at(0), vector_of("12345678"));
  EXPECT_EQ(got.vectors.at(1), vector_of("short"));
  EXPECT_EQ(got.vectors.at(2), vector_of("xxxxxxxx"));
  EXPECT_EQ(got.vectors.at(3), vector_of("yyyyyyyy"));
  EXPECT_EQ(got.end.end.usage.prompt_tokens, 8U + 5 + 8 + 8);
}

TEST_F(EmbeddingsTest, AnEngineThatMakesNoneIsNotAsked) {
  backend::FakeOptions fake;
  fake.embeds = false;
  open(fake);
  const Error none = embed_refusal(texts({"a"}));
  EXPECT_EQ(none.code, ErrorCode::Unsupported);
  EXPECT_THAT(none.message, HasSubstr("fake makes no embeddings of this model"));
  EXPECT_EQ(none.param, "model");
  EXPECT_EQ(metrics_.sum(Metric::RequestsTotal, "rejected"), 1);
}

TEST_F(EmbeddingsTest, AnEncoderLoadsAndMakesNoText) {
  backend::FakeOptions fake;
  fake.generates = false;
  open(fake);
  EXPECT_EQ(embed(texts({"a"})).vectors.size(), 1U);
  const Error none = refusal(completion("a"));
  EXPECT_EQ(none.code, ErrorCode::Unsupported);
  EXPECT_THAT(none.message, HasSubstr("makes only embeddings"));
}

TEST_F(EmbeddingsTest, WhoLeavesEndsIt) {
  open();
  backend::FakeFaults faults;
  faults.hang_at_token = 0;
  engine().set_faults(faults);
  auto generation = service_->embed(texts({"a"}));
  ASSERT_TRUE(generation);
  EXPECT_EQ(service_->active(), 1U);
  generation->reset();
  EXPECT_TRUE(becomes_idle());
}

TEST_F(EmbeddingsTest, ADeadlineEndsIt) {
  open();
  backend::FakeFaults faults;
  faults.hang_at_token = 0;
  engine().set_faults(faults);
  EmbeddingRequest request = texts({"a"});
  request.timeout = std::chrono::seconds(5);
  auto generation = service_->embed(std::move(request));
  ASSERT_TRUE(generation);
  Reader reader(**generation);
  clock_.advance(std::chrono::seconds(6));
  while (auto delta = reader.next()) {
    const auto* end = std::get_if<EndDelta>(&*delta);
    if (end == nullptr) continue;
    ASSERT_TRUE(end->end.error);
    EXPECT_EQ(end->end.error->code, ErrorCode::Timeout);
    break;
  }
  EXPECT_TRUE(becomes_idle());
}

}  // namespace
}  // namespace minerva::serve
