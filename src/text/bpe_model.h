// Byte-level BPE ("gpt2"): text is cut into words, and the bytes of each word are merged in the
// order of the vocabulary's list of merges.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/merge.h"
#include "text/pre_tokenizer.h"
#include "text/token_map.h"
#include "text/token_model.h"
#include "text/vocabulary.h"

namespace minerva::text {

// (left id, right id) -> rank and merged id. Open addressing, 16 bytes a slot.
class MergeTable {
 public:
  explicit MergeTable(std::size_t count);
  // Of equal pairs the first one stays: it has the better rank.
  void add(TokenId left, TokenId right, Merge merge);
  Merge find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    std::uint64_t pair = kFree;
    Merge merge;
  };
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};  // (-1, -1): no tokens
  std::size_t slot_of(std::uint64_t pair) const;

  std::vector<Slot> slots_;
  int shift_;
};

class BpeModel final : public TokenModel {
 public:
  static Result<std::unique_ptr<const TokenModel>> build(const Vocabulary& vocabulary,
                                                         const VocabularySource& source);

  Result<void> encode(std::string_view text, bool after_special,
                      std::vector<TokenId>& out) const override;
  const PieceList& token_bytes() const override { return *bytes_; }
  bool add_bos_by_default() const override { return pre_tokenizer_->add_bos; }
  bool adds_space_prefix() const override { return false; }

 private:
  BpeModel(const PreTokenizer& pre_tokenizer, std::size_t merge_count)
      : pre_tokenizer_(&pre_tokenizer), merges_(merge_count) {}
  Result<void> add_merges(const Vocabulary& vocabulary,
                          const std::vector<std::string_view>& merges);
  void decode_pieces(const Vocabulary& vocabulary);
  void find_whole_words(const Vocabulary& vocabulary);
  void merge_word(std::string_view word, Merger& merger) const;

  const PreTokenizer* pre_tokenizer_;  // a row of the constant table
  MergeTable merges_;
  std::array<TokenId, 256> byte_tokens_{};
  std::shared_ptr<const PieceList> bytes_;
  // Words that are one token: by decree (ignore_merges), or because their merges end there.
  TokenMap whole_words_;
};

}  // namespace minerva::text
