// The tokens of a model: what a file says about them, and the checked form the tokenizer works on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "text/normalizer.h"
#include "text/piece_list.h"
#include "text/pipeline.h"
#include "text/pre_tokenizer.h"
#include "text/token_map.h"

namespace minerva::formats {
class GgufFile;
}

namespace minerva::text {

// More than four times the largest vocabulary in use (262,144).
inline constexpr std::size_t kVocabSizeMax = std::size_t{1} << 20;

enum class TokenKind : std::uint8_t { Normal, Unknown, Control, UserDefined, Unused, Byte };

// Whether plain text may become such a token. Control and unknown tokens come only from text that
// is parsed for them.
constexpr bool is_plain_text(TokenKind kind) {
  return kind != TokenKind::Control && kind != TokenKind::Unknown;
}

// How a special token is looked for in text, as tokenizer.json says it: bits of
// VocabularySource::matching.
inline constexpr std::uint8_t kTakesSpaceLeft = 1;   // white space before it belongs to it
inline constexpr std::uint8_t kTakesSpaceRight = 2;  // and after it
inline constexpr std::uint8_t kMatchedLater = 4;     // in what the other special tokens leave over
inline constexpr std::uint8_t kWholeWord = 8;        // not inside a word

// Where a model of characters puts a space that the text does not have.
enum class SpacePrefix : std::uint8_t {
  None,
  Always,           // before every stretch of text between special tokens
  UnlessThere,      // the same, unless it begins with one
  FirstUnlessThere  // only where the text begins
};

// BPE over characters, as tokenizer.json writes the models of SentencePiece.
struct CharBpe {
  SpacePrefix prefix = SpacePrefix::None;
  bool cut_at_spaces = false;  // each space begins a word
  bool byte_fallback = false;
  bool ignore_merges = false;
  bool newline_runs =
      false;  // newlines side by side are a word of their own, a token if there is one
  std::optional<PieceDecoder> decoder;  // else each token is its text
};

struct MergeIds {
  std::uint32_t left, right, merged;
};

// What a file says, unchecked and as views of the file. Built by read_gguf_vocabulary(), by
// JsonVocabulary, and by tests.
struct VocabularySource {
  std::string_view model;                // "gpt2", "llama", "bert", "t5", "gemma4"
  std::optional<std::string_view> pre;   // which pre-tokenizer
  std::vector<std::string_view> pieces;  // id -> how the vocabulary writes it
  std::vector<std::int64_t> kinds;       // 1 normal .. 6 byte, as GGUF counts; empty: all normal
  std::vector<float> scores;             // SPM
  std::vector<std::string_view> merges;  // byte-level BPE: "left right", best first
  std::optional<std::uint64_t> bos, eos, eot, eom, unk, pad;
  std::optional<bool> add_bos, add_eos, add_space_prefix;

  // What comes before and after a text where special tokens are added; empty: as add_bos and
  // add_eos say.
  std::vector<std::uint64_t> before, after;
  // Whatever `model` says, it is one of these.
  std::optional<CharBpe> char_bpe;
  std::optional<Pipeline> pipeline;
  std::optional<WordCutter> word_cutter;          // byte-level BPE: instead of `pre`
  std::shared_ptr<const TextCutter> byte_cutter;  // the same, not of scanners only
  std::shared_ptr<const Normalizer> normalizer;   // none: the text stays as it is
  std::vector<double> log_probabilities;          // Unigram: of each token
  std::size_t scored = 0;                         // Unigram: those before this id have one

  // From tokenizer.json only.
  bool from_tokenizer_json = false;
  std::vector<MergeIds> merge_ids;       // instead of `merges`; of equal pairs the last one counts
  std::vector<std::uint8_t> matching;    // id -> bits; empty: none
  std::vector<std::uint64_t> ends;       // these end an answer too
  std::optional<std::uint64_t> missing;  // what a character without a token becomes; else nothing
  bool fuse_missing = false;             // several in a row become one
};

Result<VocabularySource> read_gguf_vocabulary(const formats::GgufFile& file);

// Immutable after build(); any thread. Every id in it is below size().
class Vocabulary {
 public:
  // InvalidModel when lengths differ, a kind is unknown, or a special id is no token.
  static Result<Vocabulary> build(const VocabularySource& source);

  std::size_t size() const { return kinds_.size(); }
  bool contains(TokenId id) const { return id >= 0 && static_cast<std::size_t>(id) < size(); }
  std::string_view piece(TokenId id) const { return (*pieces_)[static_cast<std::size_t>(id)]; }
  TokenKind kind(TokenId id) const { return kinds_[static_cast<std::size_t>(id)]; }
  // The lowest id written so, or kNoToken.
  TokenId find(std::string_view piece) const { return by_piece_.find(piece); }
  const std::shared_ptr<const PieceList>& pieces() const { return pieces_; }
  // InvalidModel, with `what` in the message, when one of these is no token.
  Result<void> check_ids(std::string_view what, const std::vector<std::uint64_t>& ids) const;

  std::optional<TokenId> bos, eos, eot, eom, unk, pad;
  std::vector<TokenId> end_of_generation;  // sorted

 private:
  Result<void> set_kinds(const VocabularySource& source);
  Result<void> set_special_ids(const VocabularySource& source);
  void find_turn_ends();

  std::shared_ptr<const PieceList> pieces_;
  std::vector<TokenKind> kinds_;
  TokenMap by_piece_;
};

// What a token of kind Byte stands for; InvalidModel when it is not written as one.
Result<std::uint8_t> byte_of_token(const Vocabulary& vocabulary, TokenId id);

// A piece from a file, cut short and made safe to print in a message.
std::string quoted_piece(std::string_view piece);

}  // namespace minerva::text
