#include "text/spm_model.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "text/space_mark.h"

namespace minerva::text {
namespace {

// A higher score is a lower rank. The bits of floats of one sign order as integers do.
std::uint32_t rank_of(float score) {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);  // -0 is 0
  const std::uint32_t rising = bits >> 31 ? ~bits : bits | 0x80000000u;
  return ~rising;
}

}  // namespace

Result<std::unique_ptr<const TokenModel>> SpmModel::build(const Vocabulary& vocabulary,
                                                          const VocabularySource& source) {
  std::unique_ptr<SpmModel> model(new SpmModel());
  model->space_prefix_ = source.add_space_prefix.value_or(true);
  model->unknown_ = vocabulary.unk.value_or(kNoToken);
  MINERVA_TRY(model->set_ranks(source.scores));
  MINERVA_TRY(model->read_pieces(vocabulary));
  return model;
}

Result<void> SpmModel::set_ranks(const std::vector<float>& scores) {
  if (scores.empty()) {
    return fail(
        ErrorCode::InvalidModel,
        "a vocabulary of model llama needs tokenizer.ggml.scores, which is missing or empty",
        "tokenizer.ggml.scores");
  }
  ranks_.reserve(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (!std::isfinite(scores[i])) {
      return fail(
          ErrorCode::InvalidModel,
          fmt::format("tokenizer.ggml.scores[{}] is {}, not a number to order by", i, scores[i]),
          "tokenizer.ggml.scores");
    }
    ranks_.push_back(rank_of(scores[i]));
  }
  return {};
}

Result<void> SpmModel::read_pieces(const Vocabulary& vocabulary) {
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
      if (byte_tokens_[byte] == kNoToken) byte_tokens_[byte] = id;
      continue;
    }
    bytes_.add(is_plain_text(kind) ? spaces_of_marks(piece) : std::string(piece));
    if (!is_plain_text(kind)) continue;
    by_piece_.add(id);
    for (std::size_t at = piece.find(kSpaceMark, 1); at != std::string_view::npos;
         at = piece.find(kSpaceMark, at + 1)) {
      // A run of marks is one word anyway.
      if (piece.substr(0, at).ends_with(kSpaceMark)) continue;
      joins_space_[static_cast<std::uint8_t>(piece[at - 1])] = true;
    }
  }
  return {};
}

Result<void> SpmModel::encode(std::string_view text, bool /*at_start*/,
                              std::vector<TokenId>& out) const {
  if (text.empty()) return {};
  const std::string marked = marks_of_spaces(text, space_prefix_);
  if (marked.size() > std::numeric_limits<std::uint32_t>::max() / 2) {
    return fail(ErrorCode::TooLarge, "too many spaces in a text of this size");
  }
  Merger merger;
  std::string_view rest = marked;
  while (!rest.empty()) {
    // Words end before a mark that follows something which no token joins to it.
    std::size_t end = rest.find(kSpaceMark, 1);
    while (end != std::string_view::npos &&
           (rest.substr(0, end).ends_with(kSpaceMark) ||
            joins_space_[static_cast<std::uint8_t>(rest[end - 1])])) {
      end = rest.find(kSpaceMark, end + 1);
    }
    const std::string_view word = rest.substr(0, end);
    MINERVA_TRY(encode_word(word, merger, out));
    rest.remove_prefix(word.size());
  }
  return {};
}

Result<void> SpmModel::encode_word(std::string_view word, Merger& merger,
                                   std::vector<TokenId>& out) const {
  merger.symbols.clear();
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t length = utf8_next(word.substr(at)).length;
    merger.symbols.push_back(
        {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(length), kNoToken});
    at += length;
  }
  merger.merge([&](const Symbol& left, const Symbol& right) -> Merge {
    const TokenId id = by_piece_.find(word.substr(left.begin, left.length + right.length));
    if (id == kNoToken) return {};
    return {ranks_[static_cast<std::size_t>(id)], id};
  });
  for (const Symbol& symbol : merger.symbols) {
    MINERVA_TRY(emit(word.substr(symbol.begin, symbol.length), symbol.id, out));
  }
  return {};
}

// A symbol that was never merged is one character: a token, or its bytes.
Result<void> SpmModel::emit(std::string_view symbol, TokenId id, std::vector<TokenId>& out) const {
  if (id == kNoToken) id = by_piece_.find(symbol);
  if (id != kNoToken) {
    out.push_back(id);
    return {};
  }
  for (const char c : symbol) {
    const TokenId byte = byte_tokens_[static_cast<std::uint8_t>(c)];
    if (byte == kNoToken && unknown_ == kNoToken) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("the vocabulary has no token for byte 0x{:02x} and no unknown token",
                              static_cast<unsigned>(static_cast<std::uint8_t>(c))),
                  "tokenizer.ggml.tokens");
    }
    out.push_back(byte != kNoToken ? byte : unknown_);
  }
  return {};
}

}  // namespace minerva::text
