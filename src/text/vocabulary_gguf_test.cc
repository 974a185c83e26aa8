#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "support/gguf_writer.h"
#include "text/tokenizer.h"

namespace minerva::text {
namespace {

using test::GgufWriter;

Result<std::shared_ptr<const Tokenizer>> read(const GgufWriter& writer) {
  const auto file = formats::GgufFile::parse(writer.bytes());
  if (!file) return fail(file.error());
  return Tokenizer::from_gguf(**file);  // the file goes away here
}

GgufWriter small_vocabulary() {
  GgufWriter writer;
  const std::vector<std::string> pieces = {"a", "b", "ab", "<end>"};
  const std::vector<std::int32_t> kinds = {1, 1, 1, 3};
  const std::vector<std::string> merges = {"a b"};
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_strings("tokenizer.ggml.tokens", pieces);
  writer.add_i32s("tokenizer.ggml.token_type", kinds);
  writer.add_strings("tokenizer.ggml.merges", merges);
  return writer;
}

TEST(GgufVocabulary, EveryKeyIsRead) {
  GgufWriter writer = small_vocabulary();
  writer.add_string("tokenizer.ggml.pre", "qwen2");
  writer.add_u32("tokenizer.ggml.bos_token_id", 0);
  writer.add_u32("tokenizer.ggml.eos_token_id", 1);
  writer.add_u32("tokenizer.ggml.eot_token_id", 3);
  writer.add_u32("tokenizer.ggml.eom_token_id", 2);
  writer.add_u32("tokenizer.ggml.unknown_token_id", 2);
  writer.add_u32("tokenizer.ggml.padding_token_id", 1);
  writer.add_bool("tokenizer.ggml.add_bos_token", true);
  writer.add_bool("tokenizer.ggml.add_eos_token", true);
  const auto read_back = read(writer);
  ASSERT_TRUE(read_back) << read_back.error().message;
  const Tokenizer& tokenizer = **read_back;
  EXPECT_EQ(tokenizer.pre_name(), "qwen2");
  EXPECT_EQ(tokenizer.vocab_size(), 4u);
  EXPECT_EQ(tokenizer.bos(), 0);
  EXPECT_EQ(tokenizer.eos(), 1);
  EXPECT_EQ(tokenizer.eot(), 3);
  EXPECT_EQ(tokenizer.unk(), 2);
  EXPECT_EQ(tokenizer.pad(), 1);
  EXPECT_EQ(tokenizer.kind(3), TokenKind::Control);
  const auto ends = tokenizer.end_of_generation();
  EXPECT_EQ(std::vector<TokenId>(ends.begin(), ends.end()), (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ(tokenizer.encode("ab", {.add_special = true}), (std::vector<TokenId>{0, 2, 1}));
}

TEST(GgufVocabulary, AMissingPreTokenizerIsTheDefaultOne) {
  const auto tokenizer = read(small_vocabulary());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->pre_name(), "default");
}

TEST(GgufVocabulary, AFileWithoutATokenizerSaysSo) {
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  const auto tokenizer = read(writer);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, ErrorCode::InvalidModel);
  EXPECT_NE(tokenizer.error().message.find("tokenizer.ggml.model"), std::string::npos);
}

TEST(GgufVocabulary, AKeyOfAnotherTypeIsRefused) {
  GgufWriter writer = small_vocabulary();
  writer.add_string("tokenizer.ggml.bos_token_id", "0");
  const auto tokenizer = read(writer);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, ErrorCode::InvalidModel);
  EXPECT_NE(tokenizer.error().message.find("bos_token_id"), std::string::npos);
}

TEST(GgufVocabulary, ANegativeIdIsRefused) {
  GgufWriter writer = small_vocabulary();
  writer.add_i32("tokenizer.ggml.eos_token_id", -1);
  const auto tokenizer = read(writer);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, ErrorCode::InvalidModel);
}

const std::string kMark = "\xe2\x96\x81";

TEST(GgufVocabulary, T5TakesTheLikeliestWay) {
  GgufWriter writer;
  const std::vector<std::string> pieces = {"<pad>", "</s>", "<unk>",      kMark + "a", "b",
                                           "ab",    kMark,  kMark + "ab", "c",         "<x>"};
  const std::vector<float> scores = {0, 0, 0, -2, -2, -9, -3, -3.5, -2, 0};
  const std::vector<std::int32_t> kinds = {3, 3, 2, 1, 1, 1, 1, 1, 1, 4};
  writer.add_string("tokenizer.ggml.model", "t5");
  writer.add_strings("tokenizer.ggml.tokens", pieces);
  writer.add_f32s("tokenizer.ggml.scores", scores);
  writer.add_i32s("tokenizer.ggml.token_type", kinds);
  writer.add_u32("tokenizer.ggml.eos_token_id", 1);
  writer.add_bool("tokenizer.ggml.add_space_prefix", true);
  writer.add_bool("tokenizer.ggml.remove_extra_whitespaces", true);
  const auto tokenizer = read(writer);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto ids = [&](std::string_view text) {
    return (*tokenizer)->encode(text, {.add_special = true}).value_or(std::vector<TokenId>{-1});
  };
  // One token of -3.5 beats two of -2; unknown characters side by side are one.
  EXPECT_EQ(ids("ab"), (std::vector<TokenId>{7, 1}));
  EXPECT_EQ(ids("  ab   cb "), (std::vector<TokenId>{7, 6, 8, 4, 1}));
  EXPECT_EQ(ids("axyzb"), (std::vector<TokenId>{3, 2, 4, 1}));
  EXPECT_EQ(ids("c<x>b"), (std::vector<TokenId>{6, 8, 9, 6, 4, 1}));
  EXPECT_EQ(ids(""), std::vector<TokenId>{1});
  EXPECT_EQ((*tokenizer)->decode(std::vector<TokenId>{7, 6, 8, 4, 1}), "ab cb");
  EXPECT_EQ((*tokenizer)->model_name(), "t5");
  EXPECT_TRUE((*tokenizer)->adds_eos());
  EXPECT_FALSE((*tokenizer)->adds_bos());
  // Linear in a word of a megabyte.
  EXPECT_EQ(ids(std::string(1 << 20, 'b')).size(), (1u << 20) + 2);
}

TEST(GgufVocabulary, T5NeedsItsScores) {
  GgufWriter t5;
  const std::vector<std::string> pieces = {"a", "b"};
  t5.add_string("tokenizer.ggml.model", "t5");
  t5.add_strings("tokenizer.ggml.tokens", pieces);
  const auto tokenizer = read(t5);
  ASSERT_FALSE(tokenizer);
  EXPECT_NE(tokenizer.error().message.find("scores has 0 elements"), std::string::npos)
      << tokenizer.error().message;
}

// With these keys, a model of characters.
GgufWriter characters(const char* model, const char* pre) {
  GgufWriter writer;
  std::vector<std::string> pieces = {"<pad>", "<eos>",     "<bos>", "<unk>", "a",   "b",
                                     kMark,   kMark + "a", "ab",    "\n",    "\n\n"};
  std::vector<std::int32_t> kinds = {3, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1};
  for (unsigned byte = 0; byte < 256; ++byte) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    pieces.push_back(std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">");
    kinds.push_back(6);
  }
  const std::vector<std::string> merges = {kMark + " a", "a b"};
  writer.add_string("tokenizer.ggml.model", model);
  if (pre != nullptr) writer.add_string("tokenizer.ggml.pre", pre);
  writer.add_strings("tokenizer.ggml.tokens", pieces);
  writer.add_i32s("tokenizer.ggml.token_type", kinds);
  writer.add_strings("tokenizer.ggml.merges", merges);
  writer.add_u32("tokenizer.ggml.bos_token_id", 2);
  writer.add_u32("tokenizer.ggml.eos_token_id", 1);
  return writer;
}

TEST(GgufVocabulary, Gemma4MergesCharactersAndKeepsNewlinesTogether) {
  const auto tokenizer = read(characters("gemma4", nullptr));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto ids = (*tokenizer)->encode("ab ab\n\n\nx", {.add_special = true});
  ASSERT_TRUE(ids);
  // No token of three newlines: they merge as other characters do. x is a byte.
  EXPECT_EQ(*ids, (std::vector<TokenId>{2, 8, 7, 5, 9, 9, 9, 11 + 'x'}));
  EXPECT_EQ(*(*tokenizer)->encode("\n\n"), std::vector<TokenId>{10});
  EXPECT_EQ((*tokenizer)->decode(*ids), "ab ab\n\n\nx");
  // Files that say gpt2 and name such a pre-tokenizer.
  const auto other = read(characters("gpt2", "granite-embed-multi-311m"));
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(*(*other)->encode("ab ab\n\n\nx", {.add_special = true}), *ids);
  // Here newlines merge as everything does: no merge makes the token of two.
  const auto sarvam = read(characters("gpt2", "sarvam-moe"));
  ASSERT_TRUE(sarvam) << sarvam.error().message;
  EXPECT_EQ(*(*sarvam)->encode("\n\n"), (std::vector<TokenId>{9, 9}));
  EXPECT_FALSE((*sarvam)->adds_bos());
}

// None of them takes the name of a byte that is none for some byte.
TEST(GgufVocabulary, ABytesNameMustSayWhichByte) {
  for (const char* model : {"llama", "t5", "gemma4"}) {
    GgufWriter writer;
    const std::vector<std::string> pieces = {"<unk>", "a", "b", "ab", "<0xZZ>"};
    const std::vector<float> scores = {0, -1, -1, -1, 0};
    const std::vector<std::int32_t> kinds = {2, 1, 1, 1, 6};
    const std::vector<std::string> merges = {"a b"};
    writer.add_string("tokenizer.ggml.model", model);
    writer.add_strings("tokenizer.ggml.tokens", pieces);
    writer.add_f32s("tokenizer.ggml.scores", scores);
    writer.add_i32s("tokenizer.ggml.token_type", kinds);
    writer.add_strings("tokenizer.ggml.merges", merges);
    const auto tokenizer = read(writer);
    ASSERT_FALSE(tokenizer) << model;
    EXPECT_NE(tokenizer.error().message.find("tokens[4] is \"<0xZZ>\""), std::string::npos)
        << model << ": " << tokenizer.error().message;
  }
}

}  // namespace
}  // namespace minerva::text
