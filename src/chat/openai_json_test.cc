#include "chat/openai_json.h"

#include <gtest/gtest.h>

namespace minerva::chat {
namespace {

Message said(std::string role, std::string text) {
  Message message;
  message.role = std::move(role);
  message.content.emplace();
  message.content->push_back({.text = std::move(text)});
  return message;
}

TEST(OpenAiJson, SaysWhatTheConversationHolds) {
  Conversation conversation;
  conversation.messages.push_back(said("user", "wo\"rld\n"));
  Message assistant;
  assistant.role = "assistant";
  assistant.tool_calls.push_back({"c1", "add", {{"a", 1}}});
  assistant.tool_calls.push_back({"c2", "odd", "not json"});
  conversation.messages.push_back(assistant);
  Message tool = said("tool", "3");
  tool.tool_call_id = "c1";
  conversation.messages.push_back(tool);
  EXPECT_EQ(Json::parse(openai_messages(conversation)), Json::parse(R"([
    {"role": "user", "content": "wo\"rld\n"},
    {"role": "assistant", "content": null, "tool_calls": [
      {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{\"a\":1}"}},
      {"id": "c2", "type": "function", "function": {"name": "odd", "arguments": "not json"}}]},
    {"role": "tool", "content": "3", "tool_call_id": "c1"}])"));
  EXPECT_EQ(openai_tools(conversation), "");
  conversation.tools.push_back({"add", {{"type", "function"}}});
  EXPECT_EQ(openai_tools(conversation), R"([{"type":"function"}])");
}

TEST(OpenAiJson, PartsStayPartsAndBrokenBytesAreReplaced) {
  Conversation conversation;
  conversation.messages.push_back(said("user", "a\xff"));
  conversation.messages.back().content_is_parts = true;
  EXPECT_EQ(openai_messages(conversation),
            "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\xEF\xBF\xBD\"}]}]");
}

}  // namespace
}  // namespace minerva::chat
