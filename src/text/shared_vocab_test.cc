// Whole vocabularies against ids made by the reference tokenizers, and what must hold on any text.
#include <gtest/gtest.h>

#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/utf8.h"
#include "text/test_vocab.h"
#include "text/utf8_stream.h"

namespace minerva::text {
namespace {

std::vector<std::string> texts_of(const std::string& name) {
  const std::string all = read_test_data("vocab/ggml-vocab-" + name + ".gguf.inp");
  const std::string mark = "\n__ggml_vocab_test__\n";
  std::vector<std::string> out;
  std::size_t at = 0;
  for (std::size_t end; (end = all.find(mark, at)) != std::string::npos; at = end + mark.size()) {
    out.push_back(all.substr(at, end - at));
  }
  return out;
}

std::vector<std::vector<TokenId>> ids_of(const std::string& name) {
  std::istringstream lines(read_test_data("vocab/ggml-vocab-" + name + ".gguf.out"));
  std::vector<std::vector<TokenId>> out;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::vector<TokenId> ids;
    for (TokenId id; words >> id;) ids.push_back(id);
    out.push_back(std::move(ids));
  }
  return out;
}

// The tokens that are one byte.
std::vector<TokenId> bytes_of(const Tokenizer& tokenizer) {
  std::vector<TokenId> out;
  for (std::size_t i = 0; i < tokenizer.vocab_size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (tokenizer.token_bytes(id).size() == 1) out.push_back(id);
  }
  return out;
}

class SharedVocab : public testing::TestWithParam<const char*> {};

TEST_P(SharedVocab, EncodesAsTheReferenceDoes) {
  const auto tokenizer = shared_vocab(GetParam());
  ASSERT_NE(tokenizer, nullptr);
  const auto texts = texts_of(GetParam());
  const auto ids = ids_of(GetParam());
  ASSERT_EQ(texts.size(), ids.size());
  ASSERT_GT(texts.size(), 40u);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto got = tokenizer->encode(texts[i]);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(*got, ids[i]) << "case " << i << ": " << texts[i];
  }
}

TEST_P(SharedVocab, DecodesToTheTextAgain) {
  const auto tokenizer = shared_vocab(GetParam());
  ASSERT_NE(tokenizer, nullptr);
  std::vector<std::string> texts = texts_of(GetParam());
  // Falcon's and DeepSeek's vocabularies lack bytes that no character has.
  if (bytes_of(*tokenizer).size() >= 256) {
    std::string every_byte;
    for (int i = 0; i < 256; ++i) every_byte.push_back(static_cast<char>(i));
    texts.push_back(every_byte);
    texts.push_back("cut short \xf0\x9f\xa6");
  }
  for (const std::string& text : texts) {
    const auto ids = tokenizer->encode(text);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(tokenizer->decode(*ids), text);
  }
}

// Random ids give random bytes: cut characters, lone continuation bytes, control tokens.
TEST_P(SharedVocab, StreamsOnlyWholeCharacters) {
  const auto tokenizer = shared_vocab(GetParam());
  ASSERT_NE(tokenizer, nullptr);
  // Half of the ids are single bytes, so that characters really are cut.
  const std::vector<TokenId> bytes = bytes_of(*tokenizer);
  ASSERT_GE(bytes.size(), 220u);
  std::size_t kept_back = 0;
  for (std::uint64_t round = 0; round < 300; ++round) {
    Utf8Stream stream;
    std::string streamed;
    std::vector<TokenId> ids;
    for (std::uint64_t i = 0; i < 100; ++i) {
      const double from = uniform(1, round, 2 * i) < 0.5 ? 0.0 : 1.0;
      const double pick = uniform(1, round, 2 * i + 1);
      const TokenId id =
          from == 0.0 ? bytes[static_cast<std::size_t>(pick * static_cast<double>(bytes.size()))]
                      : static_cast<TokenId>(pick * static_cast<double>(tokenizer->vocab_size()));
      ids.push_back(id);
      const std::string out = stream.push(tokenizer->token_bytes(id));
      ASSERT_TRUE(utf8_valid(out));
      kept_back += out.empty() ? 1 : 0;
      streamed += out;
    }
    const std::string rest = stream.finish();
    ASSERT_TRUE(utf8_valid(rest));
    streamed += rest;
    std::string whole = utf8_replace_invalid(tokenizer->decode(ids, true));
    // decode() takes away the space that encode() puts in front; a stream continues a text.
    if (streamed.size() == whole.size() + 1) whole.insert(0, " ");
    ASSERT_EQ(streamed, whole);
  }
  EXPECT_GT(kept_back, 0u);
}

INSTANTIATE_TEST_SUITE_P(All, SharedVocab,
                         testing::Values("gpt-2", "llama-bpe", "llama-spm", "phi-3", "falcon",
                                         "deepseek-llm", "qwen2"));

// BERT's vocabulary keeps neither capitals nor spaces, so its texts do not come back.
TEST(SharedVocabBert, EncodesAsTheReferenceDoes) {
  const auto bert = shared_vocab("bert-bge");
  ASSERT_NE(bert, nullptr);
  const auto texts = texts_of("bert-bge");
  const auto ids = ids_of("bert-bge");
  ASSERT_EQ(texts.size(), ids.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto got = bert->encode(texts[i]);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(*got, ids[i]) << "case " << i << ": " << texts[i];
  }
  EXPECT_EQ(bert->model_name(), "bert");
  const auto framed = bert->encode("Hello, W\u00f6rld!", {.add_special = true});
  ASSERT_TRUE(framed);
  EXPECT_EQ(*framed, (std::vector<TokenId>{101, 7592, 1010, 2088, 999, 102}));
  EXPECT_EQ(bert->decode(*framed), "hello, world!");
  EXPECT_EQ(*bert->encode(std::string(1 << 20, 'a')), std::vector<TokenId>{100});
}

TEST(SharedVocabDefaults, SpecialTokensAreThoseOfTheModels) {
  const auto gpt2 = shared_vocab("gpt-2");
  const auto llama3 = shared_vocab("llama-bpe");
  const auto llama2 = shared_vocab("llama-spm");
  ASSERT_TRUE(gpt2 && llama3 && llama2);

  EXPECT_EQ(gpt2->model_name(), "gpt2");
  EXPECT_EQ(gpt2->pre_name(), "gpt-2");
  EXPECT_FALSE(gpt2->adds_bos());
  EXPECT_EQ(gpt2->eos(), 50256);
  EXPECT_TRUE(gpt2->is_end_of_generation(50256));
  EXPECT_FALSE(gpt2->is_end_of_generation(0));

  EXPECT_TRUE(llama3->adds_bos());
  EXPECT_EQ(llama3->eot(), 128009);
  const std::vector<TokenId> ends(llama3->end_of_generation().begin(),
                                  llama3->end_of_generation().end());
  EXPECT_EQ(ends, (std::vector<TokenId>{128001, 128009}));

  EXPECT_EQ(llama2->model_name(), "llama");
  EXPECT_EQ(llama2->pre_name(), "");
  EXPECT_TRUE(llama2->adds_bos());
  EXPECT_EQ(llama2->unk(), 0);
  EXPECT_EQ(llama2->kind(3), TokenKind::Byte);
  EXPECT_EQ(llama2->token_bytes(3), std::string_view("\0", 1));
  EXPECT_EQ(llama2->piece(3), "<0x00>");
  EXPECT_EQ(llama2->token_bytes(*llama2->find("\xe2\x96\x81Hello")), " Hello");
}

TEST(SharedVocabDefaults, ControlTokensOnlyWhenParsed) {
  const auto llama3 = shared_vocab("llama-bpe");
  ASSERT_TRUE(llama3);
  const std::string text = "<|begin_of_text|>Hi<|eot_id|>";
  const auto plain = llama3->encode(text);
  ASSERT_TRUE(plain);
  for (const TokenId id : *plain) EXPECT_EQ(llama3->kind(id), TokenKind::Normal);
  EXPECT_EQ(llama3->decode(*plain), text);

  const auto parsed = llama3->encode(text, {.parse_special = true});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->front(), 128000);
  EXPECT_EQ(parsed->back(), 128009);
  EXPECT_EQ(llama3->decode(*parsed), "Hi");
  EXPECT_EQ(llama3->decode(*parsed, true), text);

  // The template wrote a BOS already.
  EXPECT_EQ(*llama3->encode(text, {.add_special = true, .parse_special = true}), *parsed);
  const auto added = llama3->encode("Hi", {.add_special = true});
  ASSERT_TRUE(added);
  EXPECT_EQ(added->front(), 128000);
  // Not parsed: these characters are no BOS.
  EXPECT_EQ(llama3->encode(text, {.add_special = true})->front(), 128000);
}

TEST(SharedVocabDefaults, SpmPutsASpaceAfterEverySpecialToken) {
  const auto llama2 = shared_vocab("llama-spm");
  ASSERT_TRUE(llama2);
  const TokenId hello = *llama2->find("\xe2\x96\x81Hello");
  EXPECT_EQ(*llama2->encode("Hello"), std::vector<TokenId>{hello});
  EXPECT_EQ(*llama2->encode("<s>Hello</s>Hello", {.parse_special = true}),
            (std::vector<TokenId>{1, hello, 2, hello}));
  EXPECT_EQ(llama2->decode(std::vector<TokenId>{1, hello}, true), "<s>Hello");
  EXPECT_TRUE(llama2->encode("")->empty());
}

// One word of a megabyte: quadratic work would run into the test's time limit.
TEST(SharedVocabDefaults, AMegabyteOfOneLetter) {
  const std::string text(1 << 20, 'a');
  for (const char* name : {"gpt-2", "llama-bpe", "llama-spm", "falcon", "deepseek-llm"}) {
    const auto tokenizer = shared_vocab(name);
    ASSERT_TRUE(tokenizer);
    const auto ids = tokenizer->encode(text);
    ASSERT_TRUE(ids);
    EXPECT_EQ(tokenizer->decode(*ids), text);
  }
}

TEST(SharedVocabDefaults, AnyNumberIsAskedForSafely) {
  const auto gpt2 = shared_vocab("gpt-2");
  ASSERT_TRUE(gpt2);
  for (const TokenId id :
       {-1, 50257, std::numeric_limits<TokenId>::min(), std::numeric_limits<TokenId>::max()}) {
    EXPECT_EQ(gpt2->token_bytes(id), "");
    EXPECT_EQ(gpt2->piece(id), "");
    EXPECT_EQ(gpt2->kind(id), TokenKind::Unused);
    EXPECT_EQ(gpt2->decode(std::vector<TokenId>{id}), "");
    EXPECT_FALSE(gpt2->is_end_of_generation(id));
  }
  EXPECT_EQ(gpt2->find("no such piece"), std::nullopt);
  EXPECT_EQ(gpt2->find(""), std::nullopt);
}

}  // namespace
}  // namespace minerva::text
