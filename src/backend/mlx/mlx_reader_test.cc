#include "backend/mlx/mlx_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

namespace minerva::backend {
namespace {

constexpr ThinkMarks kMarks{"<think>", "</think>"};

std::string delta(const std::string& fields, const std::string& reason = "null") {
  return R"({"id":"x","object":"chat.completion.chunk","model":"default_model","choices":)"
         R"([{"index":0,"finish_reason":)" +
         reason + R"(,"delta":{"role":"assistant")" + fields + "}}]}";
}

// What the reader makes of these data lines: the text, and "|" for the end of the choice.
struct Reading {
  std::string text;
  std::size_t tokens = 0;
  bool failed = false;
  ErrorCode code{};
  bool finished = false;
  Usage usage;
};

Reading read(const std::vector<std::string>& lines, MlxReader::Expected expected = {}) {
  MlxReader reader(expected);
  Reading got;
  std::vector<GenerationEvent> events;
  for (const std::string& line : lines) {
    const auto fine = reader.read({"", line}, events);
    if (fine) continue;
    got.failed = true;
    got.code = fine.error().code;
    break;
  }
  for (const GenerationEvent& event : events) {
    if (const auto* token = std::get_if<TokenEvent>(&event)) {
      EXPECT_FALSE(token->id);
      got.text += token->bytes;
      ++got.tokens;
    } else if (const auto* end = std::get_if<ChoiceEndEvent>(&event)) {
      got.text += end->reason == FinishReason::Stop ? "|stop" : "|length";
    }
  }
  got.finished = reader.finished();
  got.usage = reader.usage();
  return got;
}

// As mlx-lm 0.32.2 wrote it.
TEST(MlxReaderTest, AWholeStream) {
  const Reading got = read(
      {delta(R"(,"content":"I")"), delta(R"(,"content":"'m")"), delta("", R"("length")"),
       R"({"id":"x","object":"chat.completion","choices":[],"usage":{"prompt_tokens":34,)"
       R"("completion_tokens":24,"total_tokens":58,"prompt_tokens_details":{"cached_tokens":20}}})",
       "[DONE]"});
  EXPECT_FALSE(got.failed);
  EXPECT_EQ(got.text, "I'm|length");
  EXPECT_EQ(got.tokens, 2U);
  EXPECT_TRUE(got.finished);
  EXPECT_EQ(got.usage.prompt_tokens, 34U);
  EXPECT_EQ(got.usage.completion_tokens, 24U);
  EXPECT_EQ(got.usage.cached_tokens, 20U);
}

TEST(MlxReaderTest, ThinkingIsPutBackBetweenItsMarks) {
  const MlxReader::Expected outside{kMarks, false, 0};
  EXPECT_EQ(read({delta(R"(,"content":"Well ")"), delta(R"(,"reasoning":"hm")"),
                  delta(R"(,"reasoning":" so")"), delta(R"(,"content":"yes")")},
                 outside)
                .text,
            "Well <think>hm so</think>yes");
  // Both in one event: the state before it says which came first.
  EXPECT_EQ(read({delta(R"(,"content":"a","reasoning":"b")")}, outside).text, "a<think>b");
  const MlxReader::Expected inside{kMarks, true, 0};
  EXPECT_EQ(
      read({delta(R"(,"reasoning":"b")"), delta(R"(,"content":"a","reasoning":"c")")}, inside).text,
      "bc</think>a");
}

TEST(MlxReaderTest, AStreamThatStopsIsNotFinished) {
  EXPECT_FALSE(read({delta(R"(,"content":"a")"), delta("", R"("stop")")}).finished);
}

TEST(MlxReaderTest, WhatBreaksTheRulesIsAnError) {
  const std::vector<std::vector<std::string>> streams = {
      {"nonsense"},
      {"[]"},
      {R"({"choices":7})"},
      {R"({"choices":[{},{}]})"},
      {R"({"choices":[{"index":1,"delta":{"content":"a"}}]})"},
      {R"({"choices":[{"index":0,"delta":[]}]})"},
      {delta(R"(,"content":7)")},
      {delta("", R"("because")")},
      {delta("", R"("stop")"), delta(R"(,"content":"more")")},
      {"[DONE]", "[DONE]"},
      {R"({"error":"it went wrong"})"},
      {delta(R"(,"tool_calls":[{"index":0}])")},
  };
  for (const auto& stream : streams) EXPECT_TRUE(read(stream).failed) << stream.back();
}

TEST(MlxReaderTest, CommentsTellTheProgress) {
  MlxReader reader({});
  std::vector<GenerationEvent> out;
  reader.read_comment(" keepalive 512/1500", out);
  reader.read_comment("keepalive 1500/1500", out);
  for (const char* noise : {"", "ping", "keepalive", "keepalive 1", "keepalive 9/8",
                            "keepalive -1/8", "keepalive 1/99999999999999999999"}) {
    reader.read_comment(noise, out);
  }
  ASSERT_EQ(out.size(), 2U);
  const auto& progress = std::get<ProgressEvent>(out.front());
  EXPECT_EQ(progress.phase, ProgressEvent::Phase::Prefill);
  EXPECT_EQ(progress.done, 512U);
  EXPECT_EQ(progress.total, 1500U);
}

TEST(MlxPromptTest, TellsWhereThinkingBegins) {
  EXPECT_FALSE(begins_thinking("hello", kMarks));
  EXPECT_TRUE(begins_thinking("assistant\n<think>\n", kMarks));
  EXPECT_FALSE(begins_thinking("<think>\n\n</think>\n\n", kMarks));
  EXPECT_TRUE(begins_thinking("<think>a</think>b<think>", kMarks));
}

}  // namespace
}  // namespace minerva::backend
