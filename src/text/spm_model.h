// SentencePiece BPE ("llama"): spaces are written U+2581, neighbours are merged by the score of
// the token they make, and characters without a token fall back to bytes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/merge.h"
#include "text/token_map.h"
#include "text/token_model.h"
#include "text/vocabulary.h"

namespace minerva::text {

class SpmModel final : public TokenModel {
 public:
  static Result<std::unique_ptr<const TokenModel>> build(const Vocabulary& vocabulary,
                                                         const VocabularySource& source);

  Result<void> encode(std::string_view text, bool at_start,
                      std::vector<TokenId>& out) const override;
  const PieceList& token_bytes() const override { return bytes_; }
  bool add_bos_by_default() const override { return true; }
  bool adds_space_prefix() const override { return space_prefix_; }

 private:
  SpmModel() = default;
  Result<void> set_ranks(const std::vector<float>& scores);
  Result<void> read_pieces(const Vocabulary& vocabulary);
  Result<void> encode_word(std::string_view word, Merger& merger, std::vector<TokenId>& out) const;
  Result<void> emit(std::string_view symbol, TokenId id, std::vector<TokenId>& out) const;

  bool space_prefix_ = true;
  TokenId unknown_ = kNoToken;
  std::array<TokenId, 256> byte_tokens_{};
  std::vector<std::uint32_t> ranks_;  // id -> order of its score, the best lowest
  PieceList bytes_;
  TokenMap by_piece_;  // only what plain text may become
  // Whether some token has U+2581 after a character that ends in this byte. After any other one a
  // U+2581 begins a new word that nothing can merge across.
  std::array<bool, 256> joins_space_{};
};

}  // namespace minerva::text
