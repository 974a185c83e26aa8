// GGUF vocabularies of the models t5 and llama, made of what small models of PyPI `sentencepiece`
// hold, against that library's own answers (tools/make_sentencepiece_goldens.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/gguf_writer.h"
#include "text/charsmap.h"
#include "text/test_vocab.h"

namespace minerva::text {
namespace {

using json = nlohmann::json;
using test::GgufWriter;
using Ids = std::vector<TokenId>;

constexpr std::size_t kCases = 5;

const json& goldens() {
  static const json kGoldens = json::parse(read_test_data("text/sentencepiece.json"));
  return kGoldens;
}

std::vector<std::byte> gguf_of(const json& model) {
  GgufWriter writer;
  writer.add_string("tokenizer.ggml.model", model.at("model").get<std::string>());
  writer.add_strings("tokenizer.ggml.tokens", model.at("pieces").get<std::vector<std::string>>());
  writer.add_f32s("tokenizer.ggml.scores", model.at("scores").get<std::vector<float>>());
  writer.add_i32s("tokenizer.ggml.token_type", model.at("kinds").get<std::vector<std::int32_t>>());
  writer.add_u32("tokenizer.ggml.unknown_token_id", model.at("unk").get<std::uint32_t>());
  writer.add_bool("tokenizer.ggml.add_space_prefix", model.at("add_space_prefix").get<bool>());
  writer.add_bool("tokenizer.ggml.remove_extra_whitespaces",
                  model.at("remove_extra_whitespaces").get<bool>());
  const auto map = bytes_of_base64(model.at("charsmap").get<std::string>());
  EXPECT_TRUE(map);
  if (!map->empty()) {
    std::vector<std::int32_t> bytes;
    for (const char c : *map) bytes.push_back(static_cast<unsigned char>(c));
    writer.add_i32s("tokenizer.ggml.precompiled_charsmap", bytes);
  }
  return writer.bytes();
}

class SentencePiece : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    const auto file = formats::GgufFile::parse(bytes_);
    ASSERT_TRUE(file) << file.error().message;
    auto made = Tokenizer::from_gguf(**file);
    ASSERT_TRUE(made) << made.error().message;
    tokenizer_ = *made;
  }
  const json& golden() const { return goldens().at("cases").at(GetParam()); }
  std::string text(std::size_t i) const { return goldens().at("texts").at(i).get<std::string>(); }

  std::vector<std::byte> bytes_ = gguf_of(golden());
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_P(SentencePiece, EncodesAsItDoes) {
  const json& ids = golden().at("ids");
  ASSERT_GE(ids.size(), 100u);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto got = tokenizer_->encode(text(i));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(*got, ids[i].get<Ids>()) << golden().at("name") << ": " << json(text(i)).dump();
  }
}

// But for unknown tokens, for which the library writes a text of its own.
TEST_P(SentencePiece, DecodesAsItDoes) {
  const json& decoded = golden().at("decoded");
  std::size_t compared = 0;
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    const Ids ids = golden().at("ids").at(i).get<Ids>();
    if (std::ranges::find(ids, golden().at("unk").get<TokenId>()) != ids.end()) continue;
    EXPECT_EQ(tokenizer_->decode(ids, true), decoded[i].get<std::string>())
        << golden().at("name") << ": " << json(text(i)).dump();
    ++compared;
  }
  EXPECT_GT(compared, 20u);
}

INSTANTIATE_TEST_SUITE_P(All, SentencePiece, testing::Range<std::size_t>(0, kCases));

TEST(SentencePieceKinds, AreAllTested) { EXPECT_EQ(goldens().at("cases").size(), kCases); }

}  // namespace
}  // namespace minerva::text
