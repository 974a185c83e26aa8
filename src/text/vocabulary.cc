#include "text/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/utf8.h"
#include "text/space_mark.h"

namespace minerva::text {
namespace {

// How models write the end of a turn, the likeliest first: the first one found is eot() when the
// file names none. Only control and user-defined tokens count, since any of these may also be an
// ordinary word of a vocabulary.
constexpr std::array<std::string_view, 7> kTurnEnds = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|end_of_turn|>", "<|eot|>", "<EOT>"};

// These end an answer too, though they are not the end of a turn.
constexpr std::array<std::string_view, 6> kTextEnds = {
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<|return|>",
    "<|call|>",
    "<\xef\xbd\x9c"
    "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"};

Result<TokenKind> kind_of(std::int64_t number, std::size_t index) {
  switch (number) {
    case 1:
      return TokenKind::Normal;
    case 2:
      return TokenKind::Unknown;
    case 3:
      return TokenKind::Control;
    case 4:
      return TokenKind::UserDefined;
    case 5:
      return TokenKind::Unused;
    case 6:
      return TokenKind::Byte;
    default:
      return fail(
          ErrorCode::InvalidModel,
          fmt::format("tokenizer.ggml.token_type[{}] is {}; kinds go from 1 to 6", index, number),
          "tokenizer.ggml.token_type");
  }
}

Result<void> same_length(std::string_view key, std::size_t length, std::size_t vocab_size) {
  if (length == vocab_size) return {};
  return fail(
      ErrorCode::InvalidModel,
      fmt::format("{} has {} elements, but tokenizer.ggml.tokens has {}", key, length, vocab_size),
      std::string(key));
}

}  // namespace

std::string quoted_piece(std::string_view piece) {
  constexpr std::size_t kShownBytes = 60;
  std::string out = "\"";
  const std::string text = utf8_replace_invalid(piece.substr(0, kShownBytes));
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += piece.size() > kShownBytes ? "\"..." : "\"";
  return out;
}

Result<Vocabulary> Vocabulary::build(const VocabularySource& source) {
  const std::size_t size = source.pieces.size();
  if (size == 0 || size > kVocabSizeMax) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("tokenizer.ggml.tokens has {} tokens; 1 to {} are possible", size,
                            kVocabSizeMax),
                "tokenizer.ggml.tokens");
  }
  std::size_t bytes = 0;
  for (const std::string_view piece : source.pieces) {
    bytes += piece.size();  // cannot wrap: each piece lies in memory
    if (bytes > kPieceBytesMax) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("the tokens take more than {} bytes together", kPieceBytesMax),
                  "tokenizer.ggml.tokens");
    }
  }
  auto pieces = std::make_shared<PieceList>();
  pieces->reserve(size, bytes);
  for (const std::string_view piece : source.pieces) pieces->add(piece);

  Vocabulary out;
  out.pieces_ = std::move(pieces);
  out.by_piece_ = TokenMap(out.pieces_, size);
  for (std::size_t i = 0; i < size; ++i) out.by_piece_.add(static_cast<TokenId>(i));
  MINERVA_TRY(out.set_kinds(source));
  MINERVA_TRY(out.set_special_ids(source));
  out.find_turn_ends();
  return out;
}

Result<void> Vocabulary::set_kinds(const VocabularySource& source) {
  const std::size_t size = source.pieces.size();
  kinds_.assign(size, TokenKind::Normal);
  if (source.kinds.empty()) return {};
  MINERVA_TRY(same_length("tokenizer.ggml.token_type", source.kinds.size(), size));
  for (std::size_t i = 0; i < size; ++i) {
    MINERVA_ASSIGN(kinds_[i], kind_of(source.kinds[i], i));
  }
  return {};
}

Result<void> Vocabulary::set_special_ids(const VocabularySource& source) {
  if (!source.scores.empty()) {
    MINERVA_TRY(same_length("tokenizer.ggml.scores", source.scores.size(), size()));
  }
  const auto checked = [this](std::string_view key,
                              std::optional<std::uint64_t> from) -> Result<std::optional<TokenId>> {
    if (!from) return std::nullopt;
    if (*from >= size()) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("{} is {}, but there are only {} tokens", key, *from, size()),
                  std::string(key));
    }
    return static_cast<TokenId>(*from);
  };
  MINERVA_ASSIGN(bos, checked("tokenizer.ggml.bos_token_id", source.bos));
  MINERVA_ASSIGN(eos, checked("tokenizer.ggml.eos_token_id", source.eos));
  MINERVA_ASSIGN(eot, checked("tokenizer.ggml.eot_token_id", source.eot));
  MINERVA_ASSIGN(eom, checked("tokenizer.ggml.eom_token_id", source.eom));
  MINERVA_ASSIGN(unk, checked("tokenizer.ggml.unknown_token_id", source.unk));
  MINERVA_ASSIGN(pad, checked("tokenizer.ggml.padding_token_id", source.pad));
  for (const std::uint64_t end : source.ends) {
    MINERVA_ASSIGN(const auto id, checked("eos_token_id", end));
    end_of_generation.push_back(*id);
  }
  return {};
}

Result<void> Vocabulary::check_ids(std::string_view what,
                                   const std::vector<std::uint64_t>& ids) const {
  for (const std::uint64_t id : ids) {
    if (id < size()) continue;
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} has the id {}, but there are only {} tokens", what, id, size()));
  }
  return {};
}

void Vocabulary::find_turn_ends() {
  const auto special = [this](std::string_view text) -> std::optional<TokenId> {
    const TokenId id = find(text);
    if (id == kNoToken) return std::nullopt;
    if (kind(id) != TokenKind::Control && kind(id) != TokenKind::UserDefined) return std::nullopt;
    return id;
  };
  // In the harmony format <|end|> closes one message of an answer, and the answer goes on.
  const bool harmony = special("<|return|>") && special("<|call|>");
  std::vector<TokenId> ends = std::move(end_of_generation);
  const auto add = [&ends](std::optional<TokenId> id) {
    if (id) ends.push_back(*id);
  };
  for (const std::string_view text : kTurnEnds) {
    const std::optional<TokenId> id = special(text);
    if (!id || (harmony && text == "<|end|>")) continue;
    if (!eot) eot = id;
    add(id);
  }
  for (const std::string_view text : kTextEnds) add(special(text));
  add(eos);
  add(eot);
  add(eom);
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  end_of_generation = std::move(ends);
}

Result<std::uint8_t> byte_of_token(const Vocabulary& vocabulary, TokenId id) {
  if (const auto byte = byte_of_piece(vocabulary.piece(id))) return *byte;
  return fail(ErrorCode::InvalidModel,
              fmt::format("tokenizer.ggml.tokens[{}] is {}, but its kind is byte, which is written "
                          "<0x00> to <0xFF>",
                          id, quoted_piece(vocabulary.piece(id))),
              "tokenizer.ggml.tokens");
}

}  // namespace minerva::text
