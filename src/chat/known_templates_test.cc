#include "chat/known_templates.h"

#include <gtest/gtest.h>

#include <set>

#include "chat/render.h"

namespace minerva::chat {
namespace {

std::string_view picked(std::string_view architecture, std::string_view name,
                        const std::set<std::string_view>& tokens) {
  const auto known =
      pick_template(architecture, name, [&](std::string_view t) { return tokens.contains(t); });
  EXPECT_FALSE(known.why.empty());
  EXPECT_EQ(known.source, known_template(known.name));
  return known.name;
}

TEST(KnownTemplates, MarkersDecideThenTheName) {
  EXPECT_EQ(picked("llama", "any", {"<|im_start|>", "<|im_end|>"}), "chatml");
  EXPECT_EQ(picked("gemma3", "any", {"<start_of_turn>", "<end_of_turn>"}), "gemma");
  EXPECT_EQ(picked("llama", "any", {"<|start_header_id|>", "<|eot_id|>"}), "llama3");
  EXPECT_EQ(picked("llama", "any", {"[INST]", "[/INST]"}), "mistral");
  EXPECT_EQ(picked("llama", "Mistral-7B-Instruct-v0.1", {}), "mistral");
  EXPECT_EQ(picked("llama", "Mistral-7B-v0.1", {}), "plain");
  EXPECT_EQ(picked("llama", "any", {"<|im_start|>"}), "plain");
  EXPECT_EQ(known_template("nothing"), "");
}

std::string conversation(std::string_view name) {
  Conversation c;
  for (const auto& [role, text] :
       {std::pair{"system", "S"}, {"user", "U1"}, {"assistant", "A1"}, {"user", "U2"}}) {
    Message message;
    message.role = role;
    message.content = {{ContentPart{.text = text}}};
    c.messages.push_back(message);
  }
  const auto made = ChatTemplate::compile(std::string(known_template(name)));
  EXPECT_TRUE(made) << made.error().message;
  const auto text = render_conversation(**made, c, {.bos = "<s>", .eos = "</s>"});
  EXPECT_TRUE(text) << text.error().message;
  return text.value_or("");
}

TEST(KnownTemplates, Render) {
  EXPECT_EQ(conversation("chatml"),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU1<|im_end|>\n"
            "<|im_start|>assistant\nA1<|im_end|>\n<|im_start|>user\nU2<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(conversation("gemma"),
            "<s><start_of_turn>user\nS\n\nU1<end_of_turn>\n<start_of_turn>model\nA1<end_of_turn>\n"
            "<start_of_turn>user\nU2<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(conversation("llama3"),
            "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nU1<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nA1<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nU2<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
  EXPECT_EQ(conversation("mistral"), "<s>[INST] S\n\nU1 [/INST] A1</s>[INST] U2 [/INST]");
  EXPECT_EQ(conversation("plain"), "System: S\nUser: U1\nAssistant: A1\nUser: U2\nAssistant:");
}

// Written by us, so Python must agree that they are templates: no tokens, no content.
TEST(KnownTemplates, NullContentPrintsNothing) {
  for (const char* name : {"chatml", "gemma", "llama3", "mistral", "plain"}) {
    const auto made = ChatTemplate::compile(std::string(known_template(name)));
    ASSERT_TRUE(made);
    Conversation c;
    c.messages = {{.role = "user"}, {.role = "assistant"}};
    const auto text = render_conversation(**made, c, {.bos = "<s>", .eos = "</s>"});
    ASSERT_TRUE(text) << name << text.error().message;
    EXPECT_EQ(text->find("None"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace minerva::chat
