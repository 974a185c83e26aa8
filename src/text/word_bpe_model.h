// BPE over the characters of words that were cut before, with tokens that are written apart where
// they continue or end a word ("##", "</w>").
#pragma once

#include <array>
#include <memory>
#include <string>

#include "text/merge_table.h"
#include "text/pipeline.h"
#include "text/token_map.h"
#include "text/vocabulary.h"
#include "text/word_model.h"

namespace minerva::text {

class WordBpeModel final : public WordModel {
 public:
  static Result<std::unique_ptr<const WordModel>> build(const Vocabulary& vocabulary,
                                                        const VocabularySource& source);

  Result<void> encode_word(std::string_view word, WordScratch& scratch,
                           std::vector<TokenId>& out) const override;

 private:
  explicit WordBpeModel(std::size_t merge_count) : merges_(merge_count) {}
  // Whether all bytes of `text` have tokens, which then were added.
  bool add_bytes(std::string_view text, std::size_t at, Merger& merger) const;

  std::string prefix_;
  std::string suffix_;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
  bool fuse_missing_ = false;
  TokenId missing_ = kNoToken;
  MergeTable merges_;
  TokenMap by_piece_;
  std::array<TokenId, 256> byte_tokens_{};
};

}  // namespace minerva::text
