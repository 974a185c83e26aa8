// Any bytes through both kinds of tokenizer, with vocabularies small enough to build for every
// input. The first byte chooses the pre-tokenizer and the options.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"
#include "text/utf8_stream.h"

namespace {

using minerva::TokenId;
using minerva::text::EncodeOptions;
using minerva::text::Tokenizer;
using minerva::text::VocabularySource;

constexpr std::array<std::string_view, 26> kPre = {
    "default",     "gpt-2",      "smollm",   "llama-bpe", "qwen2",        "qwen35",
    "gpt-4o",      "tekken",     "kimi-k2",  "falcon",    "deepseek-llm", "deepseek-coder",
    "deepseek-v3", "seed-coder", "bloom",    "viking",    "minicpm5",     "laguna",
    "exaone-moe",  "jais-2",     "superbpe", "tiny_aya",  "afmoe",        "youtu",
    "spark2_5",    "chameleon"};

// Every byte, some merges (one of them through half a character), a control and a user token.
std::shared_ptr<const Tokenizer> make_bpe(std::string_view pre) {
  std::vector<std::string> pieces;
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string letter;
    minerva::utf8_append(letter, minerva::text::letter_of_byte(static_cast<std::uint8_t>(byte)));
    pieces.push_back(letter);
  }
  std::vector<std::string> merges;
  const auto merge = [&](const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    pieces.push_back(left + right);
  };
  merge("a", "a");
  merge("aa", "aa");
  merge("t", "h");
  merge("th", "e");
  merge(pieces[' '], "the");
  merge(pieces[0xe2], pieces[0x82]);
  merge(pieces['\n'], pieces['\n']);
  merge("1", "2");
  VocabularySource source;
  source.model = "gpt2";
  source.pre = pre;
  pieces.push_back("<end>");
  pieces.push_back("<user>");
  source.pieces.assign(pieces.begin(), pieces.end());
  source.merges.assign(merges.begin(), merges.end());
  source.kinds.assign(pieces.size(), 1);
  source.kinds[pieces.size() - 2] = 3;
  source.kinds[pieces.size() - 1] = 4;
  source.bos = source.eos = pieces.size() - 2;
  auto made = Tokenizer::from_source(source);
  MINERVA_CHECK(made.has_value());
  return *made;
}

std::shared_ptr<const Tokenizer> make_spm(bool space_prefix) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  const std::string mark = "\xe2\x96\x81";
  std::vector<std::string> pieces = {"<unk>", "<s>", "</s>"};
  std::vector<float> scores = {0, 0, 0};
  VocabularySource source;
  source.kinds = {2, 3, 3};
  const auto add = [&](const std::string& piece, float score, int kind) {
    pieces.push_back(piece);
    scores.push_back(score);
    source.kinds.push_back(kind);
  };
  for (unsigned byte = 0; byte < 256; ++byte) {
    add(std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">", 0, 6);
  }
  for (const char* one : {"a", "b", "t", "h", "e", "\xc3\xa9", ">"}) add(one, -9, 1);
  add(mark, -9, 1);
  add(mark + mark, -1, 1);
  add("aa", -2, 1);
  add("th", -3, 1);
  add("the", -4, 1);
  add(mark + "the", -2, 1);
  add(">" + mark, -1, 1);
  add("\n\n", -1, 4);
  source.model = "llama";
  source.pieces.assign(pieces.begin(), pieces.end());
  source.scores = scores;
  source.unk = 0;
  source.bos = 1;
  source.eos = 2;
  source.add_space_prefix = space_prefix;
  auto made = Tokenizer::from_source(source);
  MINERVA_CHECK(made.has_value());
  return *made;
}

void check(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options) {
  const auto ids = tokenizer.encode(text, options);
  MINERVA_CHECK(ids.has_value());
  for (const TokenId id : *ids) {
    MINERVA_CHECK(id >= 0 && static_cast<std::size_t>(id) < tokenizer.vocab_size());
  }
  const std::string whole = tokenizer.decode(*ids, true);
  if (tokenizer.model_name() == "gpt2") {
    if (!options.add_special) MINERVA_CHECK(whole == text);
  } else if (!options.add_special && !options.parse_special &&
             text.find("\xe2\x96\x81") == std::string_view::npos &&
             text.find("\n\n") == std::string_view::npos) {
    MINERVA_CHECK(whole == text);  // but for U+2581 itself, which SPM cannot tell from a space
  }
  minerva::text::Utf8Stream stream;
  std::string streamed;
  for (const TokenId id : *ids) {
    const std::string out = stream.push(tokenizer.token_bytes(id));
    MINERVA_CHECK(minerva::utf8_valid(out));
    streamed += out;
  }
  streamed += stream.finish();
  const std::string replaced = minerva::utf8_replace_invalid(whole);
  MINERVA_CHECK(streamed == replaced || streamed.size() == replaced.size() + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const std::vector<std::shared_ptr<const Tokenizer>> kTokenizers = [] {
    std::vector<std::shared_ptr<const Tokenizer>> out = {make_spm(true), make_spm(false)};
    for (const std::string_view pre : kPre) out.push_back(make_bpe(pre));
    return out;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const unsigned choice = data[0];
  check(*kTokenizers[choice % kTokenizers.size()], text,
        {.add_special = (choice & 0x40) != 0, .parse_special = (choice & 0x80) != 0});
  return 0;
}
