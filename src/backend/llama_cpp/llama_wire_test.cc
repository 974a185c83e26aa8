#include "backend/llama_cpp/llama_wire.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

wire::Json body_of(const SamplingParams& sampling) {
  GenerateRequest request;
  request.sampling = sampling;
  WireRequest ask{request};
  const std::vector<TokenId> tokens = {1, 2, 3};
  ask.tokens = tokens;
  ask.max_tokens = 4;
  const auto call = LlamaWire().generate_call(ask, {});
  EXPECT_TRUE(call);
  return wire::parse_json(call->body).value();
}

TEST(LlamaWire, AGreedyChoiceLooksAtOneTokenOfTheVocabulary) {
  SamplingParams sampling;
  sampling.temperature = 0;
  sampling.top_k = 40;
  const wire::Json body = body_of(sampling);
  EXPECT_EQ(body["top_k"], 1);
  const auto order = body["samplers"].get<std::vector<std::string>>();
  const auto at = [&](const char* name) { return std::ranges::find(order, name); };
  // What changes the logits is before it, what costs with the number of tokens behind.
  EXPECT_LT(at("penalties"), at("top_k"));
  for (const char* later : {"temperature", "typ_p", "top_p", "min_p"}) {
    EXPECT_LT(at("top_k"), at(later)) << later;
    EXPECT_NE(at(later), order.end()) << later;
  }
}

TEST(LlamaWire, ADrawnTokenKeepsItsOwnLimits) {
  SamplingParams sampling;
  sampling.temperature = 0.5F;
  sampling.top_k = 7;
  EXPECT_EQ(body_of(sampling)["top_k"], 7);
  sampling.top_k = 0;  // off
  EXPECT_EQ(body_of(sampling)["top_k"], 0);
}

TEST(LlamaWire, VectorsAreAskedForOfWhatWasStartedForThem) {
  const LlamaWire wire;
  const std::vector<EmbedInput> inputs = {std::vector<TokenId>{5, 6}, std::string("caf\xC3\xA9")};
  WireModel model;
  model.name = "model";
  EXPECT_EQ(wire.capabilities(model).embeddings, Support::No);
  const auto none = wire.embed_call(inputs, model);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::Unsupported);

  model.embeds = true;
  EXPECT_EQ(wire.capabilities(model).embeddings, Support::Yes);
  EXPECT_EQ(wire.capabilities(model).generation, Support::No);
  const auto call = wire.embed_call(inputs, model);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->path, "/v1/embeddings");
  const auto body = wire::parse_json(call->body).value();
  EXPECT_EQ(body["input"], wire::Json::parse(R"([[5,6],"caf\u00e9"])"));
  EXPECT_FALSE(wire.embed_call(std::vector<EmbedInput>{std::string("\xFF")}, model));
  EXPECT_FALSE(wire.embed_call(std::vector<EmbedInput>{std::string()}, model));
}

}  // namespace
}  // namespace minerva::backend
