#include "text/pipeline_model.h"

#include <utility>

#include "text/unigram_model.h"
#include "text/word_bpe_model.h"
#include "text/word_piece_model.h"

namespace minerva::text {
namespace {

Result<std::unique_ptr<const WordModel>> build_words(const Vocabulary& vocabulary,
                                                     const VocabularySource& source) {
  switch (source.pipeline->kind) {
    case WordKind::WordPiece:
      return WordPieceModel::build(vocabulary, source);
    case WordKind::WordLevel:
      return WordLevelModel::build(vocabulary, source);
    case WordKind::Unigram:
      return UnigramModel::build(vocabulary, source);
    case WordKind::Bpe:
      break;
  }
  return WordBpeModel::build(vocabulary, source);
}

}  // namespace

Result<std::unique_ptr<const TokenModel>> PipelineModel::build(const Vocabulary& vocabulary,
                                                               const VocabularySource& source) {
  std::unique_ptr<PipelineModel> model(new PipelineModel());
  model->cutter_ = source.pipeline->cutter;
  model->decoder_ = source.pipeline->decoder;
  MINERVA_ASSIGN(model->words_, build_words(vocabulary, source));
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string_view piece = vocabulary.piece(id);
    const std::string text = is_plain_text(vocabulary.kind(id)) ? model->decoder_.text_of(piece, {})
                                                                : std::string(piece);
    bytes += text.size();
    if (bytes > kPieceBytesMax) {
      return fail(ErrorCode::InvalidModel, "the decoder makes the tokens too long",
                  "tokenizer.json");
    }
    model->bytes_.add(text);
  }
  return model;
}

Result<void> PipelineModel::encode(std::string_view text, bool at_start,
                                   std::vector<TokenId>& out) const {
  WordScratch scratch;
  return cutter_->cut(text, at_start, [&](std::string_view word, bool) {
    return words_->encode_word(word, scratch, out);
  });
}

}  // namespace minerva::text
