#include "backend/remote/remote_wire.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

using ::testing::ElementsAre;
using wire::Json;

class RemoteWireTest : public ::testing::Test {
 protected:
  Result<UpstreamRequest> chat(const std::function<void(GenerateRequest&)>& change) {
    GenerateRequest request;
    request.prompt = {ChatPrompt{R"([{"role":"user","content":"Hi"}])", ""}};
    request.sampling.temperature = 0.5F;
    change(request);
    WireRequest ask{request};
    ask.chat = std::get_if<ChatPrompt>(&request.prompt.front());
    if (const auto* text = std::get_if<std::string>(&request.prompt.front())) ask.text = *text;
    ask.max_tokens = request.max_tokens.value_or(1U << 20U);
    ask.seed = 5;
    WireModel model;
    model.name = "their-model";
    return wire_.generate_call(ask, model);
  }
  std::string refusal(const std::function<void(GenerateRequest&)>& change) {
    const auto made = chat(change);
    return made ? "sent: " + made->body : made.error().param;
  }
  void knows_more(std::string_view owner = "minerva") {
    UpstreamEnd end;
    end.status = 200;
    end.body = fmt::format(R"({{"object":"list","data":[{{"id":"m","owned_by":"{}"}}]}})", owner);
    EXPECT_EQ(wire_.read_health(end), EngineHealth::Answering);
  }
  const RemoteWire wire_{"remote:x", RemoteMode::Auto};
};

TEST_F(RemoteWireTest, TheBodiesAreExactlyThese) {
  const auto plain = chat([](auto&) {});
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->path, "/chat/completions");
  EXPECT_EQ(plain->body,
            R"({"model":"their-model","messages":[{"role":"user","content":"Hi"}],"stream":true,)"
            R"("stream_options":{"include_usage":true},"temperature":0.5,"top_p":1.0})");
  const auto raw = chat([](auto& r) {
    r.prompt = {std::string("Once")};
    r.max_tokens = 9;
    r.sampling.seed = 1;
    r.sampling.presence_penalty = 0.5F;
  });
  ASSERT_TRUE(raw) << raw.error().message;
  EXPECT_EQ(raw->path, "/completions");
  EXPECT_EQ(raw->body,
            R"({"model":"their-model","prompt":"Once","max_tokens":9,"stream":true,)"
            R"("stream_options":{"include_usage":true},"temperature":0.5,"top_p":1.0,"seed":5,)"
            R"("presence_penalty":0.5})");
}

TEST_F(RemoteWireTest, WhatWouldBeIgnoredIsRefused) {
  EXPECT_EQ(refusal([](auto& r) { r.sampling.top_k = 4; }), "top_k");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.min_p = 0.5F; }), "min_p");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.typical_p = 0.5F; }), "typical_p");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.repetition_penalty = 2; }), "repetition_penalty");
  EXPECT_EQ(refusal([](auto& r) {
              r.sampling.temperature = 0;
              r.sampling.repetition_penalty = 2;
            }),
            "repetition_penalty");
  EXPECT_EQ(refusal([](auto& r) { r.ignore_end_of_generation = true; }), "ignore_eos");
  EXPECT_EQ(refusal([](auto& r) { r.sampling.logit_bias = {{1, 1.0F}}; }), "logit_bias");
  EXPECT_EQ(refusal([](auto& r) { r.logprobs = 1; }), "logprobs");
  EXPECT_EQ(refusal([](auto& r) { r.constraint = ConstraintSpec{}; }), "response_format");
  EXPECT_EQ(refusal([](auto& r) { r.prompt = {ChatPrompt{"[]", "[{}]"}}; }), "tools");
  EXPECT_EQ(refusal([](auto& r) { r.prompt = {std::string()}; }), "prompt");
  knows_more();
  const auto more = chat([](auto& r) {
    r.sampling.top_k = 4;
    r.ignore_end_of_generation = true;
  });
  ASSERT_TRUE(more) << more.error().message;
  Json body = *wire::parse_json(more->body);
  EXPECT_EQ(body["top_k"], 4);
  EXPECT_EQ(body["ignore_eos"], true);
  const auto greedy = chat([](auto& r) {
    r.sampling.temperature = 0;
    r.sampling.top_k = 4;
    r.sampling.repetition_penalty = 2;
  });
  ASSERT_TRUE(greedy) << greedy.error().message;
  body = *wire::parse_json(greedy->body);
  EXPECT_EQ(body["repetition_penalty"], 2);
  EXPECT_EQ(body["repeat_last_n"], 64);
  EXPECT_FALSE(body.contains("top_k"));
  // vLLM's looks at all tokens, and takes no window.
  knows_more("vllm");
  const auto window = [&](std::uint32_t tokens) {
    return refusal([=](auto& r) {
      r.sampling.repetition_penalty = 2;
      r.sampling.repetition_window = tokens;
    });
  };
  EXPECT_EQ(window(10), "repeat_last_n");
  EXPECT_THAT(window(0), ::testing::HasSubstr(R"("repetition_penalty":2.0)"));
  EXPECT_THAT(window(64), ::testing::Not(::testing::HasSubstr("repeat_last_n")));
  knows_more();
  EXPECT_THAT(window(0), ::testing::HasSubstr(R"("repeat_last_n":-1)"));
}

TEST_F(RemoteWireTest, TextsAreAskedForTheirVectors) {
  WireModel model;
  model.name = "their-model";
  const std::vector<EmbedInput> texts = {std::string("a"), std::string("b")};
  const auto call = wire_.embed_call(texts, model);
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->path, "/embeddings");
  const Json body = *wire::parse_json(call->body);
  EXPECT_EQ(body["model"], "their-model");
  EXPECT_EQ(body["input"], Json({"a", "b"}));
  const std::vector<EmbedInput> ids = {std::vector<TokenId>{1}};
  EXPECT_EQ(wire_.embed_call(ids, model).error().param, "token ids");
  const std::vector<EmbedInput> empty = {std::string()};
  EXPECT_FALSE(wire_.embed_call(empty, model));
}

TEST_F(RemoteWireTest, AModeClosesTheOtherRoute) {
  const RemoteWire chat_only("remote:x", RemoteMode::Chat);
  EXPECT_EQ(chat_only.capabilities({}).text_prompts, Support::No);
  EXPECT_EQ(chat_only.capabilities({}).chat_only, Support::Yes);
  const RemoteWire completions("remote:x", RemoteMode::Completions);
  EXPECT_EQ(completions.capabilities({}).chat_only, Support::No);
  EXPECT_EQ(completions.capabilities({}).text_prompts, Support::Yes);
}

TEST_F(RemoteWireTest, AKeyThatIsRefusedIsTheEnd) {
  UpstreamEnd end;
  for (const unsigned status : {401U, 403U}) {
    end.status = status;
    EXPECT_EQ(wire_.read_health(end), EngineHealth::Dead);
    EXPECT_TRUE(wire_.load_failure(end));
  }
  end.status = 404;
  EXPECT_EQ(wire_.read_health(end), EngineHealth::Answering);
  end.status = 503;
  EXPECT_EQ(wire_.read_health(end), EngineHealth::Starting);
}

TEST_F(RemoteWireTest, ListsOfModelsAreBounded) {
  const auto models = parse_remote_models(
      R"({"data":[{"id":"a","owned_by":"vllm"},{"id":"b/c:d"},{"id":7},7,{"id":""},)"
      R"({"id":"with space"},{"id":"tab\t"},{"id":"é"}]})");
  ASSERT_TRUE(models) << models.error().message;
  EXPECT_THAT(models->ids, ElementsAre("a", "b/c:d"));
  EXPECT_EQ(models->owner, "vllm");
  EXPECT_FALSE(parse_remote_models("[]"));
  EXPECT_FALSE(parse_remote_models("{}"));
  EXPECT_FALSE(parse_remote_models("nonsense"));
  std::string many = R"({"data":[{"id":"a"})";
  for (int i = 0; i < 10'000; ++i) many += R"(,{"id":"a"})";
  EXPECT_FALSE(parse_remote_models(many + "]}"));
}

}  // namespace
}  // namespace minerva::backend
