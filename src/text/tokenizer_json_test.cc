// Tokenizers of every kind that tokenizer.json is read for, against what PyPI `tokenizers` makes of
// the same files and texts (tools/make_tokenizer_json_goldens.py).
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/test_vocab.h"

namespace minerva::text {
namespace {

using json = nlohmann::json;
using Ids = std::vector<TokenId>;

constexpr std::size_t kCases = 64;

const json& goldens() {
  static const json kGoldens = json::parse(read_test_data("text/tokenizer_json.json"));
  return kGoldens;
}

class TokenizerJson : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    const std::string bytes = golden().at("tokenizer").dump();
    auto made = Tokenizer::from_json({.tokenizer = bytes});
    ASSERT_TRUE(made) << name() << ": " << made.error().message;
    tokenizer_ = *made;
  }
  const json& golden() const { return goldens().at("cases").at(GetParam()); }
  std::string name() const { return golden().at("name").get<std::string>(); }
  std::string text(std::size_t i) const { return goldens().at("texts").at(i).get<std::string>(); }

  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_P(TokenizerJson, EncodesAsTokenizersDoes) {
  const json& ids = golden().at("ids");
  ASSERT_GE(ids.size(), 80u);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto got = tokenizer_->encode(text(i), {.parse_special = true});
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(*got, ids[i].get<Ids>()) << name() << ": " << text(i);
  }
}

TEST_P(TokenizerJson, AddsTheTokensOfThePostProcessor) {
  const json& ids = golden().at("framed");
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto got = tokenizer_->encode(text(i), {.add_special = true, .parse_special = true});
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(*got, ids[i].get<Ids>()) << name() << ": " << text(i);
  }
}

TEST_P(TokenizerJson, DecodesAsTokenizersDoes) {
  const json& decoded = golden().at("decoded");
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    if (decoded[i].is_null()) continue;
    const Ids ids = golden().at("ids").at(i).get<Ids>();
    EXPECT_EQ(tokenizer_->decode(ids, true), decoded[i].get<std::string>())
        << name() << ": " << text(i);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerJson, testing::Range<std::size_t>(0, kCases));

// A word or none, of 256 KiB. Quadratic work would run into the test's time limit.
TEST(TokenizerJsonKinds, ALongRunOfOneCharacter) {
  for (const json& golden : goldens().at("cases")) {
    const std::string name = golden.at("name");
    const bool other_model = golden.at("tokenizer").at("model").at("type") != "BPE";
    if (!other_model && name != "clip" && name != "suffixes" &&
        name != "qwen35 by its expression") {
      continue;
    }
    const std::string bytes = golden.at("tokenizer").dump();
    const auto made = Tokenizer::from_json({.tokenizer = bytes});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_TRUE((*made)->encode(std::string(1 << 18, 'a'))) << name;
  }
}

TEST(TokenizerJsonKinds, AreAllTested) { EXPECT_EQ(goldens().at("cases").size(), kCases); }

}  // namespace
}  // namespace minerva::text
