// Byte-level BPE ("gpt2"): text is cut into words, and the bytes of each word are merged in the
// order of the vocabulary's list of merges.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/merge_table.h"
#include "text/pre_tokenizer.h"
#include "text/text_cutter.h"
#include "text/token_map.h"
#include "text/token_model.h"
#include "text/vocabulary.h"

namespace minerva::text {

class BpeModel final : public TokenModel {
 public:
  static Result<std::unique_ptr<const TokenModel>> build(const Vocabulary& vocabulary,
                                                         const VocabularySource& source);

  Result<void> encode(std::string_view text, bool at_start,
                      std::vector<TokenId>& out) const override;
  const PieceList& token_bytes() const override { return *bytes_; }
  bool add_bos_by_default() const override { return words_.add_bos; }
  bool adds_space_prefix() const override { return false; }

 private:
  BpeModel(WordCutter words, std::size_t merge_count)
      : words_(std::move(words)), merges_(merge_count) {}
  Result<void> add_merges(const Vocabulary& vocabulary,
                          const std::vector<std::string_view>& merges);
  void decode_pieces(const Vocabulary& vocabulary);
  void find_whole_words(const Vocabulary& vocabulary);
  void add_missing(std::size_t at, Merger& merger) const;
  void merge_word(std::string_view word, Merger& merger) const;
  void encode_word(std::string_view word, Merger& merger, std::vector<TokenId>& out) const;

  const WordCutter words_;
  std::shared_ptr<const TextCutter> cutter_;  // instead of its stages
  MergeTable merges_;
  std::array<TokenId, 256> byte_tokens_{};
  TokenId missing_ = kNoToken;
  bool fuse_missing_ = false;
  std::shared_ptr<const PieceList> bytes_;
  // Words that are one token: by decree (ignore_merges), or because their merges end there.
  TokenMap whole_words_;
};

}  // namespace minerva::text
