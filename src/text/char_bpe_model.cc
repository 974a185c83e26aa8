#include "text/char_bpe_model.h"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <string>

#include "base/utf8.h"
#include "text/space_mark.h"

namespace minerva::text {

Result<std::unique_ptr<const TokenModel>> CharBpeModel::build(const Vocabulary& vocabulary,
                                                              const VocabularySource& source) {
  std::unique_ptr<CharBpeModel> model(new CharBpeModel(source.merge_ids.size()));
  model->options_ = source.char_bpe.value_or(CharBpe{});
  if (source.missing) model->missing_ = static_cast<TokenId>(*source.missing);
  model->fuse_missing_ = source.fuse_missing;
  add_merge_ids(vocabulary, source.merge_ids, model->merges_);
  MINERVA_TRY(model->read_pieces(vocabulary));
  model->find_joins(vocabulary);
  return model;
}

Result<void> CharBpeModel::read_pieces(const Vocabulary& vocabulary) {
  byte_tokens_.fill(kNoToken);
  by_piece_ = TokenMap(vocabulary.pieces(), vocabulary.size());
  bytes_.reserve(vocabulary.size(), vocabulary.pieces()->total_bytes());
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string_view piece = vocabulary.piece(id);
    const TokenKind kind = vocabulary.kind(id);
    if (kind == TokenKind::Byte) {
      MINERVA_ASSIGN(const std::uint8_t byte, byte_of_token(vocabulary, id));
      const char text = static_cast<char>(byte);
      bytes_.add({&text, 1});
      byte_tokens_[byte] = id;
    } else {
      bytes_.add(is_plain_text(kind) ? spaces_of_marks(piece) : std::string(piece));
    }
    if (is_plain_text(kind)) by_piece_.add(id);
  }
  for (std::size_t byte = 0; options_.byte_fallback && byte < 256; ++byte) {
    // Gemma's files have the tab itself in place of <0x09>.
    const char character = static_cast<char>(byte);
    const bool needless = byte < 0x80 && by_piece_.find({&character, 1}) != kNoToken;
    if (byte_tokens_[byte] != kNoToken || needless) continue;
    return fail(ErrorCode::InvalidModel,
                fmt::format("the vocabulary falls back to bytes (model.byte_fallback), but has no "
                            "<0x{:02X}>",
                            byte),
                "tokenizer");
  }
  return {};
}

void CharBpeModel::find_joins(const Vocabulary& vocabulary) {
  // A word that is a token needs all of it, and a space without a token joins what is missing.
  cuts_ = !options_.ignore_merges && by_piece_.find(kSpaceMark) != kNoToken;
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const std::string_view piece = vocabulary.piece(static_cast<TokenId>(i));
    for (std::size_t at = piece.find(kSpaceMark, 1); at != std::string_view::npos;
         at = piece.find(kSpaceMark, at + 1)) {
      // A run of marks is one word anyway.
      if (piece.substr(0, at).ends_with(kSpaceMark)) continue;
      joins_space_[static_cast<std::uint8_t>(piece[at - 1])] = true;
    }
  }
}

std::string_view CharBpeModel::first_word(std::string_view text) const {
  if (options_.cut_at_spaces) return text.substr(0, text.find(kSpaceMark, 1));
  if (!cuts_) return text;
  std::size_t end = text.find(kSpaceMark, 1);
  while (end != std::string_view::npos &&
         (text.substr(0, end).ends_with(kSpaceMark) ||
          joins_space_[static_cast<std::uint8_t>(text[end - 1])])) {
    end = text.find(kSpaceMark, end + 1);
  }
  return text.substr(0, end);
}

Result<void> CharBpeModel::encode(std::string_view text, bool at_start,
                                  std::vector<TokenId>& out) const {
  if (text.empty()) return {};
  const bool has_space = text.front() == ' ' || text.starts_with(kSpaceMark);
  const SpacePrefix prefix = options_.prefix;
  const bool prefixed = prefix == SpacePrefix::Always ||
                        (prefix == SpacePrefix::UnlessThere && !has_space) ||
                        (prefix == SpacePrefix::FirstUnlessThere && !has_space && at_start);
  const std::string marked = marks_of_spaces(text, prefixed);
  if (marked.size() > std::numeric_limits<std::uint32_t>::max() / 2) {
    return fail(ErrorCode::TooLarge, "too many spaces in a text of this size");
  }
  Merger merger;
  if (!options_.newline_runs) {
    encode_stretch(marked, merger, out);
    return {};
  }
  std::string_view rest = marked;
  while (!rest.empty()) {
    const bool newlines = rest.front() == '\n';
    const std::size_t end = newlines ? rest.find_first_not_of('\n') : rest.find('\n');
    const std::string_view stretch = rest.substr(0, end);
    const TokenId whole = newlines ? by_piece_.find(stretch) : kNoToken;
    if (whole != kNoToken) {
      out.push_back(whole);
    } else {
      encode_stretch(stretch, merger, out);
    }
    rest.remove_prefix(stretch.size());
  }
  return {};
}

void CharBpeModel::encode_stretch(std::string_view text, Merger& merger,
                                  std::vector<TokenId>& out) const {
  while (!text.empty()) {
    const std::string_view word = first_word(text);
    encode_word(word, merger, out);
    text.remove_prefix(word.size());
  }
}

void CharBpeModel::encode_word(std::string_view word, Merger& merger,
                               std::vector<TokenId>& out) const {
  if (options_.ignore_merges) {
    if (const TokenId whole = by_piece_.find(word); whole != kNoToken) {
      out.push_back(whole);
      return;
    }
  }
  merger.symbols.clear();
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t length = utf8_next(word.substr(at)).length;
    add_character(word.substr(at, length), at, merger);
    at += length;
  }
  merger.merge(
      [this](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id); });
  for (const Symbol& symbol : merger.symbols) out.push_back(symbol.id);
}

void CharBpeModel::add_character(std::string_view character, std::size_t at, Merger& merger) const {
  const auto begin = static_cast<std::uint32_t>(at);
  const auto length = static_cast<std::uint32_t>(character.size());
  if (const TokenId id = by_piece_.find(character); id != kNoToken) {
    merger.symbols.push_back({begin, length, id});
  } else if (options_.byte_fallback) {
    for (std::uint32_t i = 0; i < length; ++i) {
      merger.symbols.push_back(
          {begin + i, 1, byte_tokens_[static_cast<std::uint8_t>(character[i])]});
    }
  } else if (missing_ != kNoToken) {
    merger.add_unknown(begin, length, missing_, fuse_missing_);
  }
}

}  // namespace minerva::text
