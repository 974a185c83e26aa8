// What a person types: blocks of lines, and commands.
#include <gtest/gtest.h>

#include "cli/chat_command.h"
#include "cli/input_block.h"

namespace minerva::cli {
namespace {

TEST(InputBlock, ALineIsAMessage) {
  InputBlock block;
  EXPECT_EQ(block.push("hello"), "hello");
  EXPECT_EQ(block.push(""), "");
  EXPECT_FALSE(block.open());
}

TEST(InputBlock, ABackslashGoesOn) {
  InputBlock block;
  EXPECT_EQ(block.push("one\\"), std::nullopt);
  EXPECT_TRUE(block.open());
  EXPECT_EQ(block.push("two\\"), std::nullopt);
  EXPECT_EQ(block.push("three"), "one\ntwo\nthree");
  EXPECT_FALSE(block.open());
}

TEST(InputBlock, QuotesHoldLinesAsTheyAre) {
  InputBlock block;
  EXPECT_EQ(block.push(R"(""")"), std::nullopt);
  EXPECT_EQ(block.push("a\\"), std::nullopt);
  EXPECT_EQ(block.push("/bye"), std::nullopt);
  EXPECT_EQ(block.push(""), std::nullopt);
  EXPECT_EQ(block.push(R"(""")"), "a\\\n/bye\n");
  EXPECT_EQ(block.push(R"("""all on one""")"), "all on one");
  EXPECT_EQ(block.push(R"("""begin)"), std::nullopt);
  EXPECT_EQ(block.push(R"(end""")"), "begin\nend");
}

TEST(InputBlock, ClearForgets) {
  InputBlock block;
  EXPECT_EQ(block.push(R"("""x)"), std::nullopt);
  block.clear();
  EXPECT_FALSE(block.open());
  EXPECT_EQ(block.push("y"), "y");
}

TEST(ChatCommand, Names) {
  using Kind = ChatCommand::Kind;
  EXPECT_EQ(parse_chat_command("/bye")->kind, Kind::Bye);
  EXPECT_EQ(parse_chat_command("/help")->kind, Kind::Help);
  EXPECT_EQ(parse_chat_command("/clear ")->kind, Kind::Clear);
  const auto system = parse_chat_command("/system  Be short. ");
  ASSERT_TRUE(system);
  EXPECT_EQ(system->kind, Kind::System);
  EXPECT_EQ(system->argument, "Be short.");
  const auto set = parse_chat_command("/set temperature 0.2");
  ASSERT_TRUE(set);
  EXPECT_EQ(set->name, "temperature");
  EXPECT_EQ(set->argument, "0.2");
}

TEST(ChatCommand, AnUnknownOneNamesTheNearest) {
  EXPECT_EQ(parse_chat_command("/sytem x").error().message,
            "there is no command \"sytem\"; did you mean system?");
  EXPECT_NE(parse_chat_command("/fortytwo").error().message.find("; there are help,"),
            std::string::npos);
}

TEST(ChatCommand, SettingsBecomeFieldsOfTheRequest) {
  wire::Json fields = wire::Json::object();
  ASSERT_TRUE(set_chat_field(fields, "temperature", "0.2"));
  ASSERT_TRUE(set_chat_field(fields, "max_tokens", "5"));
  EXPECT_EQ(fields.dump(), R"({"temperature":0.2,"max_tokens":5})");
  ASSERT_TRUE(set_chat_field(fields, "temperature", ""));
  EXPECT_EQ(fields.dump(), R"({"max_tokens":5})");
  EXPECT_EQ(set_chat_field(fields, "temprature", "1").error().message,
            "there is no setting \"temprature\"; did you mean temperature?");
  EXPECT_EQ(set_chat_field(fields, "top_p", "high").error().message,
            "top_p takes a number, not \"high\"");
}

}  // namespace
}  // namespace minerva::cli
