#include "models/vocabulary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "support/byte_vocab.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using ::minerva::test::TempFolder;
using ::minerva::test::write_file;

constexpr const char* kTokenizer = R"({
  "added_tokens": [{"id": 3, "content": "<|im_end|>", "special": true},
                   {"id": 4, "content": "<s>", "special": true}],
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})";

class VocabularyFolder : public testing::Test {
 protected:
  void SetUp() override { write("tokenizer.json", kTokenizer); }
  void write(const char* name, const std::string& text) {
    write_file(folder_.path() / name, std::as_bytes(std::span(text)));
  }
  std::shared_ptr<const LoadedVocabulary> load() {
    auto loaded = load_vocabulary(folder_.path().string());
    if (!loaded) ADD_FAILURE() << loaded.error().message;
    return loaded ? *loaded : nullptr;
  }
  std::string refusal() {
    const auto loaded = load_vocabulary(folder_.path().string());
    return loaded ? "" : loaded.error().message;
  }
  TempFolder folder_;
};

TEST_F(VocabularyFolder, HoldsWhatTemplatesNeed) {
  write("tokenizer_config.json", R"({"chat_template": "{{ messages }}", "bos_token": "<s>",
         "eos_token": {"content": "<|im_end|>"}, "pad_token": "<|im_end|>", "unk_token": null})");
  write("config.json", R"({"model_type": "llama", "max_position_embeddings": 2048,
                           "_name_or_path": "org/some-model"})");
  write("generation_config.json", R"({"eos_token_id": [3, 4]})");
  const auto loaded = load();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->chat_template, "{{ messages }}");
  EXPECT_EQ(loaded->bos_text, "<s>");
  EXPECT_EQ(loaded->eos_text, "<|im_end|>");
  EXPECT_EQ(loaded->pad_text, "<|im_end|>");
  EXPECT_FALSE(loaded->unk_text);
  EXPECT_EQ(loaded->architecture, "llama");
  EXPECT_EQ(loaded->model_name, "org/some-model");
  EXPECT_EQ(loaded->context_length, 2048U);
  EXPECT_TRUE(loaded->tokenizer->is_end_of_generation(4));
  EXPECT_EQ(loaded->tokenizer->encode("ab<|im_end|>", {.parse_special = true}),
            (std::vector<TokenId>{2, 3}));
}

TEST_F(VocabularyFolder, TokenizerJsonIsEnough) {
  const auto loaded = load();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->chat_template, "");
  EXPECT_EQ(loaded->architecture, "");
  EXPECT_EQ(loaded->context_length, 0U);
  EXPECT_EQ(loaded->model_name, folder_.path().filename().string());
}

TEST_F(VocabularyFolder, TheTemplateIsWhereTheNewestFormatHasIt) {
  write("chat_template.json", R"({"chat_template": "of the processor"})");
  EXPECT_EQ(load()->chat_template, "of the processor");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "tools"},
                                     {"name": "default", "template": "by name"}]})");
  EXPECT_EQ(load()->chat_template, "by name");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "x", "template": "the only"}]})");
  EXPECT_EQ(load()->chat_template, "the only");
  write("chat_template.jinja", "a file of its own");
  EXPECT_EQ(load()->chat_template, "a file of its own");
}

TEST_F(VocabularyFolder, OfModelsThatSeeTheTextLiesDeeper) {
  write("config.json", R"({"model_type": "gemma3", "text_config":
        {"model_type": "gemma3_text", "max_position_embeddings": 8192, "eos_token_id": 3}})");
  const auto loaded = load();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->architecture, "gemma3");
  EXPECT_EQ(loaded->context_length, 8192U);
  EXPECT_EQ(loaded->tokenizer->eos(), 3);
}

TEST_F(VocabularyFolder, LinksAreFollowedAsAHuggingFaceCacheNeeds) {
  const fs::path blobs = folder_.path() / "blobs";
  const fs::path snapshot = folder_.path() / "snapshots" / "abc";
  fs::create_directories(blobs);
  fs::create_directories(snapshot);
  fs::rename(folder_.path() / "tokenizer.json", blobs / "0123");
  fs::create_symlink("../../blobs/0123", snapshot / "tokenizer.json");
  const auto loaded = load_vocabulary(snapshot.string());
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ((*loaded)->tokenizer->vocab_size(), 5U);
}

TEST_F(VocabularyFolder, WhatIsWrongIsNamed) {
  for (const char* file : {"tokenizer_config.json", "config.json", "generation_config.json",
                           "special_tokens_map.json"}) {
    write(file, "{\"a\": 1, \"a\": 2}");
    EXPECT_NE(refusal().find(file), std::string::npos) << refusal();
    write(file, "[]");
    EXPECT_NE(refusal().find(file), std::string::npos) << refusal();
    write(file, std::string((std::size_t{16} << 20) + 1, ' '));
    EXPECT_NE(refusal().find("16777217 bytes; at most 16777216"), std::string::npos) << refusal();
    fs::remove(folder_.path() / file);
  }
  write("tokenizer.json", "{}");
  EXPECT_NE(refusal().find("tokenizer.json: no model"), std::string::npos) << refusal();
  fs::remove(folder_.path() / "tokenizer.json");
  EXPECT_NE(refusal().find("has no tokenizer.json"), std::string::npos) << refusal();
  write("tokenizer.model", "\n");
  EXPECT_NE(refusal().find("tokenizer.model but no tokenizer.json"), std::string::npos);
  fs::create_directory(folder_.path() / "tokenizer.json");
  EXPECT_NE(refusal().find("tokenizer.json"), std::string::npos) << refusal();
}

}  // namespace
}  // namespace minerva::models
