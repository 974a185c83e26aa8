#include "api/openai/encode.h"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include "wire/json_guard.h"
#include "wire/sse.h"

namespace minerva::api::openai {
namespace {

using backend::EndEvent;
using backend::FinishReason;
using backend::ProgressEvent;
using serve::EndDelta;
using serve::FinishDelta;
using serve::TextDelta;
using wire::Json;

EncoderOptions options(bool stream) {
  EncoderOptions out;
  out.id = "chatcmpl-1";
  out.model = "smollm2";
  out.system_fingerprint = "fp_1";
  out.created = 1700000000;
  out.stream = stream;
  return out;
}

EndDelta done() {
  EndDelta delta;
  delta.end.usage = {12, 8, 3};
  delta.end.timings = {std::chrono::microseconds(1500), std::chrono::milliseconds(20),
                       std::chrono::milliseconds(31)};
  delta.end.engine = "native";
  delta.end.seed = 7;
  delta.model = "smollm2";
  delta.backend = "native";
  delta.route = "the only engine";
  return delta;
}

EndDelta ended(EndEvent::Outcome outcome) {
  EndDelta delta = done();
  delta.end.outcome = outcome;
  return delta;
}

backend::TokenEvent token(std::string bytes, float logprob,
                          std::vector<backend::TokenLogprob> top) {
  return {0, 1, std::move(bytes), logprob, std::move(top)};
}

std::string text_of(AnswerEncoder& encoder, const std::vector<serve::Delta>& deltas) {
  std::string out;
  for (const auto& delta : deltas) out += encoder.on_delta(delta);
  return out + encoder.finish();
}

constexpr std::string_view kMinerva =
    R"("minerva":{"backend":"native","route":"the only engine","model":"smollm2","seed":7,)"
    R"("timings":{"queued_ms":1.5,"prefill_ms":20.0,"decode_ms":31.0}})";
constexpr std::string_view kUsage =
    R"("usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,)"
    R"("prompt_tokens_details":{"cached_tokens":8}})";
constexpr std::string_view kChunk =
    R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,)"
    R"("model":"smollm2","system_fingerprint":"fp_1",)";

std::string chunk(std::string_view rest) {
  return std::string(kChunk) + std::string(rest) + "}\n\n";
}

// The fingerprint is a promise of our own engine's.
TEST(EncodeChat, OnlyOurOwnEngineHasAFingerprint) {
  for (const std::string backend : {"native", "llama_cpp"}) {
    EncoderOptions options;
    options.system_fingerprint = "fp_1";
    options.n = 1;
    const auto encoder = make_completion_encoder(options);
    encoder->planned(backend);
    serve::EndDelta end;
    end.backend = backend;
    encoder->on_delta(end);
    EXPECT_EQ(encoder->finish().contains("fp_1"), backend == "native") << backend;
  }
}

TEST(Encode, AChatStreamByteForByte) {
  auto encoder = make_chat_encoder(options(true));
  const std::string bytes =
      text_of(*encoder, {ProgressEvent{ProgressEvent::Phase::Queued, 0, 0, 0},
                         ProgressEvent{ProgressEvent::Phase::Prefill, 128, 500, 0},
                         TextDelta{0, "Hel", {}}, TextDelta{0, "", {}}, TextDelta{0, "lo\n\"", {}},
                         FinishDelta{0, FinishReason::Stop, {}}, done()});
  EXPECT_EQ(
      bytes,
      ": queued\n\n: prefill 128/500\n\n" +
          chunk(R"("choices":[{"index":0,"delta":{"role":"assistant","content":""},)"
                R"("logprobs":null,"finish_reason":null}])") +
          chunk(R"("choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,)"
                R"("finish_reason":null}])") +
          chunk(R"("choices":[{"index":0,"delta":{"content":"lo\n\""},"logprobs":null,)"
                R"("finish_reason":null}])") +
          chunk(R"("choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],)" +
                std::string(kMinerva)) +
          "data: [DONE]\n\n");
  EXPECT_EQ(encoder->keep_alive(), ": keep-alive\n\n");
  EXPECT_EQ(encoder->content_type(), "text/event-stream; charset=utf-8");
  EXPECT_FALSE(encoder->failure());
}

TEST(Encode, LoadingSaysHowFarItIs) {
  auto encoder = make_chat_encoder(options(true));
  const auto loading = [&](std::uint64_t done, std::uint64_t total) {
    return encoder->on_delta(ProgressEvent{ProgressEvent::Phase::Loading, done, total, 0});
  };
  EXPECT_EQ(loading(0, 0), ": loading\n\n");
  EXPECT_EQ(loading(0, 10), ": loading 0%\n\n");
  EXPECT_EQ(loading(4, 10), ": loading 40%\n\n");
  EXPECT_EQ(loading(11, 10), ": loading 100%\n\n");
  EXPECT_EQ(loading(std::numeric_limits<std::uint64_t>::max(), 1), ": loading 100%\n\n");
}

TEST(Encode, WhatIsWaitedForIsSaid) {
  using For = serve::WaitDelta::For;
  auto encoder = make_chat_encoder(options(true));
  const auto waits = [&](serve::WaitDelta delta) { return encoder->on_delta(delta); };
  EXPECT_EQ(waits({For::Load, "tiny", 42, {}}), ": loading tiny 42 %\n\n");
  EXPECT_EQ(waits({For::Load, "tiny", {}, std::chrono::milliseconds(3900)}),
            ": loading tiny, 3 s\n\n");
  EXPECT_EQ(waits({For::Room, "tiny", {}, {}}), ": waiting for room for tiny, 0 s\n\n");
  EXPECT_EQ(waits({For::Retry, "a\nb", {}, {}}), ": waiting to try a b again, 0 s\n\n");
  EXPECT_EQ(make_chat_encoder(options(false))->on_delta(serve::WaitDelta{}), "");
}

TEST(Encode, EnginesThatWereTriedBeforeAreNamed) {
  EndDelta end = done();
  end.backend = "native";
  end.retries = {{"llama_cpp", "/opt/bin/llama-server ended with signal 9\nits log"}};
  const std::string wanted =
      R"("retries":[{"backend":"llama_cpp","why":"llama-server ended with signal 9"}]}})";
  auto whole = make_chat_encoder(options(false));
  EXPECT_NE(text_of(*whole, {TextDelta{0, "a", {}}, FinishDelta{}, end}).find(wanted),
            std::string::npos);
  auto stream = make_completion_encoder(options(true));
  EXPECT_NE(text_of(*stream, {TextDelta{0, "a", {}}, FinishDelta{}, end}).find(wanted),
            std::string::npos);
}

TEST(Encode, TheUsageChunkIsTheLast) {
  EncoderOptions with_usage = options(true);
  with_usage.include_usage = true;
  auto encoder = make_chat_encoder(with_usage);
  EXPECT_EQ(
      text_of(*encoder, {TextDelta{0, "a", {}}, FinishDelta{0, FinishReason::Length, {}}, done()}),
      chunk(R"("choices":[{"index":0,"delta":{"role":"assistant","content":""},)"
            R"("logprobs":null,"finish_reason":null}],"usage":null)") +
          chunk(R"("choices":[{"index":0,"delta":{"content":"a"},"logprobs":null,)"
                R"("finish_reason":null}],"usage":null)") +
          chunk(R"("choices":[{"index":0,"delta":{},"logprobs":null,)"
                R"("finish_reason":"length"}],"usage":null)") +
          chunk(R"("choices":[],)" + std::string(kUsage) + "," + std::string(kMinerva)) +
          "data: [DONE]\n\n");
}

TEST(Encode, AWholeChatAnswer) {
  auto encoder = make_chat_encoder(options(false));
  const std::string body =
      text_of(*encoder, {ProgressEvent{}, TextDelta{0, "Hel", {}}, TextDelta{0, "lo", {}},
                         FinishDelta{0, FinishReason::Stop, {}}, done()});
  EXPECT_EQ(body,
            R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,)"
            R"("model":"smollm2","system_fingerprint":"fp_1","choices":[{"index":0,)"
            R"("message":{"role":"assistant","content":"Hello","refusal":null},"logprobs":null,)"
            R"("finish_reason":"stop"}],)" +
                std::string(kUsage) + "," + std::string(kMinerva) + "}");
  EXPECT_EQ(encoder->content_type(), "application/json");
  EXPECT_EQ(encoder->keep_alive(), "");
}

TEST(Encode, CompletionsInBothWays) {
  EncoderOptions plain = options(false);
  plain.system_fingerprint = "";
  auto whole = make_completion_encoder(plain);
  EXPECT_EQ(
      text_of(*whole, {TextDelta{0, "a", {}}, FinishDelta{0, FinishReason::Length, {}}, done()}),
      R"({"id":"chatcmpl-1","object":"text_completion","created":1700000000,)"
      R"("model":"smollm2","system_fingerprint":null,"choices":[{"index":0,"text":"a",)"
      R"("logprobs":null,"finish_reason":"length"}],)" +
          std::string(kUsage) + "," + std::string(kMinerva) + "}");
  auto stream = make_completion_encoder(options(true));
  const std::string head =
      R"(data: {"id":"chatcmpl-1","object":"text_completion","created":1700000000,)"
      R"("model":"smollm2","system_fingerprint":"fp_1","choices":[{"index":0,)";
  EXPECT_EQ(
      text_of(*stream, {TextDelta{0, "a", {}}, FinishDelta{0, FinishReason::Stop, {}}, done()}),
      head + "\"text\":\"a\",\"logprobs\":null,\"finish_reason\":null}]}\n\n" + head +
          "\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"stop\"}]," + std::string(kMinerva) +
          "}\n\ndata: [DONE]\n\n");
}

// How often each choice says its role and finishes, read back from the stream.
struct Counts {
  std::vector<int> roles, finishes;
  std::vector<std::string> texts;
  int minerva = 0;
};

Counts read_stream(const std::string& bytes, std::size_t n) {
  Counts out{std::vector<int>(n), std::vector<int>(n), std::vector<std::string>(n), 0};
  wire::SseParser parser;
  std::vector<wire::SseEvent> events;
  EXPECT_TRUE(parser.feed(bytes, events));
  for (const auto& event : events) {
    if (event.data == "[DONE]") continue;
    const Json json = wire::parse_json(event.data).value();
    out.minerva += json.contains("minerva") ? 1 : 0;
    for (const auto& choice : json["choices"]) {
      const auto index = choice["index"].get<std::size_t>();
      const Json& delta = choice["delta"];
      out.roles[index] += delta.contains("role") ? 1 : 0;
      out.finishes[index] += choice["finish_reason"].is_null() ? 0 : 1;
      if (delta.contains("content")) out.texts[index] += delta["content"].get<std::string>();
    }
  }
  return out;
}

TEST(Encode, EveryChoiceBeginsAndEndsOnce) {
  for (const bool usage : {false, true}) {
    EncoderOptions three = options(true);
    three.n = 3;
    three.include_usage = usage;
    auto encoder = make_chat_encoder(three);
    // Interleaved; doubled ends, text behind an end, a choice nobody asked for, one that says
    // nothing before it ends, and one whose end is forgotten.
    const std::string bytes = text_of(
        *encoder, {TextDelta{1, "b", {}}, TextDelta{0, "a", {}}, TextDelta{9, "x", {}},
                   FinishDelta{1, FinishReason::Stop, {}}, FinishDelta{1, FinishReason::Stop, {}},
                   TextDelta{1, "late", {}}, FinishDelta{2, FinishReason::Stop, {}},
                   TextDelta{0, "a", {}}, done(), TextDelta{0, "late", {}}, done()});
    const Counts counts = read_stream(bytes, 3);
    EXPECT_EQ(counts.roles, (std::vector<int>{1, 1, 1}));
    EXPECT_EQ(counts.finishes, (std::vector<int>{1, 1, 1}));
    EXPECT_EQ(counts.texts, (std::vector<std::string>{"aa", "b", ""}));
    EXPECT_EQ(counts.minerva, 1);
  }
}

TEST(Encode, AFailureIsTheEndOfTheStream) {
  EndDelta failed = ended(EndEvent::Outcome::Failed);
  failed.end.error = Error{ErrorCode::OutOfMemory, "no pages left", "", "native"};
  auto encoder = make_chat_encoder(options(true));
  encoder->on_delta(TextDelta{0, "a", {}});
  EXPECT_EQ(encoder->on_delta(failed),
            "data: {\"error\":{\"message\":\"no pages left\",\"type\":\"server_error\","
            "\"param\":null,\"code\":\"out_of_memory\"}}\n\n");
  ASSERT_TRUE(encoder->failure());
  EXPECT_EQ(encoder->failure()->code, ErrorCode::OutOfMemory);
  EXPECT_EQ(encoder->on_delta(TextDelta{0, "late", {}}), "");
  EXPECT_EQ(encoder->on_error({ErrorCode::Internal, "again"}), "");
  EXPECT_EQ(encoder->finish(), "") << "no [DONE] behind an error";

  auto whole = make_chat_encoder(options(false));
  whole->on_delta(ended(EndEvent::Outcome::Cancelled));
  ASSERT_TRUE(whole->failure());
  EXPECT_EQ(whole->failure()->code, ErrorCode::Cancelled);

  auto broken = make_chat_encoder(options(true));
  EXPECT_NE(broken->finish().find("\"code\":\"internal_error\""), std::string::npos);
  EXPECT_TRUE(broken->failure());
}

// security.md S23: whatever a model says, the client sees it inside JSON strings only.
TEST(Encode, HostileTextStaysInsideItsString) {
  const std::vector<std::string> hostile = {"\n\nevent: execute\ndata: x",
                                            "\r\rdata: [DONE]\r\n\r\n",
                                            std::string("\0\x1b[2J\x7f", 6),
                                            "\xE2\x80\xA8\xE2\x80\xA9\xEF\xBB\xBF",
                                            "\xFF\xC0\xF0\x9F",
                                            "id: 1\nretry: 5\n\n"};
  for (const std::string& text : hostile) {
    EncoderOptions named = options(true);
    named.model = text;
    auto encoder = make_chat_encoder(named);
    EndDelta end = done();
    end.route = text;
    const std::string bytes =
        text_of(*encoder, {TextDelta{0, text, {}}, FinishDelta{0, FinishReason::Stop, {}}, end});
    std::vector<wire::SseEvent> events;
    ASSERT_TRUE(wire::SseParser().feed(bytes, events));
    ASSERT_EQ(events.size(), 4U);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(events[i].name, "");
      EXPECT_TRUE(wire::parse_json(events[i].data)) << events[i].data;
    }
    EXPECT_EQ(events[3].data, "[DONE]");
  }
}

TEST(Encode, ChatLogprobs) {
  EncoderOptions with = options(false);
  with.logprobs = 1;
  auto encoder = make_chat_encoder(with);
  const std::string body = text_of(
      *encoder, {TextDelta{0, "a", {token("a", -0.1F, {{1, "a", -0.1F}})}},
                 TextDelta{0, "", {token("\xC3", -std::numeric_limits<float>::infinity(), {})}},
                 FinishDelta{0, FinishReason::Stop, {}}, done()});
  const Json json = wire::parse_json(body).value();
  EXPECT_EQ(wire::dump_json(json["choices"][0]["logprobs"]),
            R"({"content":[{"token":"a","logprob":-0.1,"bytes":[97],"top_logprobs":[)"
            R"({"token":"a","logprob":-0.1,"bytes":[97]}]},)"
            "{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-9999.0,\"bytes\":[195],\"top_logprobs\":[]}],"
            R"("refusal":null})");
  with.stream = true;
  auto stream = make_chat_encoder(with);
  stream->on_delta(TextDelta{0, "a", {}});
  EXPECT_NE(stream->on_delta(TextDelta{0, "", {token("\xC3", -1, {})}})
                .find(R"("delta":{"content":""},"logprobs":{"content":[{"token":)"),
            std::string::npos)
      << "a token without a whole character still reports its log-probability";
}

TEST(Encode, CompletionLogprobs) {
  EncoderOptions with = options(false);
  with.logprobs = 2;
  auto encoder = make_completion_encoder(with);
  const std::string body =
      text_of(*encoder, {TextDelta{0, "", {token("\xC3", -1, {{1, "\xC3", -1}, {2, "b", -2}})}},
                         TextDelta{0, "é", {token("\xA9", -0.5F, {{1, "x", -3}, {2, "x", -4}})}},
                         TextDelta{0, "z", {token("z", -0.25F, {})}},
                         FinishDelta{0, FinishReason::Stop, {}}, done()});
  const Json json = wire::parse_json(body).value();
  EXPECT_EQ(wire::dump_json(json["choices"][0]["logprobs"]),
            R"({"tokens":["bytes:\\xc3","bytes:\\xa9","z"],"token_logprobs":[-1.0,-0.5,-0.25],)"
            R"("top_logprobs":[{"bytes:\\xc3":-1.0,"b":-2.0},{"x":-3.0},{}],)"
            R"("text_offset":[0,1,1]})");
  with.logprobs = 0;
  auto chosen_only = make_completion_encoder(with);
  const Json zero =
      wire::parse_json(text_of(*chosen_only, {TextDelta{0, "z", {token("z", -1, {})}}, done()}))
          .value();
  EXPECT_TRUE(zero["choices"][0]["logprobs"]["top_logprobs"].is_null());
}

}  // namespace
}  // namespace minerva::api::openai
