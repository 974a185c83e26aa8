#include "api/openai/parse.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <variant>
#include <vector>

#include "api/openai/error_answer.h"
#include "wire/json_guard.h"

namespace minerva::api::openai {
namespace {

CallContext context() {
  CallContext out;
  out.request_id = "42";
  out.client_id = "127.0.0.1";
  out.unix_time = 1700000000;
  return out;
}

// `fields` is what stands behind the messages: `,"n":2`.
std::string chat(std::string_view fields) {
  return fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"hi"}}]{}}})", fields);
}
std::string completion(std::string_view fields) {
  return fmt::format(R"({{"model":"m","prompt":"hi"{}}})", fields);
}

Call parsed(const std::string& body) {
  auto call = parse_chat_completion(body, context());
  EXPECT_TRUE(call) << body << ": " << call.error().message;
  return call ? std::move(*call) : Call{};
}
Call parsed_completion(const std::string& body) {
  auto call = parse_completion(body, context());
  EXPECT_TRUE(call) << body << ": " << call.error().message;
  return call ? std::move(*call) : Call{};
}
Error refused(const std::string& body) {
  auto call = parse_chat_completion(body, context());
  EXPECT_FALSE(call) << body;
  return call ? Error{} : call.error();
}
Error refused_completion(const std::string& body) {
  auto call = parse_completion(body, context());
  EXPECT_FALSE(call) << body;
  return call ? Error{} : call.error();
}
const chat::Conversation& conversation(const Call& call) {
  return std::get<chat::Conversation>(call.request.prompt);
}

TEST(Parse, TheSmallestRequest) {
  const Call call = parsed(R"({"messages":[{"role":"user","content":"hi"}]})");
  EXPECT_EQ(call.request.id, "chatcmpl-42");
  EXPECT_EQ(call.request.client_id, "127.0.0.1");
  EXPECT_EQ(call.request.model, "");
  EXPECT_EQ(call.request.n, 1U);
  EXPECT_EQ(call.request.logprobs, -1);
  EXPECT_FALSE(call.request.max_tokens);
  EXPECT_FALSE(call.request.sampling.seed);
  EXPECT_FALSE(call.encoder->streaming());
  EXPECT_TRUE(call.ignored.empty());
  ASSERT_EQ(conversation(call).messages.size(), 1U);
  EXPECT_EQ(conversation(call).messages[0].content->at(0).text, "hi");
  EXPECT_TRUE(conversation(call).add_generation_prompt);
  EXPECT_TRUE(conversation(call).template_kwargs.is_null());
  EXPECT_EQ(parsed_completion(completion("")).request.id, "cmpl-42");
}

TEST(Parse, EverySamplingField) {
  const Call call = parsed(
      chat(R"(,"temperature":0.5,"top_p":0.25,"top_k":40,"min_p":0.125,"typical_p":0.75,)"
           R"("repetition_penalty":1.5,"presence_penalty":-2,"frequency_penalty":2,)"
           R"("logit_bias":{"0":-100,"50256":1.5},"seed":-1,"stop":["a","b"],"n":3,)"
           R"("max_completion_tokens":7.0,"repeat_last_n":-1,"ignore_eos":true,"timeout":1.5,)"
           R"("backend":"native","stream":true,"stream_options":{"include_usage":true})"));
  const auto& sampling = call.request.sampling;
  EXPECT_EQ(sampling.temperature, 0.5F);
  EXPECT_EQ(sampling.top_p, 0.25F);
  EXPECT_EQ(sampling.top_k, 40);
  EXPECT_EQ(sampling.min_p, 0.125F);
  EXPECT_EQ(sampling.typical_p, 0.75F);
  EXPECT_EQ(sampling.repetition_penalty, 1.5F);
  EXPECT_EQ(sampling.repetition_window, 0U);
  EXPECT_EQ(sampling.presence_penalty, -2.0F);
  EXPECT_EQ(sampling.frequency_penalty, 2.0F);
  EXPECT_EQ(sampling.logit_bias,
            (std::vector<std::pair<TokenId, float>>{{0, -100.0F}, {50256, 1.5F}}));
  EXPECT_EQ(sampling.seed, ~std::uint64_t{0});
  EXPECT_EQ(call.request.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(call.request.n, 3U);
  EXPECT_EQ(call.request.max_tokens, 7U);
  EXPECT_TRUE(call.request.ignore_end_of_generation);
  EXPECT_EQ(call.request.timeout, Duration(std::chrono::milliseconds(1500)));
  EXPECT_EQ(call.request.backend, "native");
  EXPECT_TRUE(call.encoder->streaming());
}

TEST(Parse, OtherNamesAndOffSwitches) {
  EXPECT_EQ(parsed(chat(R"(,"repeat_penalty":2)")).request.sampling.repetition_penalty, 2.0F);
  EXPECT_EQ(
      parsed(chat(R"(,"repeat_penalty":2,"repeat_last_n":0)")).request.sampling.repetition_penalty,
      1.0F);
  EXPECT_EQ(parsed(chat(R"(,"repeat_last_n":9)")).request.sampling.repetition_window, 9U);
  EXPECT_EQ(parsed(chat(R"(,"top_k":-1)")).request.sampling.top_k, 0);
  EXPECT_EQ(parsed(chat(R"(,"max_tokens":5,"max_completion_tokens":5)")).request.max_tokens, 5U);
  EXPECT_EQ(refused(chat(R"(,"max_tokens":5,"max_completion_tokens":6)")).param,
            "max_completion_tokens");
  EXPECT_EQ(refused(chat(R"(,"repetition_penalty":1.5,"repeat_penalty":1.25)")).param,
            "repeat_penalty");
  EXPECT_EQ(parsed(chat(R"(,"stop":"x")")).request.stop, std::vector<std::string>{"x"});
  EXPECT_EQ(parsed(chat(R"(,"backend":"auto")")).request.backend, "auto");
  EXPECT_FALSE(parsed(chat("")).request.backend);
  EXPECT_FALSE(parsed(chat("")).request.given.temperature);
  EXPECT_TRUE(parsed(chat(R"(,"temperature":1)")).request.given.temperature);
}

TEST(Parse, EnginesByName) {
  const Call call =
      parsed(chat(R"(,"backend":"remote:office","fallback":["native","remote:b.c-1"])"));
  EXPECT_EQ(call.request.backend, "remote:office");
  EXPECT_EQ(call.request.fallback, (std::vector<std::string>{"native", "remote:b.c-1"}));
  EXPECT_EQ(refused(chat(R"(,"backend":"remote:../x")")).param, "backend");
  EXPECT_EQ(refused(chat(R"(,"backend":"-m")")).param, "backend");
  EXPECT_EQ(refused(chat(R"(,"fallback":"native")")).param, "fallback");
  EXPECT_EQ(refused(chat(R"(,"fallback":["native","auto"])")).param, "fallback[1]");
  EXPECT_EQ(refused(chat(R"(,"fallback":["native",7])")).param, "fallback[1]");
  EXPECT_TRUE(
      parsed(chat(R"(,"fallback":["a","b","c","d","e","f","g","h"])")).request.fallback.size() ==
      8);
  EXPECT_EQ(refused(chat(R"(,"fallback":["a","b","c","d","e","f","g","h","i"])")).message,
            "'fallback' may name 8 engines, got 9");
}

TEST(Parse, WhatAsksForNothingPasses) {
  const Call call = parsed(
      chat(R"(,"n":1,"tools":[],"tool_choice":"auto","logprobs":false,"top_logprobs":0,"stop":[],)"
           R"("logit_bias":{},"functions":[],"function_call":null,"audio":null,"suffix":"",)"
           R"("response_format":{"type":"text"},"modalities":["text"],"guided_json":null,)"
           R"("grammar":"","mirostat":0,"min_tokens":0,"use_beam_search":false,"echo":false,)"
           R"("parallel_tool_calls":true,"chat_template":"","best_of":null,"whatever":null,)"
           R"("temperature":null,"stream":null,"seed":null,"strict":false)"));
  EXPECT_TRUE(call.ignored.empty());
  EXPECT_EQ(call.request.sampling.temperature, 1.0F);
  EXPECT_EQ(call.request.logprobs, -1);
  EXPECT_TRUE(conversation(call).tools.empty());
  const Call other = parsed_completion(completion(
      R"(,"suffix":null,"best_of":1,"logprobs":false,"tools":[],"messages":[],"echo":false)"));
  EXPECT_EQ(other.request.logprobs, -1);
}

TEST(Parse, WhatCannotBeHonouredIsNamed) {
  struct Case {
    std::string field;
    std::string value;
    std::string param = {};
  };
  const std::vector<Case> cases = {
      {"tool_choice", "\"required\""},
      {"tool_choice", R"({"type":"function","function":{"name":"f"}})"},
      {"response_format", R"({"type":"json_object"})"},
      {"response_format", R"({"type":"json_schema","json_schema":{"schema":{}}})"},
      {"modalities", R"(["text","audio"])"},
      {"audio", R"({"voice":"x"})"},
      {"functions", R"([{"name":"f"}])"},
      {"function_call", "\"auto\""},
      {"web_search_options", R"({"a":1})"},
      {"chat_template", "\"{{ x }}\""},
      {"continue_final_message", "true"},
      {"guided_json", R"({"type":"object"})"},
      {"guided_choice", R"(["a"])"},
      {"grammar", "\"root ::= x\""},
      {"min_tokens", "5"},
      {"mirostat", "2"},
      {"lora", R"([{"id":0,"scale":1}])"},
      {"prompt_logprobs", "-1"},
      {"tools", R"([{"type":"function","function":{"name":"f","strict":true}}])",
       "tools[0].function.strict"},
  };
  for (const Case& c : cases) {
    const Error error = refused(chat(fmt::format(R"(,"{}":{})", c.field, c.value)));
    EXPECT_EQ(error.code, ErrorCode::Unsupported) << c.field;
    EXPECT_EQ(error.param, c.param.empty() ? c.field : c.param);
    EXPECT_EQ(error_answer(error).status, 400U);
  }
  EXPECT_EQ(refused_completion(completion(R"(,"suffix":"x")")).param, "suffix");
  EXPECT_EQ(refused_completion(completion(R"(,"n":2,"best_of":3)")).param, "best_of");
  EXPECT_EQ(refused_completion(completion(R"(,"echo":true,"logprobs":1)")).param, "echo");
  EXPECT_EQ(refused_completion(completion(R"(,"tools":[{}])")).message,
            "'tools' belongs to /v1/chat/completions");
  EXPECT_EQ(refused(chat(R"(,"echo":true)")).message, "'echo' belongs to /v1/completions");
  EXPECT_EQ(refused(chat(R"(,"parallel_tool_calls":false,)"
                         R"("tools":[{"type":"function","function":{"name":"f"}}])"))
                .param,
            "parallel_tool_calls");
}

TEST(Parse, AdvisoryFieldsAreTakenWhateverTheyAre) {
  EXPECT_TRUE(parsed(chat(R"(,"user":"me","metadata":{"a":1},"store":true,"service_tier":"flex",)"
                          R"("safety_identifier":1,"prompt_cache_key":[],"verbosity":"low",)"
                          R"("prompt_cache_retention":"24h","prediction":{"type":"content"})"))
                  .ignored.empty());
}

TEST(Parse, UnknownFieldsAreNamed) {
  const Call call =
      parsed(R"({"temprature":1,"a\r\nx-evil: 1":2,"stream_options":{"foo":1},"messages":[)"
             R"({"role":"user","content":"hi","weight":1}]})");
  EXPECT_EQ(call.ignored, (std::vector<std::string>{"temprature", "a??x-evil??1",
                                                    "stream_options.foo", "messages[0].weight"}));
  std::string many;
  for (int i = 0; i < 100; ++i) many += fmt::format(",\"{}{}\":1", std::string(200, 'x'), i);
  const Call flooded = parsed(chat(many));
  EXPECT_EQ(flooded.ignored.size(), 16U);
  EXPECT_EQ(flooded.ignored[0].size(), 64U);

  const Error strict = refused(chat(R"(,"temprature":1,"zzz":2,"strict":true)"));
  EXPECT_EQ(strict.code, ErrorCode::InvalidArgument);
  EXPECT_EQ(strict.message, "unknown fields: \"temprature\" (did you mean 'temperature'?) \"zzz\"");
  EXPECT_EQ(strict.param, "temprature");
  CallContext strict_context = context();
  strict_context.strict = true;
  EXPECT_FALSE(parse_chat_completion(chat(R"(,"zzz":2,"strict":false)"), strict_context));
  EXPECT_TRUE(parse_chat_completion(chat(""), strict_context));
}

TEST(Parse, Logprobs) {
  EXPECT_EQ(parsed(chat(R"(,"logprobs":true)")).request.logprobs, 0);
  EXPECT_EQ(parsed(chat(R"(,"logprobs":true,"top_logprobs":20)")).request.logprobs, 20);
  EXPECT_EQ(refused(chat(R"(,"top_logprobs":5)")).param, "top_logprobs");
  EXPECT_EQ(refused(chat(R"(,"logprobs":5)")).param, "logprobs");
  EXPECT_EQ(parsed_completion(completion(R"(,"logprobs":0)")).request.logprobs, 0);
  EXPECT_EQ(parsed_completion(completion(R"(,"logprobs":5)")).request.logprobs, 5);
  EXPECT_EQ(refused_completion(completion(R"(,"logprobs":true)")).param, "logprobs");
  EXPECT_EQ(parsed(chat(R"(,"n":4,"logprobs":true,"top_logprobs":20)")).request.n, 4U);
  EXPECT_EQ(refused(chat(R"(,"n":5,"logprobs":true,"top_logprobs":20)")).message,
            "'n' x (1 + 'top_logprobs') may be 84, got 105");
}

TEST(Parse, Prompts) {
  const auto prompt = [](std::string_view json) {
    auto call = parse_completion(fmt::format(R"({{"prompt":{}}})", json), context());
    EXPECT_TRUE(call) << json;
    return std::get<serve::RawPrompt>(call.value().request.prompt);
  };
  EXPECT_EQ(std::get<std::string>(prompt("\"a\"")), "a");
  EXPECT_EQ(std::get<std::string>(prompt("[\"a\"]")), "a");
  EXPECT_EQ(std::get<std::vector<TokenId>>(prompt("[1,2]")), (std::vector<TokenId>{1, 2}));
  EXPECT_EQ(std::get<std::vector<TokenId>>(prompt("[[3]]")), std::vector<TokenId>{3});
  for (const auto* bad : {"1", "[]", "[[]]", "{}", "[{}]", "[true]", "[[[1]]]", "[1,\"a\"]", "[-1]",
                          "[2147483648]", "[1.5]", "null"}) {
    const Error error = refused_completion(fmt::format(R"({{"prompt":{}}})", bad));
    EXPECT_EQ(error.code, ErrorCode::InvalidArgument) << bad;
    EXPECT_EQ(error.param.substr(0, 6), "prompt") << bad;
  }
  EXPECT_EQ(refused_completion(R"({"prompt":["a","b"]})").message,
            "'prompt' is not supported: one prompt a request, got 2");
  EXPECT_EQ(refused_completion(R"({"prompt":[1,"a"]})").param, "prompt[1]");
}

TEST(Parse, ListsHaveTheirLimits) {
  std::string stops = "\"0\"";
  for (int i = 1; i < 17; ++i) stops += fmt::format(",\"{}\"", i);
  EXPECT_EQ(refused(chat(fmt::format(R"(,"stop":[{}])", stops))).message,
            "'stop' may have 16 strings, got 17");
  EXPECT_EQ(refused(chat(R"(,"stop":"")")).param, "stop");
  EXPECT_EQ(refused(chat(R"(,"stop":["a",""])")).param, "stop[1]");
  EXPECT_TRUE(parsed(chat(fmt::format(R"(,"stop":"{}")", std::string(256, 'x')))).encoder);
  EXPECT_EQ(refused(chat(fmt::format(R"(,"stop":"{}")", std::string(257, 'x')))).param, "stop");
  for (const auto* key : {"-1", "+1", "01", "1.0", "", "a", "2147483648", " 1"}) {
    EXPECT_EQ(refused(chat(fmt::format(R"(,"logit_bias":{{"{}":1}})", key))).param, "logit_bias");
  }
  EXPECT_EQ(refused(chat(R"(,"logit_bias":{"1":100.5})")).param, "logit_bias.1");
  std::string biases = "\"0\":1";
  for (int i = 1; i < 1025; ++i) biases += fmt::format(",\"{}\":1", i);
  EXPECT_EQ(refused(chat(fmt::format(R"(,"logit_bias":{{{}}})", biases))).param, "logit_bias");
}

TEST(Parse, BodiesThatAreNoRequest) {
  EXPECT_EQ(refused("").code, ErrorCode::InvalidArgument);
  EXPECT_EQ(refused("[]").message, "the body must be a JSON object, got an array");
  EXPECT_EQ(refused("{}").param, "messages");
  EXPECT_EQ(refused_completion("{}").param, "prompt");
  EXPECT_NE(refused("{\"messages\":[{\"role\":\"user\",\"content\":\"a\xFF\"}]}")
                .message.find("(byte 40): byte 0xFF is not valid UTF-8"),
            std::string::npos);
  EXPECT_EQ(refused(chat(R"(,"model":"x")")).message.find("invalid JSON"), 0U) << "twice model";
  EXPECT_EQ(refused(chat(",\"x\":" + std::string(100, '['))).code, ErrorCode::InvalidArgument);
}

}  // namespace
}  // namespace minerva::api::openai
