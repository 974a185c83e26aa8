// The TokenModel of a Pipeline: words cut from the text, each turned into tokens on its own.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/pipeline.h"
#include "text/token_model.h"
#include "text/vocabulary.h"
#include "text/word_model.h"

namespace minerva::text {

class PipelineModel final : public TokenModel {
 public:
  static Result<std::unique_ptr<const TokenModel>> build(const Vocabulary& vocabulary,
                                                         const VocabularySource& source);

  Result<void> encode(std::string_view text, bool at_start,
                      std::vector<TokenId>& out) const override;
  const PieceList& token_bytes() const override { return bytes_; }
  const PieceDecoder* decoder() const override { return &decoder_; }
  bool add_bos_by_default() const override { return false; }
  bool adds_space_prefix() const override { return false; }

 private:
  PipelineModel() = default;

  std::shared_ptr<const TextCutter> cutter_;
  std::unique_ptr<const WordModel> words_;
  PieceDecoder decoder_;
  PieceList bytes_;
};

}  // namespace minerva::text
