// Engines that answer what no engine should: broken streams, hostile framing, false figures.
#include <filesystem>
#include <fstream>

#include "base/system.h"
#include "engines/engine_test.h"

namespace minerva::backend {
namespace {

using EngineLie = EngineTest;

struct Lie {
  const char* flag;
  const char* value;
  const char* words;  // of the error
};

class HostileEngine : public EngineTest, public ::testing::WithParamInterface<Lie> {};

TEST_P(HostileEngine, FailsTheRequestAndSaysWhy) {
  ChildBackend& engine = loaded({"--end-one-in", "0", GetParam().flag, GetParam().value});
  const std::uint64_t resident = resident_bytes();
  const Read got = run(engine, ask("a", 400));
  expect_engine_failed(got);
  expect_prefix(got, "a");
  EXPECT_THAT(got.error().message, HasSubstr(GetParam().words));
  EXPECT_LE(resident_bytes(), resident + (std::uint64_t{32} << 20));
  EXPECT_TRUE(engine.is_loaded());  // whether it is to be trusted is for others to say
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, HostileEngine,
    ::testing::Values(Lie{"--bad-sse", "json", "no JSON"}, Lie{"--bad-sse", "cut", "closed"},
                      Lie{"--bad-sse", "error_event", "the engine is unwell"},
                      Lie{"--lie", "ids", "token 1000000000"}, Lie{"--lie", "choice", "choice 7"},
                      Lie{"--lie", "count", "counts 0 tokens and then 100001"},
                      Lie{"--lie", "framing", "Transfer-Encoding"},
                      Lie{"--lie", "huge_chunk", "limit"},
                      Lie{"--lie", "huge_head", "head is too large"},
                      Lie{"--lie", "redirect", "not followed"},
                      Lie{"--lie", "interim", "head is too large"},
                      Lie{"--lie", "endless_line", "larger than 1048576 bytes"},
                      Lie{"--lie", "gzip", "compressed"}, Lie{"--lie", "status", "cannot read"}),
    [](const auto& info) { return std::string(info.param.value); });

TEST_F(EngineLie, ErrorsTellNothingOfTheMachine) {
  ChildBackend& engine = loaded({"--lie", "status"});
  const std::string message = run(engine, ask("a")).error().message;
  for (const char* secret : {"somebody", "10.0.0.7", "Traceback", ".gguf"}) {
    EXPECT_THAT(message, Not(HasSubstr(secret)));
  }
}

TEST_F(EngineLie, OurOwnCountIsTheUsage) {
  ChildBackend& engine = loaded({"--end-one-in", "0", "--lie", "usage"});
  const Read got = run(engine, ask("abc", 20));
  EXPECT_EQ(got.end->outcome, Outcome::Done);
  EXPECT_EQ(got.end->usage.prompt_tokens, 3U);
  EXPECT_EQ(got.end->usage.completion_tokens, 20U);
}

// All that was asked for is there; that the engine does not say so changes nothing. Where it does,
// the answer was cut.
TEST_F(EngineLie, AnEndThatIsNotSaid) {
  ChildBackend& known = loaded({"--end-one-in", "0", "--bad-sse", "no_done"});
  EXPECT_EQ(run(known, ask("a", 20)).end->outcome, Outcome::Done);
  engine_.reset();
  make({.flags = {"--script", "Hi", "--bad-sse", "no_done", "--honest-requests", "1"},
        .own_tokenizer = false});
  ASSERT_TRUE(engine().load_model({}, 0));
  GenerateRequest request;
  request.prompt.emplace_back(std::string("hello"));
  const Read got = run(engine(), std::move(request));
  expect_engine_failed(got);
  EXPECT_THAT(got.error().message, HasSubstr("stopped before its end"));
}

// It has answered /health, and answers nothing else.
TEST_F(EngineLie, HealthIsNotReadiness) {
  make({.flags = {"--lie", "health"}});
  options_.ready_max = std::chrono::milliseconds(500);
  const auto refused = engine().load_model({}, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Timeout);
  EXPECT_THAT(refused.error().message, HasSubstr("first token"));
}

// --- what stands inside an event is text, whatever it looks like ---

class RawStream : public EngineTest {
 protected:
  Read answer(const std::string& body) {
    const auto folder = process::PrivateFolder::make("minerva-raw-");
    EXPECT_TRUE(folder);
    const auto file = folder->write_secret("body", body);
    ChildBackend& engine = loaded({"--raw", *file});
    return run(engine, ask("a", 400));
  }
  static std::string event(const std::string& content, int predicted) {
    return "data: {\"index\":0,\"content\":\"" + content +
           "\",\"tokens\":[],\"stop\":false,\"tokens_predicted\":" + std::to_string(predicted) +
           "}\n\n";
  }
  static std::string last(int predicted) {
    return "data: {\"index\":0,\"stop\":true,\"stop_type\":\"eos\",\"tokens_predicted\":" +
           std::to_string(predicted) + "}\n\n";
  }
};

TEST_F(RawStream, TextThatLooksLikeTheProtocol) {
  const Read got = answer("\xEF\xBB\xBF" + event("\\n\\nevent: x\\ndata: ", 1) +
                          event("\\r\\u2028data: [DONE]", 2) + event("\\u0000\\u0007", 3) +
                          "id: 7\nretry: 1\nevent: execute\n" + event("end", 4) + last(4));
  EXPECT_EQ(got.end->outcome, Outcome::Done) << got.error().message;
  const std::string looks_like = "\n\nevent: x\ndata: \r\xE2\x80\xA8" + std::string("data: [DONE]");
  EXPECT_EQ(got.bytes, looks_like + std::string(1, '\0') + "\x07" + "end");
}

TEST_F(RawStream, InvalidUtf8IsNoAnswer) {
  const Read got = answer(event("fine", 1) + event("\xC3(", 2) + last(2));
  expect_engine_failed(got);
  EXPECT_EQ(got.bytes, "fine");
}

TEST_F(RawStream, WhatFollowsTheEndIsNotRead) {
  const Read got = answer(event("a", 1) + last(1) + event("b", 2) + last(2));
  EXPECT_EQ(got.end->outcome, Outcome::Done);
  EXPECT_EQ(got.bytes, "a");
}

TEST_F(RawStream, EveryKindOfLineEnd) {
  std::string body = event("a", 1) + event("b", 2) + last(2);
  for (const char* end : {"\r\n", "\r"}) {
    std::string other;
    for (const char c : body) c == '\n' ? other += end : other += c;
    engine_.reset();
    EXPECT_EQ(answer(other).bytes, "ab");
  }
}

}  // namespace
}  // namespace minerva::backend
