// Unigram: of all ways to take a word apart, the likeliest (Viterbi).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "text/byte_trie.h"
#include "text/pipeline.h"
#include "text/token_map.h"
#include "text/vocabulary.h"
#include "text/word_model.h"

namespace minerva::text {

// The longest in use are runs of some 100 spaces; each place of a text is compared with so many
// bytes at most.
inline constexpr std::size_t kUnigramBytesMax = 1024;

class UnigramModel final : public WordModel {
 public:
  static Result<std::unique_ptr<const WordModel>> build(const Vocabulary& vocabulary,
                                                        const VocabularySource& source);

  Result<void> encode_word(std::string_view word, WordScratch& scratch,
                           std::vector<TokenId>& out) const override;

 private:
  UnigramModel() = default;
  Result<void> read_pieces(const Vocabulary& vocabulary, const VocabularySource& source);
  void find_best(std::string_view word, std::vector<WordScratch::Node>& nodes) const;
  Result<void> emit_unknown(std::string_view text, std::vector<TokenId>& out) const;

  ByteTrie trie_;
  TokenMap by_piece_;
  std::vector<double> scores_;
  double unknown_score_ = 0;
  TokenId unknown_ = kNoToken;
  bool byte_fallback_ = false;
  std::array<TokenId, 256> byte_tokens_{};
};

}  // namespace minerva::text
