// Every template of tests/data/chat against Python's jinja2 (tools/make_template_goldens.py).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "chat/template.h"

namespace minerva::chat {
namespace {

const std::filesystem::path kData = std::filesystem::path(MINERVA_SOURCE_DIR) / "tests/data/chat";

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::map<std::string, Json> contexts() {
  std::map<std::string, Json> found;
  Json items = Json::parse(read_file(kData / "conversations.json"));
  for (Json& item : items) {
    item["context"]["now"] = "2026-01-31T12:34:56";
    found[item["name"]] = item["context"];
  }
  return found;
}

// Where Python fails and we render; nothing that Python renders may differ. Hermes and Command R
// iterate over tools that are none, which is an error there and nothing here; Kimi appends to a
// list, which Python's sandbox forbids.
const std::set<std::string> kOnlyWeRender = {
    "templates/CohereForAI-c4ai-command-r7b-12-2024-tool_use.jinja",
    "templates/Kimi-K2-Instruct.jinja",
    "templates/NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use.jinja",
};

TEST(TemplateGolden, EqualsPython) {
  const auto cases = contexts();
  std::map<std::string, std::shared_ptr<const ChatTemplate>> compiled;
  std::istringstream lines(read_file(kData / "goldens.jsonl"));
  std::size_t identical = 0;
  std::size_t both_refuse = 0;
  std::size_t only_we_render = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json golden = Json::parse(line);
    const std::string file = golden["template"];
    auto& chat_template = compiled[file];
    if (!chat_template) {
      auto made = ChatTemplate::compile(read_file(kData / file));
      ASSERT_TRUE(made) << file << ": " << made.error().message;
      chat_template = *made;
    }
    const std::string name = golden["case"];
    const auto text = chat_template->render(cases.at(name));
    if (golden.contains("text")) {
      if (!text) {
        ADD_FAILURE() << file << " " << name << ": " << text.error().message;
        continue;
      }
      EXPECT_EQ(*text, golden["text"].get<std::string>()) << file << " " << name;
      identical += *text == golden["text"].get<std::string>();
    } else if (text) {
      ++only_we_render;
      EXPECT_TRUE(kOnlyWeRender.contains(file)) << file << " " << name << " " << golden["refused"];
    } else {
      ++both_refuse;
      // A 400, whose message is about this template.
      EXPECT_EQ(text.error().code, ErrorCode::InvalidArgument) << file << " " << name;
      EXPECT_NE(text.error().message, "");
    }
  }
  EXPECT_GT(identical, 700u);
  std::cout << identical << " identical, " << both_refuse << " refused by both, " << only_we_render
            << " rendered by us only\n";
}

}  // namespace
}  // namespace minerva::chat
