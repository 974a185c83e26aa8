#include "api/openai/embeddings.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "wire/data_uri.h"
#include "wire/json_guard.h"

namespace minerva::api::openai {
namespace {

using serve::RawPrompt;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using wire::Json;

CallContext context() {
  CallContext out;
  out.request_id = "42";
  out.client_id = "127.0.0.1";
  return out;
}

EmbeddingsCall parsed(const std::string& body) {
  auto call = parse_embeddings(body, context());
  EXPECT_TRUE(call) << body << ": " << call.error().message;
  return call ? std::move(*call) : EmbeddingsCall{};
}
Error refused(const std::string& body) {
  auto call = parse_embeddings(body, context());
  EXPECT_FALSE(call) << body;
  return call ? Error{} : call.error();
}
std::vector<RawPrompt> inputs(std::string_view input) {
  return parsed(fmt::format(R"({{"input":{}}})", input)).request.inputs;
}

TEST(Embeddings, EveryFormOfInput) {
  EXPECT_EQ(inputs(R"("hi")"), (std::vector{RawPrompt("hi")}));
  EXPECT_EQ(inputs(R"(["a","b"])"), (std::vector{RawPrompt("a"), RawPrompt("b")}));
  const RawPrompt one = std::vector<TokenId>{1, 2, 3};
  EXPECT_EQ(inputs("[1,2,3]"), (std::vector{one}));
  EXPECT_EQ(inputs("[[1,2,3],[1,2,3.0]]"), (std::vector{one, one}));
  // What is empty is refused by serve, which names its place.
  EXPECT_TRUE(inputs("[]").empty());
  EXPECT_EQ(inputs(R"([""])"), (std::vector{RawPrompt("")}));
}

TEST(Embeddings, AllFields) {
  const EmbeddingsCall call = parsed(
      R"({"input":"x","model":"m","encoding_format":"base64","dimensions":256,"user":"me",)"
      R"("backend":"native","fallback":["remote:a"],"timeout":1.5,"truncate":true,"spin":1})");
  EXPECT_EQ(call.request.id, "embd-42");
  EXPECT_EQ(call.request.client_id, "127.0.0.1");
  EXPECT_EQ(call.request.model, "m");
  EXPECT_EQ(call.request.dimensions, 256U);
  EXPECT_TRUE(call.request.truncate);
  EXPECT_FALSE(parsed(R"({"input":"x"})").request.truncate);
  EXPECT_EQ(call.request.backend, "native");
  EXPECT_THAT(call.request.fallback, ElementsAre("remote:a"));
  EXPECT_EQ(call.request.timeout, std::chrono::milliseconds(1500));
  EXPECT_THAT(call.ignored, ElementsAre("spin"));
}

TEST(Embeddings, RefusesByName) {
  EXPECT_EQ(refused("{}").param, "input");
  EXPECT_EQ(refused(R"({"input":null})").param, "input");
  EXPECT_EQ(refused(R"({"input":7})").param, "input");
  EXPECT_EQ(refused(R"({"input":["a",7]})").param, "input[1]");
  EXPECT_EQ(refused(R"({"input":[1,"a"]})").param, "input[1]");
  EXPECT_EQ(refused(R"({"input":[-1]})").param, "input[0]");
  EXPECT_EQ(refused(R"({"input":[[1],[2.5]]})").param, "input[1][0]");
  EXPECT_EQ(refused(R"({"input":"x","encoding_format":"int8"})").param, "encoding_format");
  EXPECT_EQ(refused(R"({"input":"x","dimensions":0})").param, "dimensions");
  EXPECT_EQ(refused(R"({"input":"x","truncate":"END"})").param, "truncate");
  EXPECT_EQ(refused(R"({"input":"x","dimensions":"8"})").param, "dimensions");
  EXPECT_EQ(refused(R"({"input":"x","timeout":0})").param, "timeout");
  EXPECT_EQ(refused(R"({"input":"x","backend":7})").param, "backend");
  const Error unknown = refused(R"({"input":"x","dimension":3,"strict":true})");
  EXPECT_EQ(unknown.param, "dimension");
  EXPECT_THAT(unknown.message, HasSubstr("'dimensions'"));
  EXPECT_FALSE(parse_embeddings("[]", context()));
  EXPECT_FALSE(parse_embeddings("{", context()));
}

serve::EndDelta done() {
  serve::EndDelta end;
  end.end.usage.prompt_tokens = 12;
  end.model = "minilm";
  end.backend = "native";
  end.route = "the only engine";
  return end;
}

// The body, out of order and with progress between.
std::string answered(const EmbeddingsCall& call, std::vector<std::vector<float>> vectors) {
  EXPECT_FALSE(call.encoder->streaming());
  for (std::size_t i = vectors.size(); i-- > 0;) {
    EXPECT_EQ(call.encoder->on_delta(backend::ProgressEvent{}), "");
    call.encoder->on_delta(serve::EmbeddingDelta{static_cast<std::uint32_t>(i), vectors[i]});
  }
  call.encoder->on_delta(done());
  return call.encoder->finish();
}

TEST(Embeddings, TheAnswerIsInTheInputsOrder) {
  const EmbeddingsCall call = parsed(R"({"input":["a","b"]})");
  const Json body = Json::parse(answered(call, {{0.1F, -1e-30F}, {3, 0}}));
  EXPECT_FALSE(call.encoder->failure());
  EXPECT_EQ(body["object"], "list");
  EXPECT_EQ(body["model"], "minilm");
  EXPECT_EQ(body["usage"], Json({{"prompt_tokens", 12}, {"total_tokens", 12}}));
  EXPECT_EQ(body["minerva"]["backend"], "native");
  ASSERT_EQ(body["data"].size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(body["data"][i]["index"], i);
    EXPECT_EQ(body["data"][i]["object"], "embedding");
  }
  // Every float comes back as it was.
  EXPECT_EQ(body["data"][0]["embedding"][0].get<float>(), 0.1F);
  EXPECT_EQ(body["data"][0]["embedding"][1].get<float>(), -1e-30F);
  EXPECT_EQ(body["data"][1]["embedding"], Json({3.0, 0.0}));
}

TEST(Embeddings, Base64IsLittleEndianFloats) {
  const EmbeddingsCall call = parsed(R"({"input":"a","encoding_format":"base64"})");
  const Json body = Json::parse(answered(call, {{1.0F, -2.5F}}));
  EXPECT_EQ(body["data"][0]["embedding"], "AACAPwAAIMA=");
  const auto bytes = wire::base64_decode(body["data"][0]["embedding"].get<std::string>());
  ASSERT_TRUE(bytes && bytes->size() == 8);
}

TEST(Embeddings, WhatIsMissingOrNotFiniteIsAnError) {
  const EmbeddingsCall two = parsed(R"({"input":["a","b"]})");
  two.encoder->on_delta(serve::EmbeddingDelta{0, {1}});
  two.encoder->on_delta(done());
  ASSERT_TRUE(two.encoder->failure());
  EXPECT_THAT(two.encoder->failure()->message, HasSubstr("input 1"));

  for (const char* body : {R"({"input":"a"})", R"({"input":"a","encoding_format":"base64"})"}) {
    const EmbeddingsCall odd = parsed(body);
    answered(odd, {{1, NAN}});
    EXPECT_TRUE(odd.encoder->failure()) << body;
  }

  const EmbeddingsCall failed = parsed(R"({"input":"a"})");
  serve::EndDelta end;
  end.end.outcome = backend::EndEvent::Outcome::Failed;
  end.end.error = Error{ErrorCode::InvalidArgument, "dimensions is 9", "dimensions"};
  failed.encoder->on_delta(end);
  ASSERT_TRUE(failed.encoder->failure());
  EXPECT_EQ(failed.encoder->failure()->param, "dimensions");
  EXPECT_THAT(failed.encoder->finish(), HasSubstr("dimensions is 9"));
}

}  // namespace
}  // namespace minerva::api::openai
