// BPE over characters: how tokenizer.json writes the models of SentencePiece. Spaces are written
// U+2581, neighbours merge by the list of merges, characters without a token fall back to bytes.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/merge_table.h"
#include "text/token_map.h"
#include "text/token_model.h"
#include "text/vocabulary.h"

namespace minerva::text {

class CharBpeModel final : public TokenModel {
 public:
  static Result<std::unique_ptr<const TokenModel>> build(const Vocabulary& vocabulary,
                                                         const VocabularySource& source);

  Result<void> encode(std::string_view text, bool at_start,
                      std::vector<TokenId>& out) const override;
  const PieceList& token_bytes() const override { return bytes_; }
  const PieceDecoder* decoder() const override {
    return options_.decoder ? &*options_.decoder : nullptr;
  }
  bool add_bos_by_default() const override { return options_.newline_runs; }
  bool adds_space_prefix() const override { return options_.prefix != SpacePrefix::None; }

 private:
  explicit CharBpeModel(std::size_t merge_count) : merges_(merge_count) {}
  Result<void> read_pieces(const Vocabulary& vocabulary);
  void find_joins(const Vocabulary& vocabulary);
  std::string_view first_word(std::string_view text) const;
  void encode_stretch(std::string_view text, Merger& merger, std::vector<TokenId>& out) const;
  void encode_word(std::string_view word, Merger& merger, std::vector<TokenId>& out) const;
  void add_character(std::string_view character, std::size_t at, Merger& merger) const;

  CharBpe options_;
  MergeTable merges_;
  TokenId missing_ = kNoToken;
  bool fuse_missing_ = false;
  std::array<TokenId, 256> byte_tokens_{};
  PieceList bytes_;
  TokenMap by_piece_;  // only what plain text may become
  // Whether some token has U+2581 after a character that ends in this byte. After any other one
  // nothing merges across the U+2581, and what is cut there merges much faster.
  std::array<bool, 256> joins_space_{};
  bool cuts_ = false;  // whether that may be used
};

}  // namespace minerva::text
