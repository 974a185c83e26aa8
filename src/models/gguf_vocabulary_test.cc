// Tokenizers of folders written as GGUF's keys and read again: every kind that tokenizer.json is
// read for either gives the same ids, or is refused by name.
#include "models/gguf_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "formats/gguf.h"
#include "models/test_files.h"
#include "text/normalizer.h"
#include "text/test_vocab.h"

namespace minerva::models {
namespace {

using json = nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const json& goldens() {
  static const json kGoldens = json::parse(text::read_test_data("text/tokenizer_json.json"));
  return kGoldens;
}

json tokenizer_named(std::string_view name) {
  for (const json& one : goldens().at("cases"))
    if (one.at("name") == name) return one.at("tokenizer");
  throw std::runtime_error("no such tokenizer");
}

// Tokens that take white space along would be in every note.
json without_flags(json tokenizer) {
  for (json& token : tokenizer.at("added_tokens"))
    token["lstrip"] = token["rstrip"] = token["single_word"] = false;
  // As SentencePiece has them.
  json& vocabulary = tokenizer.at("model").at("vocab");
  for (std::size_t i = 0; vocabulary.is_array() && i < vocabulary.size(); ++i)
    vocabulary[i][1] = static_cast<float>(vocabulary[i][1].get<double>());
  return tokenizer;
}

struct Written {
  std::shared_ptr<const text::Tokenizer> folder, file;
  std::shared_ptr<const formats::GgufFile> keys;
  std::vector<std::string> notes;
  std::string refusal;

  std::string text(const char* key) const {
    const auto found = keys ? keys->get_string(key) : Result<std::string_view>("");
    return found ? std::string(*found) : std::string();
  }
  std::string model() const { return text("tokenizer.ggml.model"); }
  std::string pre() const { return text("tokenizer.ggml.pre"); }
};

Written write(const json& tokenizer, std::string_view config = {}, std::uint64_t rows = 0) {
  const test::TempFolder folder;
  write_text(folder.path() / "tokenizer.json", tokenizer.dump());
  if (!config.empty()) write_text(folder.path() / "tokenizer_config.json", config);
  // Three ends of an answer, where there are special tokens to be ends.
  if (!config.empty())
    write_text(folder.path() / "generation_config.json", R"({"eos_token_id":[2,3,5]})");
  Written out;
  const auto vocabulary = load_vocabulary(folder.path().string());
  if (!vocabulary) {
    out.refusal = "not read: " + vocabulary.error().message;
    return out;
  }
  out.folder = (*vocabulary)->tokenizer;
  formats::GgufMetadata metadata;
  const auto notes = add_vocabulary_keys(folder.path().string(), **vocabulary, rows, metadata);
  if (!notes) {
    out.refusal = notes.error().message;
    return out;
  }
  out.notes = *notes;
  out.keys = formats::GgufFile::parse(metadata.file()).value();
  out.file = text::Tokenizer::from_gguf(*out.keys).value();
  return out;
}

bool is_nfc(std::string text) {
  const std::string before = text;
  return text::form_step(text::UnicodeForm::Nfc)(text).has_value() && text == before;
}

// The ids of all golden texts, but those that a note is about.
void expect_same_ids(const Written& written) {
  const auto noted = [&](std::string_view words) {
    return std::ranges::any_of(written.notes,
                               [words](const std::string& note) { return note.contains(words); });
  };
  const bool spaces = noted("space before every text") || noted("space that ends a text");
  const bool around = noted("a word for one token");
  const bool nfc = noted("NFC");
  std::size_t compared = 0;
  for (const json& each : goldens().at("texts")) {
    const auto text = each.get<std::string>();
    if (nfc && !is_nfc(text)) continue;
    // Special tokens are spelled in the texts, and a space that is put in front shows there.
    if (spaces && (text.empty() || text.front() == ' ' || text.back() == ' ' || text.contains('<')))
      continue;
    const text::EncodeOptions options{.add_special = !around, .parse_special = !spaces};
    const auto wanted = written.folder->encode(text, options);
    const auto got = written.file->encode(text, options);
    ASSERT_TRUE(wanted && got);
    EXPECT_EQ(*got, *wanted) << text;
    ++compared;
  }
  EXPECT_GE(compared, 40U);
}

struct Expected {
  std::string_view model, pre;
};

const std::map<std::string_view, Expected> kWritten = {
    {"gpt2", {"gpt2", "gpt-2"}},
    {"gpt2 by its expression", {"gpt2", "gpt-2"}},
    {"digits", {"gpt2", "smollm"}},
    {"llama3", {"gpt2", "llama-bpe"}},
    {"qwen2, nfc", {"gpt2", "qwen2"}},
    {"bailingmoe", {"gpt2", "qwen2"}},
    {"default", {"gpt2", "default"}},
    {"qwen35", {"gpt2", "qwen35"}},
    {"gpt-4o", {"gpt2", "gpt-4o"}},
    {"seed-coder", {"gpt2", "seed-coder"}},
    {"deepseek-llm", {"gpt2", "deepseek-llm"}},
    {"laguna", {"gpt2", "laguna"}},
    {"bloom", {"gpt2", "bloom"}},
    {"viking", {"gpt2", "viking"}},
    {"ufakzeka", {"gpt2", "ufakzeka"}},
    {"exaone-moe", {"gpt2", "exaone-moe"}},
    {"jais-2", {"gpt2", "jais-2"}},
    {"superbpe", {"gpt2", "superbpe"}},
    {"tiny_aya", {"gpt2", "tiny_aya"}},
    {"afmoe", {"gpt2", "afmoe"}},
    {"chameleon", {"gpt2", "chameleon"}},
    {"spark2_5", {"gpt2", "spark2_5"}},
    {"kimi-k2", {"gpt2", "kimi-k2"}},
    {"deepseek-coder", {"gpt2", "deepseek-coder"}},
    {"deepseek-v3", {"gpt2", "deepseek-v3"}},
    {"falcon", {"gpt2", "falcon"}},
    {"bert", {"bert", "default"}},
    {"bert, two before", {"bert", "default"}},
    {"bert, cased", {"bert", "default"}},
    {"unigram, bytes", {"t5", "default"}},
};
// The others of the goldens, with words of the message.
const std::map<std::string_view, std::string_view> kRefused = {
    {"digit runs", "its pre_tokenizer, Digits, ByteLevel"},
    {"uncut", "its pre_tokenizer, ByteLevel"},
    {"tekken", "tokenizer.ggml.pre has no name"},  // without ignore_merges
    {"bytes missing", "model.unk_token in place of byte 0x"},
    {"bytes missing, fused", "model.unk_token in place of byte 0x"},
    {"spm", "its merges leave out"},
    {"spm without prefix", "has newlines and is not what they become"},
    {"metaspace", "puts a space in front or cuts at spaces"},
    {"metaspace first", "without byte_fallback"},
    {"metaspace never", "without byte_fallback"},
    {"bert, accents kept", "BertNormalizer with handle_chinese_chars off"},
    {"word pieces", "the normalizer (NFKD, StripAccents, Strip) and pre_tokenizer (Whitespace)"},
    {"word pieces at signs", "which are not BertNormalizer and BertPreTokenizer"},
    {"word pieces with the previous", "which are not BertNormalizer and BertPreTokenizer"},
    {"word pieces with the next", "which are not BertNormalizer and BertPreTokenizer"},
    {"word levels", "its model WordLevel"},
    {"unigram", "its normalizer (Nmt, NFKC, Replace)"},
    {"unigram, lower", "its normalizer (Replace, NFKD"},
    {"clip", "its model, a BPE of characters in words"},
    {"suffixes", "its model, a BPE of characters in words"},
    {"prefixes", "its model, a BPE of characters in words"},
    {"words", "its model, a BPE of characters in words"},
    {"llama-bpe by its expression", "tokenizer.ggml.pre has no name"},
    {"qwen35 by its expression", "tokenizer.ggml.pre has no name"},
    {"gpt-4o by its expression", "tokenizer.ggml.pre has no name"},
    {"deepseek-v3 by its expression", "tokenizer.ggml.pre has no name"},
    {"deepseek-llm by its expression", "tokenizer.ggml.pre has no name"},
    {"bloom by its expression", "tokenizer.ggml.pre has no name"},
    {"roberta", "tokenizer.ggml.pre has no name"},  // a space in front
    {"lower bytes", "its normalizer NFKC"},
    {"bytes at signs", "tokenizer.ggml.pre has no name"},
};

TEST(GgufVocabulary, EveryKindIsTheSameOrRefused) {
  std::size_t known = 0;
  for (const json& one : goldens().at("cases")) {
    const auto name = one.at("name").get<std::string>();
    SCOPED_TRACE(name);
    const Written written = write(without_flags(one.at("tokenizer")));
    if (written.refusal.empty()) {
      EXPECT_FALSE(kRefused.contains(name));
      expect_same_ids(written);
    }
    if (const auto expected = kWritten.find(name); expected != kWritten.end()) {
      EXPECT_EQ(written.refusal, "");
      EXPECT_EQ(written.model(), expected->second.model);
      EXPECT_EQ(written.pre(), expected->second.pre);
      ++known;
    } else if (!written.refusal.empty()) {
      EXPECT_THAT(written.refusal, HasSubstr("cannot be written to a GGUF file"));
      const auto words = kRefused.find(name);
      if (words == kRefused.end()) continue;
      EXPECT_THAT(written.refusal, HasSubstr(words->second));
      ++known;
    }
  }
  EXPECT_EQ(known, kWritten.size() + kRefused.size());
}

TEST(GgufVocabulary, PublishedOnesThatTakeAWordThatIsATokenAsThatToken) {
  for (const auto& [name, pre] : {std::pair("tekken", "tekken"), std::pair("minicpm5", "minicpm5"),
                                  std::pair("gpt-4o", "granite-embed-multi-97m")}) {
    json tokenizer = without_flags(tokenizer_named(name));
    tokenizer["model"]["ignore_merges"] = true;
    const Written written = write(tokenizer);
    ASSERT_EQ(written.refusal, "");
    EXPECT_EQ(written.pre(), pre);
    expect_same_ids(written);
  }
}

// Merges as SentencePiece's models have them: all ways to make each token, by its score, here its
// id.
json with_all_merges(json tokenizer) {
  json& model = tokenizer["model"];
  std::map<std::uint64_t, std::string> pieces;
  for (const auto& [piece, id] : model["vocab"].items()) pieces[id] = piece;
  json merges = json::array();
  for (const auto& [id, piece] : pieces) {
    if (piece.starts_with('<')) continue;
    for (std::size_t at = utf8_next(piece).length; at < piece.size();
         at += utf8_next(std::string_view(piece).substr(at)).length) {
      if (model["vocab"].contains(piece.substr(0, at)) && model["vocab"].contains(piece.substr(at)))
        merges.push_back({piece.substr(0, at), piece.substr(at)});
    }
  }
  model["merges"] = merges;
  return tokenizer;
}

TEST(GgufVocabulary, ModelsOfSentencePieceGetScores) {
  const json spm = with_all_merges(without_flags(tokenizer_named("spm")));
  const Written always = write(spm);
  ASSERT_EQ(always.refusal, "");
  EXPECT_EQ(always.model(), "llama");
  EXPECT_THAT(always.notes, IsEmpty());
  EXPECT_TRUE(always.keys->get_bool("tokenizer.ggml.add_space_prefix").value());
  expect_same_ids(always);

  const Written none = write(with_all_merges(without_flags(tokenizer_named("spm without prefix"))));
  ASSERT_EQ(none.refusal, "");
  EXPECT_EQ(none.model(), "llama");
  EXPECT_FALSE(none.keys->get_bool("tokenizer.ggml.add_space_prefix").value());
  expect_same_ids(none);

  for (const char* scheme : {"always", "first"}) {
    json metaspace = spm;
    metaspace["normalizer"] = nullptr;
    metaspace["pre_tokenizer"] = {{"type", "Metaspace"},
                                  {"replacement", "\u2581"},
                                  {"prepend_scheme", scheme},
                                  {"split", true}};
    EXPECT_THAT(write(metaspace).refusal, HasSubstr("Metaspace cuts inside of the token"));
    metaspace["pre_tokenizer"]["split"] = false;
    const Written written = write(metaspace);
    ASSERT_EQ(written.refusal, "");
    EXPECT_EQ(written.model(), "llama");
    EXPECT_THAT(written.notes, ElementsAre(HasSubstr("space before every text")));
    expect_same_ids(written);
  }

  // The list that a trainer of BPE made, or one whose order no scores have.
  json two_places = spm;
  json& merges = two_places["model"]["merges"];
  const auto whole = [](const json& pair) {
    return pair[0].get<std::string>() + pair[1].get<std::string>();
  };
  for (std::size_t i = 1; i < merges.size(); ++i) {
    if (whole(merges[i]) != whole(merges[i - 1])) continue;
    merges.push_back(merges[i]);
    merges.erase(i);
    break;
  }
  EXPECT_THAT(write(two_places).refusal, HasSubstr("stand at two places of the list"));
  json ignoring = spm;
  ignoring["model"]["ignore_merges"] = true;
  EXPECT_THAT(write(ignoring).refusal, HasSubstr("ignore_merges of a model of characters"));
}

TEST(GgufVocabulary, UnigramWithACharsmap) {
  json tokenizer = without_flags(tokenizer_named("unigram, bytes"));
  tokenizer["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "WhitespaceSplit"}},
        {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "always"}}}}};
  EXPECT_THAT(write(tokenizer).refusal, HasSubstr("WhitespaceSplit without a charsmap"));
  // A trie of one unit, in which nothing is found: newlines stay what they are, and are cut away
  // here and not there. Reading again finds that.
  tokenizer["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "BAAAAAAAAAA="}};
  EXPECT_THAT(write(tokenizer).refusal, HasSubstr("would make other tokens of the text"));

  tokenizer["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {tokenizer["normalizer"],
        {{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", " "}}}}};
  tokenizer["pre_tokenizer"] = tokenizer["pre_tokenizer"]["pretokenizers"][1];
  tokenizer["pre_tokenizer"]["split"] = false;
  const Written written = write(tokenizer);
  ASSERT_EQ(written.refusal, "");
  EXPECT_THAT(written.notes, ElementsAre(HasSubstr("a space that ends a text")));
  expect_same_ids(written);
  EXPECT_EQ(written.model(), "t5");
  EXPECT_TRUE(written.keys->get_bool("tokenizer.ggml.remove_extra_whitespaces").value());
  const auto map = written.keys->get_ints("tokenizer.ggml.precompiled_charsmap");
  ASSERT_TRUE(map);
  EXPECT_THAT(*map, ElementsAre(4, 0, 0, 0, 0, 0, 0, 0));
}

// The list of merges, where scores cannot say it.
TEST(GgufVocabulary, ModelsOfCharactersWithoutScoresAreGemma4) {
  json tokenizer = without_flags(tokenizer_named("spm without prefix"));
  // But not with tokens that newlines and others make together.
  json& model = tokenizer["model"];
  const auto is_mixed = [](const std::string& piece) {
    return piece.contains('\n') && piece.find_first_not_of('\n') != std::string::npos;
  };
  json vocabulary;
  for (const auto& [piece, id] : model["vocab"].items())
    if (!is_mixed(piece)) vocabulary[piece] = id;
  json merges = json::array();
  for (const json& pair : model["merges"]) {
    if (!is_mixed(pair[0].get<std::string>() + pair[1].get<std::string>())) merges.push_back(pair);
  }
  model["vocab"] = vocabulary;
  model["merges"] = merges;
  const Written written = write(tokenizer);
  ASSERT_EQ(written.refusal, "");
  EXPECT_EQ(written.model(), "gemma4");
  EXPECT_THAT(written.notes, IsEmpty());
  expect_same_ids(written);
  // A space in front has no word there.
  tokenizer["normalizer"] = tokenizer_named("spm")["normalizer"];
  tokenizer["pre_tokenizer"] = nullptr;
  EXPECT_THAT(write(tokenizer).refusal, HasSubstr("puts a space in front"));
}

TEST(GgufVocabulary, ScoresOfMoreThan32BitsAreNoted) {
  json tokenizer = without_flags(tokenizer_named("unigram, bytes"));
  tokenizer["model"]["vocab"][5][1] = -3.1;
  EXPECT_THAT(write(tokenizer).notes, testing::Contains(HasSubstr("scores to 32 bits")));
}

TEST(GgufVocabulary, NotesSayWhatGgufHasNoWordsFor) {
  EXPECT_THAT(write(tokenizer_named("gpt2")).notes,
              ElementsAre(AllOf(HasSubstr("3 special tokens, \"<left>\" for one"),
                                HasSubstr("lstrip, rstrip"))));
  EXPECT_THAT(write(without_flags(tokenizer_named("qwen2, nfc"))).notes,
              ElementsAre(HasSubstr("the form NFC first")));
  EXPECT_THAT(write(without_flags(tokenizer_named("bert, two before"))).notes,
              ElementsAre(HasSubstr("puts \"<s><|end|>\" before and \"<|end|><unk>\" after")));
  EXPECT_THAT(write(without_flags(tokenizer_named("digits"))).notes, IsEmpty());
}

TEST(GgufVocabulary, SpecialTokensAndEndsAreKept) {
  json tokenizer = without_flags(tokenizer_named("digits"));
  tokenizer["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"special_tokens",
       {{"<s>",
         {{"id", "<s>"}, {"ids", {tokenizer["added_tokens"][1]["id"]}}, {"tokens", {"<s>"}}}}}}};
  const Written written = write(
      tokenizer,
      R"({"bos_token":"<s>","eos_token":"<|end|>","pad_token":"<unk>","chat_template":"{{ 1 }}"})",
      500);
  ASSERT_EQ(written.refusal, "");
  EXPECT_TRUE(written.file->adds_bos());
  EXPECT_FALSE(written.file->adds_eos());
  EXPECT_EQ(written.file->bos(), written.folder->bos());
  EXPECT_EQ(written.file->eos(), written.folder->eos());
  EXPECT_EQ(written.file->pad(), written.folder->pad());
  EXPECT_EQ(written.text("tokenizer.chat_template"), "{{ 1 }}");
  // generation_config.json ends answers with three more, and two are left that GGUF can name.
  for (const TokenId id : {2, 3}) EXPECT_TRUE(written.file->is_end_of_generation(id)) << id;
  EXPECT_THAT(written.notes, ElementsAre(HasSubstr("ends an answer too")));
  // Rows of the embedding that are no tokens.
  ASSERT_EQ(written.file->vocab_size(), 500U);
  EXPECT_EQ(written.file->piece(499), "[PAD499]");
  EXPECT_EQ(written.file->kind(499), text::TokenKind::Unused);
}

}  // namespace
}  // namespace minerva::models
