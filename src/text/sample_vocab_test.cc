// The tokenizers of the two sample models, where they are, against ids that llama.cpp gave
// (tools/make_tokenizer_goldens.py).
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/test_vocab.h"

namespace minerva::text {
namespace {

using Ids = std::vector<TokenId>;

struct Sample {
  const char* variable;  // names the file
  const char* goldens;   // in tests/data/text
  bool adds_bos;
  TokenId bos;
  TokenId eot;
  Ids ends;
};

class SampleVocab : public testing::TestWithParam<Sample> {
 protected:
  void SetUp() override {
    const char* path = std::getenv(GetParam().variable);
    if (path == nullptr || *path == '\0') {
      std::printf("NOT RUN: %s does not name a model file\n", GetParam().variable);
      GTEST_SKIP() << "NOT RUN: " << GetParam().variable << " does not name a model file";
    }
    tokenizer_ = open_tokenizer(path);
    ASSERT_NE(tokenizer_, nullptr);
  }
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_P(SampleVocab, EncodesAsLlamaCppDoes) {
  const auto goldens =
      nlohmann::json::parse(read_test_data(std::string("text/") + GetParam().goldens));
  for (const bool parsed : {false, true}) {
    const auto& cases = goldens.at(parsed ? "parsed" : "plain");
    ASSERT_GE(cases.size(), 100u);
    for (const auto& one : cases) {
      const auto text = one.at("text").get<std::string>();
      const auto ids = tokenizer_->encode(text, {.parse_special = parsed});
      ASSERT_TRUE(ids) << ids.error().message;
      EXPECT_EQ(*ids, one.at("ids").get<Ids>()) << text;
    }
  }
}

TEST_P(SampleVocab, SpecialTokens) {
  EXPECT_EQ(tokenizer_->adds_bos(), GetParam().adds_bos);
  EXPECT_FALSE(tokenizer_->adds_eos());
  EXPECT_EQ(tokenizer_->bos(), GetParam().bos);
  EXPECT_EQ(tokenizer_->eot(), GetParam().eot);
  const auto ends = tokenizer_->end_of_generation();
  EXPECT_EQ(Ids(ends.begin(), ends.end()), GetParam().ends);
}

// llama.cpp differs here: it takes </s> for a control token, whatever the file says.
TEST_P(SampleVocab, TheFileSaysWhichTokensAreUserDefined) {
  const auto id = tokenizer_->find("</s>");
  const auto ids = tokenizer_->encode("<b>x</s>");
  ASSERT_TRUE(ids) << ids.error().message;
  const bool found = id && ids->back() == *id;
  EXPECT_EQ(found, id && tokenizer_->kind(*id) == TokenKind::UserDefined);
  EXPECT_EQ(found, std::string_view(GetParam().goldens) == "gemma3.json");
}

INSTANTIATE_TEST_SUITE_P(
    All, SampleVocab,
    testing::Values(Sample{"MINERVA_SAMPLE_SMOLLM2", "smollm2.json", false, 1, 2, {0, 2}},
                    Sample{"MINERVA_SAMPLE_GEMMA3", "gemma3.json", true, 2, 106, {1, 106}}),
    [](const auto& info) { return std::string(info.index == 0 ? "smollm2" : "gemma3"); });

}  // namespace
}  // namespace minerva::text
