#include "text/word_piece_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "text/space_mark.h"

namespace minerva::text {
namespace {

std::unexpected<Error> no_unknown_token(std::string_view word) {
  return fail(ErrorCode::InvalidModel,
              fmt::format("the vocabulary has neither a token for {} nor an unknown token",
                          quoted_piece(word)),
              "unk_token");
}

bool has_more_characters(std::string_view word, std::size_t max) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < word.size(); ++count) {
    if (count == max) return true;
    at += utf8_next(word.substr(at)).length;
  }
  return false;
}

// Where the character that ends at `end` begins.
std::size_t before_last_character(std::string_view word, std::size_t end) {
  std::size_t at = end - 1;
  while (at > 0 && end - at < 4 && (static_cast<std::uint8_t>(word[at]) & 0xc0) == 0x80) --at;
  return at;
}

}  // namespace

Result<std::unique_ptr<const WordModel>> WordPieceModel::build(const Vocabulary& vocabulary,
                                                               const VocabularySource& source) {
  const Pipeline& pipeline = *source.pipeline;
  std::unique_ptr<WordPieceModel> model(new WordPieceModel());
  model->characters_max_ = pipeline.word_characters_max;
  if (source.missing) model->unknown_ = static_cast<TokenId>(*source.missing);
  auto starts = std::make_shared<PieceList>();
  auto continues = std::make_shared<PieceList>();
  const std::string& prefix = pipeline.continuing_prefix;
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string_view piece = vocabulary.piece(id);
    std::string_view start, rest;
    if (is_plain_text(vocabulary.kind(id))) {
      if (pipeline.marks_word_starts) {
        const bool marked = piece.starts_with(kSpaceMark);
        (marked ? start : rest) = marked ? piece.substr(kSpaceMark.size()) : piece;
      } else {
        start = piece;
        if (piece.starts_with(prefix)) rest = piece.substr(prefix.size());
      }
    }
    starts->add(start);
    continues->add(rest);
  }
  model->starts_ = TokenMap(starts, vocabulary.size());
  model->continues_ = TokenMap(continues, vocabulary.size());
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    model->starts_.add(static_cast<TokenId>(i));
    model->continues_.add(static_cast<TokenId>(i));
  }
  return model;
}

Result<void> WordPieceModel::encode_word(std::string_view word, WordScratch& /*scratch*/,
                                         std::vector<TokenId>& out) const {
  const std::size_t tokens = out.size();
  bool known = !has_more_characters(word, characters_max_);
  for (std::size_t begin = 0; known && begin < word.size();) {
    const TokenMap& pieces = begin == 0 ? starts_ : continues_;
    TokenId id = kNoToken;
    std::size_t end = word.size();
    while (end > begin) {
      id = pieces.find(word.substr(begin, end - begin));
      if (id != kNoToken) break;
      end = std::max(begin, before_last_character(word, end));
    }
    known = id != kNoToken;
    if (known) out.push_back(id);
    begin = end;
  }
  if (known) return {};
  if (unknown_ == kNoToken) return no_unknown_token(word);
  out.resize(tokens);
  out.push_back(unknown_);
  return {};
}

Result<std::unique_ptr<const WordModel>> WordLevelModel::build(const Vocabulary& vocabulary,
                                                               const VocabularySource& source) {
  std::unique_ptr<WordLevelModel> model(new WordLevelModel());
  if (source.missing) model->unknown_ = static_cast<TokenId>(*source.missing);
  model->words_ = TokenMap(vocabulary.pieces(), vocabulary.size());
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (is_plain_text(vocabulary.kind(id))) model->words_.add(id);
  }
  return model;
}

Result<void> WordLevelModel::encode_word(std::string_view word, WordScratch& /*scratch*/,
                                         std::vector<TokenId>& out) const {
  const TokenId id = words_.find(word);
  if (id == kNoToken && unknown_ == kNoToken) return no_unknown_token(word);
  out.push_back(id != kNoToken ? id : unknown_);
  return {};
}

}  // namespace minerva::text
