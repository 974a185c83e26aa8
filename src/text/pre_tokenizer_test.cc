#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/test_vocab.h"

namespace minerva::text {
namespace {

using Pieces = std::vector<std::string>;

constexpr std::string_view kEachOfItsKind[] = {
    "default",     "gpt-2",          "smollm",   "llama-bpe", "qwen2",    "qwen35",
    "ufakzeka",    "seed-coder",     "tekken",   "gpt-4o",    "kimi-k2",  "deepseek-llm",
    "deepseek-v3", "deepseek-coder", "falcon",   "minicpm5",  "laguna",   "bloom",
    "viking",      "exaone-moe",     "jais-2",   "superbpe",  "tiny_aya", "afmoe",
    "youtu",       "spark2_5",       "chameleon"};

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

// Texts of many scripts, split by the published expressions (tools/make_tokenizer_goldens.py).
TEST(PreTokenizer, SplitsAsTheExpressionsDo) {
  const auto goldens = nlohmann::json::parse(read_test_data("text/pre_tokenizers.json"));
  const auto texts = goldens.at("texts").get<std::vector<std::string>>();
  ASSERT_GE(texts.size(), 260u);
  ASSERT_EQ(goldens.at("lengths").size(), 28u);
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

TEST(PreTokenizer, GroupsDigitsFromTheRight) {
  // As its expression says, only where a word ends behind them; the others go three by three.
  EXPECT_EQ(split("tiny_aya", "12345 12345a"), (Pieces{"12", "345", " ", "123", "45", "a"}));
  EXPECT_EQ(split("afmoe", "a12345 1"), (Pieces{"a", "12", "345", " ", "1"}));
  // Places between digits only: what is before and behind them is not parted from them.
  EXPECT_EQ(split("superbpe", "a b12345 c"), (Pieces{"a b", "12", "345", " c"}));
  EXPECT_EQ(split("superbpe", "12\u00bd345\u00bd6"), (Pieces{"12\u00bd", "345\u00bd6"}));
}

// Numbers of Unicode 17, which expressions do not know.
TEST(PreTokenizer, DigitsKnowsTheNewestNumbers) {
  const std::string text = "a\U00011de3\U00016ff4b1";
  EXPECT_EQ(scan_each_digit(text), 1u);
  EXPECT_EQ(scan_each_digit(std::string_view(text).substr(1)), 4u);
  EXPECT_EQ(scan_digits(std::string_view(text).substr(1)), 8u);
  EXPECT_EQ(scan_each_number(text), text.size() - 1);
}

// As an expression of tokenizer.json it leaves digits that a letter follows to what comes behind
// it.
TEST(PreTokenizer, DigitsInWordsStayTogether) {
  const KnownExpression* const known = find_expression(R"(\d{1,3}(?=(?:\d{3})*\b))");
  ASSERT_NE(known, nullptr);
  const Scanner stages[] = {known->scanner, known->then};
  Pieces pieces;
  split_words(stages, "5945419caf\u00e9 123456x 1234567 \u0661\u0662\u0663\u0664",
              [&](std::string_view piece) { pieces.emplace_back(piece); });
  EXPECT_EQ(pieces, (Pieces{"5945419caf\u00e9 123456x ", "1", "234", "567", " ", "\u0661",
                            "\u0662\u0663\u0664"}));
}

// One scanner or two.
TEST(PreTokenizer, AnExpressionIsKnownByItsText) {
  const KnownExpression* const known = find_expression(R"((?=(\d{3})+(?!\d)))");
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(known->then, scan_groups_of_3);
  EXPECT_FALSE(known->whole);
  EXPECT_EQ(find_expression(R"((?=(\d{3})+(?!\d))x)"), nullptr);
}

TEST(PreTokenizer, EveryNameIsFoundAndListed) {
  for (const char* name :
       {"default",      "gpt-2",      "phi-2",       "olmo",      "mpt",
        "smollm",       "starcoder",  "refact",      "command-r", "exaone",
        "llama-bpe",    "llama3",     "llama-v3",    "falcon3",   "pixtral",
        "lfm2",         "glm4",       "chatglm-bpe", "qwen2",     "deepseek-r1-qwen",
        "stablelm2",    "megrez",     "cohere2moe",  "glm5",      "jina-v1-en",
        "jina-v2-code", "roberta-bpe"}) {
    EXPECT_NE(find_pre_tokenizer(name), nullptr) << name;
    EXPECT_NE(known_pre_tokenizers().find(name), std::string::npos) << name;
  }
  EXPECT_EQ(find_pre_tokenizer(""), nullptr);
  EXPECT_EQ(find_pre_tokenizer("gpt-9"), nullptr);
  EXPECT_TRUE(find_pre_tokenizer("llama3")->ignore_merges);
  EXPECT_TRUE(find_pre_tokenizer("glm4")->ignore_merges);
  EXPECT_FALSE(find_pre_tokenizer("dbrx")->ignore_merges);
}

// Whatever the bytes, the pieces are not empty and together are the text.
TEST(PreTokenizer, BytesThatAreNotTextStayWhole) {
  for (const std::string_view name : kEachOfItsKind) {
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

// Runs that make careless splitters look ahead again and again; quadratic work on this would run
// into the test's time limit.
TEST(PreTokenizer, LongRunsTakeOnePass) {
  for (const std::string_view name : kEachOfItsKind) {
    for (const std::string_view unit :
         {" ", "\n", "a", "1", "!", "\xcc\x81", "\u0663", "1 ", "<sentinel:"}) {
      std::string text;
      while (text.size() < (1u << 17)) text += unit;
      std::size_t bytes = 0;
      split_words(find_pre_tokenizer(name)->stages, text,
                  [&](std::string_view piece) { bytes += piece.size(); });
      EXPECT_EQ(bytes, text.size());
    }
  }
}

}  // namespace
}  // namespace minerva::text
