// Vocabularies that lie: each is refused with a typed error that names the field, or has a defined
// meaning. None crashes.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace minerva::text {
namespace {

// A working byte-level vocabulary: a b ab abc <end>.
VocabularySource bpe() {
  VocabularySource source;
  source.model = "gpt2";
  source.pre = "gpt-2";
  source.pieces = {"a", "b", "c", "ab", "abc", "<end>"};
  source.kinds = {1, 1, 1, 1, 1, 3};
  source.merges = {"a b", "ab c"};
  source.eos = 5;
  return source;
}

// A working SPM vocabulary.
VocabularySource spm() {
  VocabularySource source;
  source.model = "llama";
  source.pieces = {"<unk>",
                   "<s>",
                   "</s>",
                   "<0x61>",
                   "a",
                   "\xe2\x96\x81",
                   "\xe2\x96\x81"
                   "a"};
  source.kinds = {2, 3, 3, 6, 1, 1, 1};
  source.scores = {0, 0, 0, 0, -2, -3, -1};
  source.unk = 0;
  source.bos = 1;
  source.eos = 2;
  return source;
}

struct Case {
  const char* what;
  std::function<VocabularySource()> make;
  std::function<void(VocabularySource&)> spoil;
  ErrorCode code;
  std::vector<const char*> said;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.what; }

class HostileVocabulary : public testing::TestWithParam<Case> {};

TEST_P(HostileVocabulary, IsRefusedByName) {
  VocabularySource source = GetParam().make();
  ASSERT_TRUE(Tokenizer::from_source(source)) << "the case must spoil a vocabulary that works";
  GetParam().spoil(source);
  const auto tokenizer = Tokenizer::from_source(source);
  ASSERT_FALSE(tokenizer) << GetParam().what;
  EXPECT_EQ(tokenizer.error().code, GetParam().code);
  for (const char* text : GetParam().said) {
    EXPECT_NE(tokenizer.error().message.find(text), std::string::npos) << tokenizer.error().message;
  }
}

using S = VocabularySource;
constexpr ErrorCode kBroken = ErrorCode::InvalidModel;
constexpr ErrorCode kUnknown = ErrorCode::Unsupported;

INSTANTIATE_TEST_SUITE_P(
    All, HostileVocabulary,
    testing::Values(
        Case{"no tokens", bpe, [](S& s) { s.pieces.clear(); }, kBroken, {"tokens has 0"}},
        Case{"too many tokens",
             bpe,
             [](S& s) { s.pieces.resize(kVocabSizeMax + 1, "x"); },
             kBroken,
             {"1048577", "1048576"}},
        Case{"kinds shorter",
             bpe,
             [](S& s) { s.kinds.pop_back(); },
             kBroken,
             {"token_type has 5", "tokens has 6"}},
        Case{"kinds longer",
             spm,
             [](S& s) { s.kinds.push_back(1); },
             kBroken,
             {"token_type has 8", "tokens has 7"}},
        Case{"scores shorter",
             spm,
             [](S& s) { s.scores.pop_back(); },
             kBroken,
             {"scores has 6", "tokens has 7"}},
        Case{"scores longer than a BPE vocabulary",
             bpe,
             [](S& s) { s.scores.resize(9); },
             kBroken,
             {"scores has 9", "tokens has 6"}},
        Case{"no scores", spm, [](S& s) { s.scores.clear(); }, kBroken, {"scores", "missing"}},
        Case{"a score that is no number",
             spm,
             [](S& s) { s.scores[4] = std::numeric_limits<float>::quiet_NaN(); },
             kBroken,
             {"scores[4]"}},
        Case{"an infinite score",
             spm,
             [](S& s) { s.scores[5] = HUGE_VALF; },
             kBroken,
             {"scores[5]"}},
        Case{"kind 0", bpe, [](S& s) { s.kinds[2] = 0; }, kBroken, {"token_type[2] is 0"}},
        Case{"kind 7", bpe, [](S& s) { s.kinds[1] = 7; }, kBroken, {"token_type[1] is 7"}},
        Case{"a negative kind",
             spm,
             [](S& s) { s.kinds[0] = -1; },
             kBroken,
             {"token_type[0] is -1"}},
        Case{"a kind that wraps to 1",
             bpe,
             [](S& s) { s.kinds[0] = (std::int64_t{1} << 32) + 1; },
             kBroken,
             {"token_type[0] is 4294967297"}},
        Case{"bos is no token",
             bpe,
             [](S& s) { s.bos = 6; },
             kBroken,
             {"bos_token_id is 6", "6 tokens"}},
        Case{"eos is no token",
             spm,
             [](S& s) { s.eos = 0xffffffff; },
             kBroken,
             {"eos_token_id is 4294967295", "7 tokens"}},
        Case{"eot is no token",
             bpe,
             [](S& s) { s.eot = ~std::uint64_t{0}; },
             kBroken,
             {"eot_token_id is 18446744073709551615"}},
        Case{"unk is no token", spm, [](S& s) { s.unk = 7; }, kBroken, {"unknown_token_id is 7"}},
        Case{"pad is no token", spm, [](S& s) { s.pad = 99; }, kBroken, {"padding_token_id is 99"}},
        Case{"no merges", bpe, [](S& s) { s.merges.clear(); }, kBroken, {"merges", "missing"}},
        Case{"a merge without a space",
             bpe,
             [](S& s) { s.merges[1] = "abc"; },
             kBroken,
             {"merges[1]", "\"abc\""}},
        Case{"an empty merge", bpe, [](S& s) { s.merges[0] = ""; }, kBroken, {"merges[0]"}},
        Case{"a merge of one side", bpe, [](S& s) { s.merges[0] = "a "; }, kBroken, {"merges[0]"}},
        Case{"a merge that begins with a space",
             bpe,
             [](S& s) { s.merges[0] = " a"; },
             kBroken,
             {"merges[0]"}},
        Case{"the left of a merge is absent",
             bpe,
             [](S& s) { s.merges[0] = "x b"; },
             kBroken,
             {"merges[0]", "\"x\" is not in"}},
        Case{"the right of a merge is absent",
             bpe,
             [](S& s) { s.merges[0] = "a y"; },
             kBroken,
             {"\"y\" is not in"}},
        Case{"what a merge makes is absent",
             bpe,
             [](S& s) { s.merges[0] = "b a"; },
             kBroken,
             {"\"ba\" is not in"}},
        Case{"a merge with an escape sequence",
             bpe,
             [](S& s) { s.merges[0] = "\x1b[2J b"; },
             kBroken,
             {"\\x1b[2J"}},
        Case{"a byte token that is none",
             spm,
             [](S& s) { s.pieces[3] = "<0xZZ>"; },
             kBroken,
             {"tokens[3]", "<0xZZ>"}},
        Case{"a byte token without text",
             spm,
             [](S& s) { s.pieces[3] = ""; },
             kBroken,
             {"tokens[3]"}},
        Case{"a special token of a megabyte",
             bpe,
             [](S& s) {
               static const std::string long_text(1 << 20, 'x');
               s.pieces[5] = long_text;
             },
             kBroken,
             {"tokens[5]", "1048576 bytes", "1024"}},
        Case{"an unknown pre-tokenizer",
             bpe,
             [](S& s) { s.pre = "gpt-9"; },
             kUnknown,
             {"gpt-9", "llama-bpe", "smollm"}},
        Case{"an empty pre-tokenizer", bpe, [](S& s) { s.pre = ""; }, kUnknown, {"gpt-2"}},
        Case{"an unknown model",
             spm,
             [](S& s) { s.model = "bert"; },
             kUnknown,
             {"bert", "gpt2, llama"}}));

std::vector<TokenId> encode(const VocabularySource& source, std::string_view text,
                            EncodeOptions options = {}) {
  const auto tokenizer = Tokenizer::from_source(source);
  if (!tokenizer) {
    ADD_FAILURE() << tokenizer.error().message;
    return {};
  }
  const auto ids = (*tokenizer)->encode(text, options);
  EXPECT_TRUE(ids);
  return ids.value_or(std::vector<TokenId>{});
}

using Ids = std::vector<TokenId>;

TEST(OddVocabulary, EmptyTokensAreNeverMadeOrFound) {
  VocabularySource source = bpe();
  source.pieces[2] = "";
  source.pieces[5] = "";
  source.merges = {"a b"};
  EXPECT_EQ(encode(source, "ab", {.add_special = true, .parse_special = true}), (Ids{3}));
  EXPECT_EQ((*Tokenizer::from_source(source))->find(""), std::nullopt);
  EXPECT_EQ((*Tokenizer::from_source(source))->decode(Ids{2, 3}), "ab");
}

TEST(OddVocabulary, OfEqualTokensTheLowestIdIsUsed) {
  VocabularySource source = bpe();
  source.pieces.push_back("ab");
  source.pieces.push_back("a");
  source.kinds.insert(source.kinds.end(), {1, 1});
  EXPECT_EQ(encode(source, "ab a"), (Ids{3, 0}));
  EXPECT_EQ((*Tokenizer::from_source(source))->token_bytes(6), "ab");
}

TEST(OddVocabulary, OfEqualMergesTheFirstCounts) {
  VocabularySource source = bpe();
  source.pieces.push_back("bc");
  source.kinds.push_back(1);
  source.merges = {"a b", "b c", "a b", "ab c"};
  EXPECT_EQ(encode(source, "abc"), (Ids{4}));
}

TEST(OddVocabulary, BytesWithoutATokenAreDroppedByByteLevel) {
  EXPECT_EQ(encode(bpe(), "axb"), (Ids{3})) << "as the reference does";
  EXPECT_EQ(encode(bpe(), "\xff"), Ids{});
}

TEST(OddVocabulary, BytesWithoutATokenAreUnknownOrAnErrorInSpm) {
  VocabularySource source = spm();
  source.add_space_prefix = false;
  EXPECT_EQ(encode(source, "axa"), (Ids{4, 0, 4}));
  source.unk.reset();
  const auto ids = (*Tokenizer::from_source(source))->encode("axa");
  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error().code, ErrorCode::InvalidModel);
  EXPECT_NE(ids.error().message.find("0x78"), std::string::npos);
}

// However a vocabulary is made, a user who writes a control token as text must not send one.
TEST(OddVocabulary, PlainTextNeverBecomesAControlToken) {
  VocabularySource source = bpe();
  source.kinds[3] = 3;  // "ab", which the merges make
  source.merges = {"a b"};
  EXPECT_EQ(encode(source, "ab"), (Ids{0, 1}));
  EXPECT_EQ(encode(source, "ab", {.parse_special = true}), (Ids{3}));

  VocabularySource pieces = spm();
  pieces.kinds[6] = 3;  // U+2581 a
  EXPECT_EQ(encode(pieces, "a"), (Ids{5, 4}));
}

TEST(OddVocabulary, WithoutKindsEverythingIsNormal) {
  VocabularySource source = bpe();
  source.kinds.clear();
  EXPECT_EQ(encode(source, "abc"), (Ids{4}));
  EXPECT_EQ((*Tokenizer::from_source(source))->kind(5), TokenKind::Normal);
  EXPECT_TRUE((*Tokenizer::from_source(source))->is_end_of_generation(5)) << "the file says eos";
}

TEST(OddVocabulary, AskingForABosThatIsNotThereAddsNone) {
  VocabularySource source = bpe();
  source.add_bos = true;
  EXPECT_EQ(encode(source, "ab", {.add_special = true}), (Ids{3}));
  source.add_eos = true;
  EXPECT_EQ(encode(source, "ab", {.add_special = true}), (Ids{3, 5}));
  EXPECT_EQ(encode(source, "", {.add_special = true}), (Ids{5}));
}

TEST(OddVocabulary, UserDefinedTokensAreAlwaysRecognised) {
  VocabularySource source = bpe();
  source.kinds[5] = 4;
  EXPECT_EQ(encode(source, "ab<end>c"), (Ids{3, 5, 2}));
  EXPECT_EQ((*Tokenizer::from_source(source))->decode(Ids{3, 5, 2}), "ab<end>c");
}

TEST(OddVocabulary, TurnEndsMustBeSpecialAndHarmonyGoesOnAfterEnd) {
  VocabularySource source = bpe();
  source.pieces = {"a", "b", "c", "ab", "<|end|>", "<|im_end|>", "<|eot_id|>"};
  source.kinds = {1, 1, 1, 1, 3, 1, 4};
  source.merges = {"a b"};
  source.eos = 4;
  const auto ends = [](const VocabularySource& from) {
    const auto tokenizer = Tokenizer::from_source(from);
    const auto span = (*tokenizer)->end_of_generation();
    return Ids(span.begin(), span.end());
  };
  EXPECT_EQ(ends(source), (Ids{4, 6})) << "<|im_end|> is an ordinary word here";
  EXPECT_EQ((*Tokenizer::from_source(source))->eot(), 6);

  source.pieces = {"a", "b", "c", "ab", "<|end|>", "<|return|>", "<|call|>"};
  source.kinds = {1, 1, 1, 1, 3, 3, 3};
  source.eos = 5;
  EXPECT_EQ(ends(source), (Ids{5, 6}));
}

}  // namespace
}  // namespace minerva::text
