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

}  // namespace
}  // namespace minerva::text
