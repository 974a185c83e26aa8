// Vectors of our own engine, behind the one interface: an encoder, and decoders pooled.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/native/native_backend.h"
#include "backend/native/native_kind.h"
#include "conformance/native_subject.h"
#include "conformance/recorder.h"
#include "support/gguf_writer.h"
#include "support/tiny_encoder.h"
#include "support/tiny_model.h"

namespace minerva::backend {
namespace {

using ::testing::HasSubstr;
using Outcome = EndEvent::Outcome;

class NativeEmbedTest : public ::testing::Test {
 protected:
  std::unique_ptr<InferenceBackend> loaded(const std::string& name, const test::GgufWriter& writer,
                                           std::size_t context = 0) {
    const auto path = folder_.path() / (name + ".gguf");
    test::write_file(path, writer.bytes());
    subject_ = native_subject(name, path.string());
    auto engine = subject_.make(clock_);
    const auto done = engine->load_model(subject_.spec, context);
    EXPECT_TRUE(done) << done.error().message;
    return engine;
  }
  static Recording embed(InferenceBackend& engine, EmbedRequest request) {
    const auto stream = std::make_shared<GenerationStream>();
    const auto taken = engine.embed(std::move(request), stream);
    EXPECT_TRUE(taken) << taken.error().message;
    return taken ? record(*stream) : Recording{};
  }
  static EmbedRequest ids(std::vector<std::vector<TokenId>> texts) {
    EmbedRequest request;
    for (auto& text : texts) request.inputs.emplace_back(std::move(text));
    return request;
  }
  static double length(const std::vector<float>& vector) {
    double squares = 0;
    for (const float value : vector) {
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    return std::sqrt(squares);
  }

  FakeClock clock_;
  test::TempFolder folder_;
  Subject subject_;
};

TEST_F(NativeEmbedTest, AnEncoderEmbedsAndDoesNothingElse) {
  const auto engine = loaded("bert", test::tiny_encoder({}));
  EXPECT_EQ(engine->capabilities().embeddings, Support::Yes);
  EXPECT_EQ(engine->capabilities().generation, Support::No);
  EXPECT_EQ(engine->context_size(), 64U);
  std::vector<std::vector<TokenId>> texts;
  for (TokenId i = 0; i < 40; ++i) {
    texts.push_back(std::vector<TokenId>(static_cast<std::size_t>(1 + i), 40 + i));
  }
  const Recording all = embed(*engine, ids(texts));
  ASSERT_EQ(all.end->outcome, Outcome::Done);
  ASSERT_EQ(all.vectors.size(), texts.size());
  for (std::uint32_t i = 0; i < texts.size(); ++i) {
    EXPECT_NEAR(length(all.vectors.at(i)), 1, 1e-6);
    EXPECT_EQ(embed(*engine, ids({texts[i]})).vectors.at(0), all.vectors.at(i)) << i;
  }
  // As text, by the model's own tokenizer.
  EmbedRequest words;
  words.inputs.emplace_back(std::string("((("));
  EXPECT_EQ(embed(*engine, words).vectors.at(0),
            embed(*engine, ids({std::vector<TokenId>(3, '(')})).vectors.at(0));

  GenerateRequest request;
  request.prompt.emplace_back(std::vector<TokenId>{65});
  const auto text = engine->generate(request, std::make_shared<GenerationStream>());
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::Unsupported);
  EXPECT_TRUE(engine->unload_model());
  EXPECT_FALSE(engine->embed(ids({{1}}), std::make_shared<GenerationStream>()));
}

TEST_F(NativeEmbedTest, WhatIsTooLongOrNoTokenIsRefused) {
  const auto engine = loaded("bert", test::tiny_encoder({}), 16);
  const auto refused = [&](EmbedRequest request) {
    const auto taken = engine->embed(std::move(request), std::make_shared<GenerationStream>());
    EXPECT_FALSE(taken);
    return taken ? Error{} : taken.error();
  };
  const Error longer = refused(ids({{1}, std::vector<TokenId>(17, 65)}));
  EXPECT_EQ(longer.code, ErrorCode::ContextExceeded);
  EXPECT_THAT(longer.message, HasSubstr("input 1 has 17 tokens; the model takes 16"));
  EXPECT_THAT(refused(ids({{-1}})).message, HasSubstr("token -1"));
  EXPECT_THAT(refused(ids({{261}})).message, HasSubstr("261 tokens"));
  EXPECT_THAT(refused(ids({{}})).message, HasSubstr("input 0 has no tokens"));
  EXPECT_THAT(refused({}).message, HasSubstr("nothing to embed"));
  EXPECT_EQ(embed(*engine, ids({std::vector<TokenId>(16, 65)})).vectors.size(), 1U);

  auto other = subject_.make(clock_);
  const auto too_much = other->load_model(subject_.spec, 65);
  ASSERT_FALSE(too_much);
  EXPECT_THAT(too_much.error().message, HasSubstr("65"));
}

TEST_F(NativeEmbedTest, ADecodersVectorIsItsLastHiddenState) {
  const auto engine = loaded("llama", test::tiny_model({.type = formats::DType::Q8_0}));
  EXPECT_EQ(engine->capabilities().embeddings, Support::Yes);
  EXPECT_EQ(engine->capabilities().generation, Support::Yes);
  std::vector<std::vector<TokenId>> texts;
  for (TokenId i = 0; i < 30; ++i) {
    texts.push_back(std::vector<TokenId>(static_cast<std::size_t>(1 + 20 * (i % 3)), 40 + i));
  }
  // Beside an answer that is being made.
  GenerateRequest request;
  request.prompt.emplace_back(std::vector<TokenId>{65, 66});
  request.ignore_end_of_generation = true;
  request.max_tokens = 40;
  const auto answer = std::make_shared<GenerationStream>();
  ASSERT_TRUE(engine->generate(request, answer));
  const Recording all = embed(*engine, ids(texts));
  EXPECT_EQ(record(*answer).token_count(), 40U);
  ASSERT_EQ(all.end->outcome, Outcome::Done);
  ASSERT_EQ(all.vectors.size(), texts.size());
  for (std::uint32_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(all.vectors.at(i).size(), 256U);
    EXPECT_NEAR(length(all.vectors.at(i)), 1, 1e-6);
    EXPECT_EQ(embed(*engine, ids({texts[i]})).vectors.at(0), all.vectors.at(i)) << i;
  }
  // The last token alone decides where only it differs.
  EXPECT_NE(embed(*engine, ids({{65, 66}})).vectors.at(0),
            embed(*engine, ids({{65, 67}})).vectors.at(0));
  EXPECT_EQ(dynamic_cast<NativeBackend&>(*engine).kv_pages_used(), 0U);
}

TEST_F(NativeEmbedTest, ADecoderPoolsAsItsFileSays) {
  const auto pooled = [&](std::optional<std::uint32_t> type, const std::vector<TokenId>& tokens) {
    test::GgufWriter writer = test::tiny_model({});
    if (type) writer.add_u32("llama.pooling_type", *type);
    writer.add_bool("llama.normalize_embeddings", false);
    const auto engine = loaded("pooled", writer);
    return embed(*engine, ids({tokens})).vectors.at(0);
  };
  const std::vector<TokenId> tokens = {65, 66, 67};
  // A token sees those before it only, so its state is the last one of the text up to it.
  const auto first = pooled(3, {65});
  const auto second = pooled(3, {65, 66});
  const auto third = pooled(3, tokens);
  EXPECT_EQ(pooled(std::nullopt, tokens), third) << "the last one where nothing is said";
  EXPECT_EQ(pooled(2, tokens), first);
  const auto mean = pooled(1, tokens);
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const double sum = static_cast<double>(first[i]) + static_cast<double>(second[i]) +
                       static_cast<double>(third[i]);
    EXPECT_EQ(mean[i], static_cast<float>(sum / 3)) << i;
  }
}

TEST_F(NativeEmbedTest, ADecoderThatRanksMakesNone) {
  test::GgufWriter writer = test::tiny_model({});
  writer.add_u32("llama.pooling_type", 4);
  const auto engine = loaded("ranks", writer);
  EXPECT_EQ(engine->capabilities().embeddings, Support::No);
  const auto taken = engine->embed(ids({{1}}), std::make_shared<GenerationStream>());
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::Unsupported);
  EXPECT_THAT(taken.error().message, HasSubstr("ranks"));
}

TEST_F(NativeEmbedTest, WhatTheMakersCutOffAtIsTheLimit) {
  test::GgufWriter encoder = test::tiny_encoder({});
  encoder.add_u32("bert.embedding_context_length", 20);
  test::GgufWriter decoder = test::tiny_model({});
  decoder.add_u32("llama.embedding_context_length", 20);
  for (const auto& writer : {encoder, decoder}) {
    const auto engine = loaded("limited", writer);
    EXPECT_EQ(embed(*engine, ids({std::vector<TokenId>(20, 65)})).vectors.size(), 1U);
    const auto longer =
        engine->embed(ids({std::vector<TokenId>(21, 65)}), std::make_shared<GenerationStream>());
    ASSERT_FALSE(longer);
    EXPECT_THAT(longer.error().message, HasSubstr("has 21 tokens; the model takes 20"));
  }
  // What is asked for by name is given, as far as the encoder has positions.
  const auto engine = loaded("asked", encoder, 64);
  EXPECT_EQ(embed(*engine, ids({std::vector<TokenId>(64, 65)})).vectors.size(), 1U);
}

TEST_F(NativeEmbedTest, WhoLeavesIsNotComputedFor) {
  for (const bool encoder : {true, false}) {
    const auto engine =
        encoder ? loaded("bert", test::tiny_encoder({})) : loaded("llama", test::tiny_model({}));
    const auto stream = std::make_shared<GenerationStream>();
    ASSERT_TRUE(engine->embed(ids(std::vector(2000, std::vector<TokenId>(30, 65))), stream));
    ASSERT_TRUE(stream->pop_for(std::chrono::seconds(60)));
    stream->cancel();
    const Recording got = record(*stream);
    EXPECT_EQ(got.end->outcome, Outcome::Cancelled);
    EXPECT_LT(got.vectors.size(), 1000U);
  }
}

TEST_F(NativeEmbedTest, ADeadlineEndsIt) {
  for (const bool encoder : {true, false}) {
    const auto engine =
        encoder ? loaded("bert", test::tiny_encoder({})) : loaded("llama", test::tiny_model({}));
    EmbedRequest request = ids({{65}});
    request.deadline = clock_.now() - std::chrono::seconds(1);
    const Recording got = embed(*engine, request);
    ASSERT_EQ(got.end->outcome, Outcome::Failed);
    EXPECT_EQ(got.end->error->code, ErrorCode::Timeout);
  }
}

TEST_F(NativeEmbedTest, AnEncodersNeedIsKnownBefore) {
  const auto engine = loaded("bert", test::tiny_encoder({}));
  ModelSpec spec = subject_.spec;
  const auto need = native_memory_need(spec, 0, {});
  ASSERT_TRUE(need) << need.error().message;
  EXPECT_GT(need->weights_bytes, 0U);
  EXPECT_EQ(need->kv_bytes, 0U);
  embed(*engine, ids({{65, 66}}));
  EXPECT_LE(engine->usage().memory.at(0).bytes, need->total() + engine->usage().mapped_bytes);
  spec.architecture = "bert";
  spec.format = ModelFormat::Gguf;
  EXPECT_EQ(native_objection(spec), std::nullopt);
}

}  // namespace
}  // namespace minerva::backend
