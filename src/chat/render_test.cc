#include "chat/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace minerva::chat {
namespace {

using ::testing::HasSubstr;

Message message(std::string role, std::string text) {
  Message out;
  out.role = std::move(role);
  out.content = {{ContentPart{.kind = ContentPart::Kind::Text, .text = std::move(text)}}};
  return out;
}

Message calls(std::vector<ToolCall> tool_calls) {
  Message out;
  out.role = "assistant";
  out.tool_calls = std::move(tool_calls);
  return out;
}

std::shared_ptr<const ChatTemplate> published(const std::string& name) {
  std::ifstream in(std::string(MINERVA_SOURCE_DIR) + "/tests/data/chat/templates/" + name);
  EXPECT_TRUE(in) << name;
  std::ostringstream text;
  text << in.rdbuf();
  auto made = ChatTemplate::compile(text.str());
  EXPECT_TRUE(made);
  return *made;
}

Json context_of(const Conversation& conversation, TemplateTraits traits = {}) {
  auto made = conversation_context(traits, conversation, {.bos = "<s>", .eos = {}});
  EXPECT_TRUE(made) << made.error().message;
  return *made;
}

TEST(Message, TextJoinsTheTextParts) {
  Message parts = message("user", "a");
  parts.content->push_back({.kind = ContentPart::Kind::Image, .media_type = "image/png"});
  parts.content->push_back({.text = "b"});
  EXPECT_EQ(parts.text(), "ab");
  EXPECT_EQ(Message{}.text(), "");
}

TEST(Render, SmolLm2OfTheSampleModel) {
  const auto smollm = published("HuggingFaceTB-SmolLM2-135M-Instruct.jinja");
  const auto text = render_conversation(*smollm, {.messages = {message("user", "Hi")}}, {});
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(*text,
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(Render, ShapesAreHuggingFaces) {
  Conversation conversation;
  conversation.messages = {message("user", "q"),
                           calls({{"id1", "f", Json{{"x", 1}}}, {"", "g", "not json"}})};
  Message result = message("tool", "r");
  result.tool_call_id = "id1";
  result.name = "f";
  conversation.messages.push_back(result);
  Message answer = message("assistant", "a");
  answer.reasoning = "because";
  conversation.messages.push_back(answer);
  conversation.tools = {{"f", Json{{"type", "function"}, {"function", {{"name", "f"}}}}}};
  EXPECT_EQ(context_of(conversation), Json::parse(R"({
    "messages": [
      {"role": "user", "content": "q"},
      {"role": "assistant", "content": null, "tool_calls": [
        {"id": "id1", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}},
        {"type": "function", "function": {"name": "g", "arguments": "not json"}}]},
      {"role": "tool", "content": "r", "name": "f", "tool_call_id": "id1"},
      {"role": "assistant", "content": "a", "reasoning_content": "because"}],
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "documents": null, "add_generation_prompt": true, "bos_token": "<s>"})"));
}

TEST(Render, ToolsAreNoneWhenThereAreNone) {
  const Json context = context_of({.messages = {message("user", "q")}});
  EXPECT_TRUE(context["tools"].is_null());
  EXPECT_FALSE(context["messages"][0].contains("tool_calls"));
  EXPECT_FALSE(context.contains("eos_token"));
}

TEST(Render, PartsAreFlattenedForTemplatesThatPrintStrings) {
  Conversation conversation{.messages = {message("user", "a")}};
  conversation.messages[0].content->push_back({.text = "b"});
  conversation.messages[0].content_is_parts = true;
  const auto content = [&](ContentShape shape) {
    return context_of(conversation, {.content = shape})["messages"][0]["content"].dump();
  };
  EXPECT_EQ(content(ContentShape::String), R"("ab")");
  EXPECT_EQ(content(ContentShape::Either),
            R"([{"type":"text","text":"a"},{"type":"text","text":"b"}])");
  conversation.messages[0].content_is_parts = false;
  EXPECT_EQ(content(ContentShape::Either), R"("ab")");
  EXPECT_EQ(content(ContentShape::Parts),
            R"([{"type":"text","text":"a"},{"type":"text","text":"b"}])");
  conversation.messages[0].content->push_back({.kind = ContentPart::Kind::Image});
  EXPECT_THAT(content(ContentShape::String), HasSubstr(R"({"type":"image"})"));
}

// DeepSeek's template adds the arguments to a string, Llama's prints them as JSON.
TEST(Render, ArgumentsInTheShapeThatTheTemplateTakes) {
  Conversation conversation;
  conversation.messages = {message("user", "q"),
                           calls({{"call00001", "f", Json{{"city", "Paris"}, {"n", {1, 2.5}}}}}),
                           message("tool", "r")};
  conversation.messages[2].tool_call_id = "call00001";
  for (const char* name :
       {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja", "deepseek-ai-DeepSeek-V3.1.jinja",
        "meta-llama-Llama-3.1-8B-Instruct.jinja", "Qwen-Qwen3-0.6B.jinja"}) {
    const auto text = render_conversation(*published(name), conversation, {.bos = "<s>"});
    ASSERT_TRUE(text) << name << text.error().message;
    EXPECT_THAT(*text, HasSubstr(R"({"city": "Paris", "n": [1, 2.5]})")) << name;
  }
}

TEST(Render, KwargsAreScalarsAndShadowNothing) {
  const auto smollm = published("HuggingFaceTB-SmolLM2-135M-Instruct.jinja");
  const auto with = [&](Json kwargs) {
    Conversation conversation{.messages = {message("user", "q")}};
    conversation.template_kwargs = std::move(kwargs);
    return render_conversation(*smollm, conversation, {});
  };
  EXPECT_TRUE(with({{"enable_thinking", false}, {"level", "high"}, {"n", 1}, {"x", nullptr}}));
  for (const Json& bad :
       {Json{{"messages", "x"}}, Json{{"tools", nullptr}}, Json{{"add_generation_prompt", false}},
        Json{{"bos_token", "x"}}, Json{{"tokenize", true}}, Json{{"raise_exception", 1}},
        Json{{"a", Json::array()}}, Json{{"a", Json::object()}}, Json::array(), Json("x")}) {
    const auto text = with(bad);
    ASSERT_FALSE(text) << bad;
    EXPECT_EQ(text.error().code, ErrorCode::InvalidArgument);
    EXPECT_EQ(text.error().param, "chat_template_kwargs");
  }
}

TEST(Render, KwargsReachTheTemplate) {
  const auto qwen = published("Qwen-Qwen3-0.6B.jinja");
  Conversation conversation{.messages = {message("user", "q")}};
  conversation.template_kwargs = {{"enable_thinking", false}};
  EXPECT_THAT(*render_conversation(*qwen, conversation, {}), HasSubstr("<think>\n\n</think>"));
}

TEST(Render, ArgumentsTooDeepAreRefused) {
  Json deep = 1;
  for (int i = 0; i < 100; ++i) deep = Json::array({std::move(deep)});
  const auto text = render_conversation(*published("Qwen-Qwen3-0.6B.jinja"),
                                        {.messages = {calls({{"id", "f", std::move(deep)}})}}, {});
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::InvalidArgument);
}

TEST(Render, CompleteContextAddsOnlyWhatIsMissing) {
  const Json given = {{"messages", Json::array()}, {"eos_token", "mine"}, {"x", Json::array({1})}};
  EXPECT_EQ(complete_context(given, {.bos = "<s>", .eos = "</s>"}),
            Json::parse(R"({"messages": [], "eos_token": "mine", "x": [1], "tools": null,
              "documents": null, "add_generation_prompt": false, "bos_token": "<s>"})"));
}

}  // namespace
}  // namespace minerva::chat
