#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "api/openai/parse.h"
#include "wire/json_guard.h"

namespace minerva::api::openai {
namespace {

Result<chat::Conversation> parse(std::string_view messages, std::string_view more = "",
                                 bool images = false) {
  CallContext context;
  context.images = images;
  MINERVA_ASSIGN(Call call, parse_chat_completion(
                                fmt::format(R"({{"messages":[{}]{}}})", messages, more), context));
  return std::get<chat::Conversation>(std::move(call.request.prompt));
}

Error refused(std::string_view messages, std::string_view more = "", bool images = false) {
  const auto conversation = parse(messages, more, images);
  EXPECT_FALSE(conversation) << messages << more;
  return conversation ? Error{} : conversation.error();
}

constexpr std::string_view kHi = R"({"role":"user","content":"hi"})";

TEST(Messages, AToolConversation) {
  const auto conversation = parse(
      R"({"role":"system","content":"s"},{"role":"developer","content":"d"},)"
      R"({"role":"user","name":"ann","content":[{"type":"text","text":"a"},)"
      R"({"type":"text","text":"b","cache_control":{}}]},)"
      R"({"role":"assistant","content":null,"reasoning_content":"hm","refusal":null,"tool_calls":[)"
      R"({"id":"1","type":"function","function":{"name":"f","arguments":"{\"z\":1,\"a\":2}"}},)"
      R"({"id":"2","function":{"name":"g","arguments":{"x":1}}},)"
      R"({"function":{"name":"h","arguments":"{broken"}},{"function":{"name":"i"}}]},)"
      R"({"role":"tool","tool_call_id":"1","content":"3"})");
  ASSERT_TRUE(conversation) << conversation.error().message;
  const auto& messages = conversation->messages;
  ASSERT_EQ(messages.size(), 5U);
  EXPECT_EQ(messages[1].role, "developer");
  EXPECT_EQ(messages[2].name, "ann");
  EXPECT_TRUE(messages[2].content_is_parts);
  ASSERT_EQ(messages[2].content->size(), 2U);
  EXPECT_EQ(messages[2].content->at(1).text, "b");
  EXPECT_FALSE(messages[3].content);
  EXPECT_EQ(messages[3].reasoning, "hm");
  ASSERT_EQ(messages[3].tool_calls.size(), 4U);
  EXPECT_EQ(wire::dump_json(messages[3].tool_calls[0].arguments), R"({"z":1,"a":2})");
  EXPECT_EQ(messages[3].tool_calls[1].arguments["x"], 1);
  EXPECT_EQ(messages[3].tool_calls[2].arguments, "{broken");
  EXPECT_EQ(messages[3].tool_calls[3].arguments, wire::Json::object());
  EXPECT_EQ(messages[4].tool_call_id, "1");
  EXPECT_FALSE(messages[4].content_is_parts);
}

TEST(Messages, BrokenOnesNameThePlace) {
  struct Case {
    std::string message;
    std::string param;
  };
  const std::vector<Case> cases = {
      {"1", "messages[1]"},
      {"{}", "messages[1].role"},
      {R"({"role":1,"content":""})", "messages[1].role"},
      {R"({"role":"boss","content":""})", "messages[1].role"},
      {R"({"role":"function","content":""})", "messages[1].role"},
      {R"({"role":"user"})", "messages[1].content"},
      {R"({"role":"user","content":null})", "messages[1].content"},
      {R"({"role":"assistant","content":null,"tool_calls":[]})", "messages[1].content"},
      {R"({"role":"user","content":1})", "messages[1].content"},
      {R"({"role":"user","content":[1]})", "messages[1].content[0]"},
      {R"({"role":"user","content":[{}]})", "messages[1].content[0].type"},
      {R"({"role":"user","content":[{"type":"text"}]})", "messages[1].content[0].text"},
      {R"({"role":"user","content":[{"type":"text","text":1}]})", "messages[1].content[0].text"},
      {R"({"role":"user","content":[{"type":"x"}]})", "messages[1].content[0].type"},
      {R"({"role":"user","content":[{"type":"input_audio"}]})", "messages[1].content[0]"},
      {R"({"role":"user","content":"","name":1})", "messages[1].name"},
      {R"({"role":"user","content":"","function_call":{}})", "messages[1].function_call"},
      {R"({"role":"user","content":"","tool_calls":[{"function":{"name":"f"}}]})",
       "messages[1].tool_calls"},
      {R"({"role":"assistant","tool_calls":{}})", "messages[1].tool_calls"},
      {R"({"role":"assistant","tool_calls":[1]})", "messages[1].tool_calls[0]"},
      {R"({"role":"assistant","tool_calls":[{"type":"x"}]})", "messages[1].tool_calls[0].type"},
      {R"({"role":"assistant","tool_calls":[{}]})", "messages[1].tool_calls[0].function"},
      {R"({"role":"assistant","tool_calls":[{"function":{}}]})",
       "messages[1].tool_calls[0].function.name"},
      {R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":[]}}]})",
       "messages[1].tool_calls[0].function.arguments"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(refused(std::string(kHi) + "," + c.message).param, c.param) << c.message;
  }
  EXPECT_EQ(refused("").param, "messages");
}

TEST(Messages, Pictures) {
  const auto user = [](std::string_view url, std::string_view role = "user") {
    return fmt::format(R"({{"role":"{}","content":[{{"type":"text","text":"?"}},)"
                       R"({{"type":"image_url","image_url":{}}}]}})",
                       role, url);
  };
  const std::string png = R"({"url":"data:image/png;base64,Zm9v","detail":"low"})";
  const Error blind = refused(user(png));
  EXPECT_EQ(blind.code, ErrorCode::Unsupported);
  EXPECT_EQ(blind.param, "messages[0].content[1]");
  const auto seen = parse(user(png), "", true);
  ASSERT_TRUE(seen) << seen.error().message;
  const auto& part = seen->messages[0].content->at(1);
  EXPECT_EQ(part.kind, chat::ContentPart::Kind::Image);
  EXPECT_EQ(part.media_type, "image/png");
  EXPECT_EQ(part.data, "foo");
  EXPECT_TRUE(parse(user(R"("data:image/png;base64,Zm9v")"), "", true));

  EXPECT_EQ(refused(user(R"({"url":"http://169.254.169.254/x.png"})"), "", true).message,
            "'messages[0].content[1].image_url.url': only data: URLs are read; nothing is fetched");
  EXPECT_EQ(refused(user(R"({"url":"data:image/svg+xml;base64,Zm9v"})"), "", true).param,
            "messages[0].content[1].image_url.url");
  EXPECT_EQ(refused(user(R"({"url":1})"), "", true).param, "messages[0].content[1].image_url.url");
  EXPECT_EQ(refused(user("{}"), "", true).param, "messages[0].content[1].image_url");
  EXPECT_EQ(refused(user(png, "system"), "", true).param, "messages[0].content[1]");
  std::string many = user(png);
  for (int i = 1; i < 17; ++i) many += "," + user(png);
  EXPECT_EQ(refused(many, "", true).code, ErrorCode::TooLarge);
}

TEST(Tools, KeepTheirDefinition) {
  const std::string tools =
      R"(,"tools":[{"type":"function","function":{"name":"get.x-1","description":"d",)"
      R"("parameters":{"type":"object","properties":{"z":{},"a":{}}},"strict":false}}])";
  const auto conversation = parse(kHi, tools);
  ASSERT_TRUE(conversation) << conversation.error().message;
  ASSERT_EQ(conversation->tools.size(), 1U);
  EXPECT_EQ(conversation->tools[0].name, "get.x-1");
  EXPECT_EQ(R"(,"tools":[)" + wire::dump_json(conversation->tools[0].definition) + "]", tools);
  EXPECT_TRUE(parse(kHi, tools + R"(,"tool_choice":"none")")->tools.empty());
  EXPECT_EQ(parse(kHi, tools + R"(,"tool_choice":"auto")")->tools.size(), 1U);

  for (const auto* bad :
       {"{}", "[1]", "[{}]", R"([{"type":"web_search"}])", R"([{"type":"function"}])",
        R"([{"type":"function","function":{}}])", R"([{"type":"function","function":{"name":""}}])",
        R"([{"type":"function","function":{"name":"a b"}}])",
        R"([{"type":"function","function":{"name":"f","description":1}}])",
        R"([{"type":"function","function":{"name":"f","parameters":[]}}])",
        R"([{"type":"function","function":{"name":"f"}},)"
        R"({"type":"function","function":{"name":"f"}}])"}) {
    EXPECT_EQ(refused(kHi, fmt::format(R"(,"tools":{})", bad)).param.substr(0, 5), "tools") << bad;
  }
}

TEST(TemplateKwargs, AreScalarsThatShadowNothing) {
  const auto conversation =
      parse(kHi, R"(,"chat_template_kwargs":{"enable_thinking":false,"x":1.5,"y":null,"z":"s"},)"
                 R"("reasoning_effort":"low","documents":[{"title":"t","text":"x"}],)"
                 R"("add_generation_prompt":false)");
  ASSERT_TRUE(conversation) << conversation.error().message;
  EXPECT_EQ(wire::dump_json(conversation->template_kwargs),
            R"({"enable_thinking":false,"x":1.5,"y":null,"z":"s","reasoning_effort":"low"})");
  EXPECT_EQ(conversation->documents.size(), 1U);
  EXPECT_FALSE(conversation->add_generation_prompt);
  for (const auto* bad : {R"({"messages":[]})", R"({"tools":1})", R"({"add_generation_prompt":1})",
                          R"({"chat_template":"x"})", R"({"tokenize":true})", R"({"a":[]})",
                          R"({"a":{}})", R"({"a b":1})", R"({"":1})", R"({"1a":1})", "[]", "1",
                          R"({"raise_exception":1})", R"({"bos_token":"x"})"}) {
    const Error error = refused(kHi, fmt::format(R"(,"chat_template_kwargs":{})", bad));
    EXPECT_EQ(error.param.substr(0, 20), "chat_template_kwargs") << bad;
  }
  EXPECT_EQ(refused(kHi, R"(,"reasoning_effort":"huge")").param, "reasoning_effort");
  EXPECT_EQ(
      refused(kHi,
              R"(,"reasoning_effort":"low","chat_template_kwargs":{"reasoning_effort":"high"})")
          .param,
      "reasoning_effort");
  EXPECT_EQ(refused(kHi, R"(,"documents":[1])").param, "documents[0]");
}

}  // namespace
}  // namespace minerva::api::openai
