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

}  // namespace
}  // namespace minerva::backend
