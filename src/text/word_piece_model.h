// WordPiece: the longest token that begins the word, then the longest ones that continue it; a word
// that cannot be taken apart so is unknown as a whole.
#pragma once

#include <memory>
#include <string>

#include "text/pipeline.h"
#include "text/token_map.h"
#include "text/vocabulary.h"
#include "text/word_model.h"

namespace minerva::text {

class WordPieceModel final : public WordModel {
 public:
  static Result<std::unique_ptr<const WordModel>> build(const Vocabulary& vocabulary,
                                                        const VocabularySource& source);

  Result<void> encode_word(std::string_view word, WordScratch& scratch,
                           std::vector<TokenId>& out) const override;

 private:
  WordPieceModel() = default;

  TokenMap starts_;
  TokenMap continues_;
  std::size_t characters_max_ = 0;
  TokenId unknown_ = kNoToken;
};

// Words that are tokens; every other one is unknown.
class WordLevelModel final : public WordModel {
 public:
  static Result<std::unique_ptr<const WordModel>> build(const Vocabulary& vocabulary,
                                                        const VocabularySource& source);

  Result<void> encode_word(std::string_view word, WordScratch& scratch,
                           std::vector<TokenId>& out) const override;

 private:
  WordLevelModel() = default;

  TokenMap words_;
  TokenId unknown_ = kNoToken;
};

}  // namespace minerva::text
