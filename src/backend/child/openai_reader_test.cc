#include "backend/child/openai_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

namespace minerva::backend {
namespace {

struct Reading {
  std::string text;
  bool failed = false;
  bool finished = false;
};

Reading read(const std::vector<std::string>& lines) {
  OpenAiReader reader("remote:x", "the server");
  Reading got;
  std::vector<GenerationEvent> events;
  for (const std::string& line : lines) got.failed = got.failed || !reader.read({"", line}, events);
  for (const GenerationEvent& event : events) {
    if (const auto* token = std::get_if<TokenEvent>(&event)) got.text += token->bytes;
    if (const auto* end = std::get_if<ChoiceEndEvent>(&event)) {
      got.text += end->reason == FinishReason::Stop ? "|stop" : "|length";
    }
  }
  got.finished = reader.finished();
  return got;
}

std::string chunk(const std::string& delta, const std::string& reason = "null") {
  return R"({"choices":[{"index":0,"delta":)" + delta + R"(,"finish_reason":)" + reason + "}]}";
}

TEST(OpenAiReaderTest, ServersDiffer) {
  EXPECT_EQ(
      read({chunk(R"({"role":"assistant","content":null})"), chunk(R"({"content":"a"})"),
            chunk("{}", R"("stop")"), R"({"choices":[],"usage":{"prompt_tokens":1}})", "[DONE]"})
          .text,
      "a|stop");
  // Text and the reason in one chunk; extra fields that are null.
  EXPECT_EQ(
      read({chunk(R"({"content":"ab","tool_calls":null,"token_ids":null})", R"("length")")}).text,
      "ab|length");
  EXPECT_EQ(read({R"({"choices":[{"index":0,"text":"x","finish_reason":null}]})",
                  R"({"choices":[{"index":0,"text":"","finish_reason":"stop"}],"usage":null})"})
                .text,
            "x|stop");
  EXPECT_EQ(read({chunk(R"({"reasoning_content":"hm"})"), chunk(R"({"content":"so"})")}).text,
            "<think>hm</think>so");
}

TEST(OpenAiReaderTest, LiesAndErrorsEndIt) {
  EXPECT_TRUE(read({R"({"error":{"message":"gone","code":500}})", "[DONE]"}).failed);
  EXPECT_TRUE(read({R"({"error":"gone"})"}).failed);
  EXPECT_TRUE(read({"nonsense"}).failed);
  EXPECT_TRUE(read({R"({"choices":7})"}).failed);
  EXPECT_TRUE(read({R"({"choices":[{"index":3,"text":"a"}]})"}).failed);
  EXPECT_TRUE(read({chunk(R"({"content":5})")}).failed);
  EXPECT_TRUE(read({chunk("{}", R"("stop")"), chunk(R"({"content":"more"})")}).failed);
  EXPECT_TRUE(read({chunk("{}", R"("content_filter")")}).failed);
  EXPECT_TRUE(read({chunk(R"({"tool_calls":[{}]})")}).failed);
  EXPECT_TRUE(read({R"({"choices":[{"index":0,"text":"a"},{"index":0,"text":"b"}]})"}).failed);
  EXPECT_TRUE(read({R"({"choices":[],"usage":7})"}).failed);
  EXPECT_TRUE(read({"[DONE]", "[DONE]"}).failed);
  EXPECT_FALSE(read({chunk(R"({"content":"a"})")}).finished);
}

TEST(OpenAiReaderTest, ErrorsNameTheServerAndItsBackend) {
  OpenAiReader reader("remote:x", "the server");
  std::vector<GenerationEvent> events;
  const auto said = reader.read({"", R"({"error":"it went wrong"})"}, events);
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().code, ErrorCode::Unavailable);
  EXPECT_EQ(said.error().origin, "remote:x");
  EXPECT_NE(said.error().message.find("it went wrong"), std::string::npos);
  const auto broke = reader.read({"", "nonsense"}, events);
  ASSERT_FALSE(broke);
  EXPECT_EQ(broke.error().message, "the server sent an event that is no JSON object");
}

}  // namespace
}  // namespace minerva::backend
