#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/test_vocab.h"

namespace minerva::text {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(std::string_view name, std::string_view text) {
  Pieces out;
  const PreTokenizer* row = find_pre_tokenizer(name);
  if (row == nullptr) {
    ADD_FAILURE() << "no pre-tokenizer " << name;
    return out;
  }
  split_words(row->stages, text, [&](std::string_view piece) { out.emplace_back(piece); });
  return out;
}

// 250 texts of many scripts, split by the published expressions (tools/make_tokenizer_goldens.py).
TEST(PreTokenizer, SplitsAsTheExpressionsDo) {
  const auto goldens = nlohmann::json::parse(read_test_data("text/pre_tokenizers.json"));
  const auto texts = goldens.at("texts").get<std::vector<std::string>>();
  ASSERT_GE(texts.size(), 200u);
  ASSERT_EQ(goldens.at("lengths").size(), 20u);
  for (const auto& [name, rows] : goldens.at("lengths").items()) {
    ASSERT_EQ(rows.size(), texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      std::vector<std::size_t> lengths;
      for (const std::string& piece : split(name, texts[i])) lengths.push_back(piece.size());
      EXPECT_EQ(lengths, rows[i].get<std::vector<std::size_t>>()) << name << ": " << texts[i];
    }
  }
}

TEST(PreTokenizer, WhereTheyDiffer) {
  const std::string_view text = "I'LL pay $12345,\n  ok";
  EXPECT_EQ(split("gpt-2", text),
            (Pieces{"I", "'", "LL", " pay", " $", "12345", ",", "\n ", " ok"}));
  EXPECT_EQ(split("smollm", text),
            (Pieces{"I", "'", "LL", " pay", " $", "1", "2", "3", "4", "5", ",", "\n ", " ok"}));
  EXPECT_EQ(split("llama-bpe", text),
            (Pieces{"I", "'LL", " pay", " $", "123", "45", ",\n", " ", " ok"}));
  EXPECT_EQ(split("qwen2", text),
            (Pieces{"I", "'LL", " pay", " $", "1", "2", "3", "4", "5", ",\n", " ", " ok"}));
  EXPECT_EQ(split("default", text),
            (Pieces{"I", "'", "LL", " pay", " ", "$", "123", "45", ",", "\n ", " ok"}));
}

TEST(PreTokenizer, EveryNameIsFoundAndListed) {
  for (const char* name :
       {"default", "gpt-2",     "phi-2",  "olmo",        "mpt",    "smollm",           "starcoder",
        "refact",  "command-r", "exaone", "llama-bpe",   "llama3", "llama-v3",         "falcon3",
        "pixtral", "lfm2",      "glm4",   "chatglm-bpe", "qwen2",  "deepseek-r1-qwen", "stablelm2",
        "megrez"}) {
    EXPECT_NE(find_pre_tokenizer(name), nullptr) << name;
    EXPECT_NE(known_pre_tokenizers().find(name), std::string::npos) << name;
  }
  EXPECT_EQ(find_pre_tokenizer(""), nullptr);
  EXPECT_EQ(find_pre_tokenizer("gpt-9"), nullptr);
  EXPECT_TRUE(find_pre_tokenizer("llama3")->ignore_merges);
  EXPECT_FALSE(find_pre_tokenizer("glm4")->ignore_merges);
}

// Whatever the bytes, the pieces are not empty and together are the text.
TEST(PreTokenizer, BytesThatAreNotTextStayWhole) {
  for (const char* name : {"default", "gpt-2", "smollm", "llama-bpe", "qwen2"}) {
    for (const std::string& text :
         {std::string("\xff\xfe a\xc3"), std::string("\xf0\x9f"), std::string("'\xc5"),
          std::string(" \x80 \x80"), std::string("\0\0 \0", 4), std::string("'"), std::string(" "),
          std::string("12\xed\xa0\x80 3")}) {
      std::string joined;
      for (const std::string& piece : split(name, text)) {
        EXPECT_FALSE(piece.empty());
        joined += piece;
      }
      EXPECT_EQ(joined, text) << name;
    }
  }
}

// Runs that make careless splitters look ahead again and again; quadratic work on 1 MB would run
// into the test's time limit.
TEST(PreTokenizer, LongRunsTakeOnePass) {
  for (const char* name : {"default", "gpt-2", "smollm", "llama-bpe", "qwen2"}) {
    for (const std::string_view unit :
         {" ", "\n", " \n", "a", "1", "'", "!", "\xcc\x81", " !", "'s"}) {
      std::string text;
      while (text.size() < (1u << 20)) text += unit;
      std::size_t bytes = 0;
      split_words(find_pre_tokenizer(name)->stages, text,
                  [&](std::string_view piece) { bytes += piece.size(); });
      EXPECT_EQ(bytes, text.size());
    }
  }
}

}  // namespace
}  // namespace minerva::text
