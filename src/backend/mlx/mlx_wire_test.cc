#include "backend/mlx/mlx_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "formats/gguf.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

using ::testing::HasSubstr;
using wire::Json;

// A vocabulary of 32,000 tokens that puts a BOS in front.
WireModel model() {
  const auto file =
      formats::GgufFile::open(MINERVA_SOURCE_DIR "/tests/data/vocab/ggml-vocab-llama-spm.gguf");
  WireModel made;
  made.name = "m";
  made.tokenizer = text::Tokenizer::from_gguf(**file).value();
  return made;
}

class MlxWireTest : public ::testing::Test {
 protected:
  Result<UpstreamRequest> call(const std::function<void(GenerateRequest&)>& change,
                               std::uint64_t max_tokens = 10) {
    GenerateRequest request;
    request.prompt = {std::string("Hello")};
    change(request);
    WireRequest ask{request};
    ask.tokens = model_.tokenizer->encode("Hello", {.add_special = true}).value();
    ask.max_tokens = max_tokens;
    ask.seed = 77;
    return wire_.generate_call(ask, model_);
  }
  Json body(const std::function<void(GenerateRequest&)>& change) {
    const auto made = call(change);
    EXPECT_TRUE(made) << made.error().message;
    return made ? *wire::parse_json(made->body) : Json();
  }
  std::string refusal(const std::function<void(GenerateRequest&)>& change) {
    const auto made = call(change);
    EXPECT_FALSE(made) << made->body;
    return made ? std::string() : made.error().param;
  }

  const MlxWire wire_;
  const WireModel model_ = model();
};

// The whole body: nothing that the server would load, fetch or match is ever in it.
TEST_F(MlxWireTest, ThePlainBodyIsExactlyThis) {
  const auto request = call([](auto& r) { r.sampling.temperature = 0; });
  ASSERT_TRUE(request);
  EXPECT_EQ(request->path, "/v1/chat/completions");
  EXPECT_EQ(request->body,
            R"({"model":"default_model","messages":[{"role":"user","content":"<s>Hello"}],)"
            R"("max_tokens":10,"stream":true,"stream_options":{"include_usage":true},)"
            R"("temperature":0.0})");
}

TEST_F(MlxWireTest, SamplingIsSentWithinItsRanges) {
  const Json plain = body([](auto&) {});
  EXPECT_EQ(plain["temperature"], 1.0);
  EXPECT_EQ(plain["top_p"], 1.0);
  EXPECT_FALSE(plain.contains("seed"));
  EXPECT_FALSE(plain.contains("top_k"));
  const Json full = body([](auto& r) {
    r.sampling.temperature = 0.5F;
    r.sampling.top_p = 0;  // to mlx_lm, 0 is "off"
    r.sampling.min_p = 0.25F;
    r.sampling.top_k = 31'999;
    r.sampling.seed = 5;
    r.sampling.repetition_penalty = 1.5F;
    r.sampling.repetition_window = 0;
    r.sampling.presence_penalty = 0.5F;
    r.sampling.frequency_penalty = -0.5F;
  });
  EXPECT_GT(full["top_p"], 0.0);
  EXPECT_LT(full["top_p"], 1e-5);
  EXPECT_EQ(full["min_p"], 0.25);
  EXPECT_EQ(full["top_k"], 31'999);
  EXPECT_EQ(full["seed"], 77);  // this choice's own
  EXPECT_EQ(full["repetition_penalty"], 1.5);
  EXPECT_GT(full["repetition_context_size"], 1'000'000);
  EXPECT_EQ(full["presence_context_size"], 10);
  EXPECT_EQ(full["frequency_penalty"], -0.5);
  // A top_k that is no smaller than the vocabulary ends the server's only thread.
  EXPECT_FALSE(body([](auto& r) { r.sampling.top_k = 32'000; }).contains("top_k"));
  EXPECT_FALSE(body([](auto& r) { r.sampling.top_k = 2'000'000'000; }).contains("top_k"));
  // So small that only the likeliest token is left, and the division would overflow.
  EXPECT_EQ(body([](auto& r) { r.sampling.temperature = 1e-30F; })["temperature"], 0.0);
}

TEST_F(MlxWireTest, WhatItCannotKeepIsRefusedByName) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  EXPECT_EQ(refusal([](auto& r) { r.sampling.temperature = -1; }), "temperature");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.temperature = kNan; }), "temperature");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.temperature = kInfinite; }), "temperature");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.top_p = 1.5F; }), "top_p");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.top_p = kNan; }), "top_p");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.min_p = -0.1F; }), "min_p");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.typical_p = 0.5F; }), "typical_p");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.repetition_penalty = 0; }), "repetition_penalty");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.presence_penalty = kNan; }), "presence_penalty");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.frequency_penalty = 1e9F; }), "frequency_penalty");
  EXPECT_EQ(refusal([](auto& r) { r.logprobs = 0; }), "logprobs");
  EXPECT_EQ(refusal([](auto& r) { r.constraint = ConstraintSpec{}; }), "response_format");
  EXPECT_EQ(refusal([](auto& r) { r.prompt = {EmbeddingBlock{{1.0F}, 1}}; }), "images");
  // A bias past the vocabulary is written over whatever lies there: it was a SIGSEGV.
  for (const TokenId id : {-1, 32'000, 999'999, std::numeric_limits<TokenId>::max()}) {
    EXPECT_EQ(refusal([&](auto& r) { r.sampling.logit_bias = {{id, 1.0F}}; }), "logit_bias");
  }
}

TEST_F(MlxWireTest, BiasesAreFiniteAndForbidTheEnds) {
  const Json bias = body([](auto& r) {
    r.sampling.logit_bias = {{7, -std::numeric_limits<float>::infinity()}, {8, 2.5F}};
    r.ignore_end_of_generation = true;
  })["logit_bias"];
  EXPECT_LE(bias["7"], -1e9);
  EXPECT_EQ(bias["8"], 2.5);
  const auto ends = model_.tokenizer->end_of_generation();
  ASSERT_FALSE(ends.empty());
  for (const TokenId id : ends) EXPECT_LE(bias[std::to_string(id)], -1e9);
  EXPECT_EQ(bias.size(), 2 + ends.size());
}

TEST_F(MlxWireTest, APromptIsItsTokensOrIsRefused) {
  GenerateRequest request;
  request.prompt = {std::string("x")};
  WireRequest ask{request};
  // "Hello" cut where its tokenizer would not cut it.
  ask.tokens.clear();
  for (const char* piece : {"▁He", "l", "l", "o"})
    ask.tokens.push_back(*model_.tokenizer->find(piece));
  const auto refused = wire_.generate_call(ask, model_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Unsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("token ids"));
  // Without a tokenizer of ours the text goes as it is, but not an empty one: it would end the
  // server.
  ask.tokens.clear();
  ask.text = "as it is";
  const auto text = wire_.generate_call(ask, {});
  ASSERT_TRUE(text);
  EXPECT_THAT(text->body, HasSubstr(R"("content":"as it is")"));
  ask.text.clear();
  EXPECT_FALSE(wire_.generate_call(ask, {}));
  ask.text = "\xFF";
  EXPECT_FALSE(wire_.generate_call(ask, {}));
}

TEST_F(MlxWireTest, HealthSaysDeadOnlyOnceItIs) {
  UpstreamEnd end;
  EXPECT_EQ(wire_.read_health(end), EngineHealth::Starting);
  end.status = 200;
  EXPECT_EQ(wire_.read_health(end), EngineHealth::Answering);
  end.status = 503;
  EXPECT_EQ(wire_.read_health(end), EngineHealth::Dead);
}

TEST_F(MlxWireTest, TheWarmUpComparesTokenCounts) {
  const auto call = wire_.warm_up_call(model_);
  ASSERT_TRUE(call) << call.error().message;
  GenerateRequest nothing;
  const WireRequest ask{nothing};
  std::vector<GenerationEvent> out;
  const auto usage = [](std::size_t count) {
    return wire::SseEvent{"", R"({"choices":[],"usage":{"prompt_tokens":)" + std::to_string(count) +
                                  R"(,"completion_tokens":1}})"};
  };
  const std::size_t count =
      model_.tokenizer->encode("Hello 12345,\n\n  it's  é漢😀\tdon't", {.add_special = true})
          .value()
          .size();
  EXPECT_TRUE(wire_.reader(ask, model_)->read(usage(count), out));
  const auto other = wire_.reader(ask, model_)->read(usage(count + 1), out);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::InvalidModel);
}

}  // namespace
}  // namespace minerva::backend
