#include "text/bpe_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "text/byte_alphabet.h"

namespace minerva::text {
namespace {

Error bad_merge(std::size_t index, std::string_view merge, std::string_view why) {
  return {ErrorCode::InvalidModel,
          fmt::format("tokenizer.ggml.merges[{}] is {}: {}", index, quoted_piece(merge), why),
          "tokenizer.ggml.merges"};
}

// Ranks are 32 bits wide; the largest list in use has 280,147.
constexpr std::size_t kMergeCountMax = std::size_t{1} << 24;

// Longer tokens (runs of spaces or dashes) are merged when they occur: they are rare in text, and
// a file full of them must not slow loading down.
constexpr std::size_t kWholeWordBytesMax = 64;

}  // namespace

Result<WordCutter> word_cutter_of(const VocabularySource& source) {
  if (source.word_cutter) return *source.word_cutter;
  // A file without the key is older than pre-tokenizers; "default" is what such files were made
  // for.
  const std::string_view pre = source.pre.value_or("default");
  const PreTokenizer* row = find_pre_tokenizer(pre);
  if (!row) {
    return fail(ErrorCode::Unsupported,
                fmt::format("pre-tokenizer {} (tokenizer.ggml.pre) is not supported; known: {}",
                            quoted_piece(pre), known_pre_tokenizers()),
                "tokenizer.ggml.pre");
  }
  return WordCutter{{row->stages.begin(), row->stages.end()}, row->ignore_merges, row->add_bos};
}

Result<std::unique_ptr<const TokenModel>> BpeModel::build(const Vocabulary& vocabulary,
                                                          const VocabularySource& source) {
  MINERVA_ASSIGN(WordCutter words, word_cutter_of(source));
  if (source.merges.empty() && source.merge_ids.empty()) {
    return fail(ErrorCode::InvalidModel,
                "a vocabulary of model gpt2 needs tokenizer.ggml.merges, which is missing or empty",
                "tokenizer.ggml.merges");
  }
  if (source.merges.size() > kMergeCountMax) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("tokenizer.ggml.merges has {} entries; at most {} are possible",
                            source.merges.size(), kMergeCountMax),
                "tokenizer.ggml.merges");
  }
  const std::size_t merge_count = std::max(source.merges.size(), source.merge_ids.size());
  std::unique_ptr<BpeModel> model(new BpeModel(std::move(words), merge_count));
  if (source.missing) model->missing_ = static_cast<TokenId>(*source.missing);
  model->fuse_missing_ = source.fuse_missing;
  model->cutter_ = source.byte_cutter;
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string letter;
    utf8_append(letter, letter_of_byte(static_cast<std::uint8_t>(byte)));
    const TokenId id = vocabulary.find(letter);
    // A vocabulary may lack bytes: SmolLM2 has 235 of them.
    model->byte_tokens_[byte] =
        id != kNoToken && is_plain_text(vocabulary.kind(id)) ? id : kNoToken;
  }
  MINERVA_TRY(model->add_merges(vocabulary, source.merges));
  add_merge_ids(vocabulary, source.merge_ids, model->merges_);
  model->decode_pieces(vocabulary);
  model->find_whole_words(vocabulary);
  return model;
}

Result<void> BpeModel::add_merges(const Vocabulary& vocabulary,
                                  const std::vector<std::string_view>& merges) {
  std::string merged;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::string_view merge = merges[i];
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merge.size()) {
      return fail(bad_merge(i, merge, "expected two tokens with a space between them"));
    }
    const std::string_view left = merge.substr(0, space);
    const std::string_view right = merge.substr(space + 1);
    merged.assign(left);
    merged += right;
    const TokenId left_id = vocabulary.find(left);
    const TokenId right_id = vocabulary.find(right);
    const TokenId id = vocabulary.find(merged);
    if (left_id == kNoToken || right_id == kNoToken || id == kNoToken) {
      const std::string_view absent = left_id == kNoToken    ? left
                                      : right_id == kNoToken ? right
                                                             : std::string_view(merged);
      return fail(bad_merge(i, merge, quoted_piece(absent) + " is not in tokenizer.ggml.tokens"));
    }
    // Plain text must never become a control token, whatever the merges say.
    if (!is_plain_text(vocabulary.kind(id))) continue;
    merges_.add(left_id, right_id, {static_cast<std::uint32_t>(i), id});
  }
  return {};
}

void BpeModel::decode_pieces(const Vocabulary& vocabulary) {
  auto bytes = std::make_shared<PieceList>();
  bytes->reserve(vocabulary.size(), vocabulary.pieces()->total_bytes());
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const bool letters = vocabulary.kind(id) == TokenKind::Normal ||
                         vocabulary.kind(id) == TokenKind::Unused ||
                         vocabulary.kind(id) == TokenKind::Byte;
    bytes->add(letters ? bytes_of_letters(vocabulary.piece(id))
                       : std::string(vocabulary.piece(id)));
  }
  bytes_ = std::move(bytes);
}

// Knowing the words that are one token saves merging them: nine in ten words of English.
void BpeModel::find_whole_words(const Vocabulary& vocabulary) {
  whole_words_ = TokenMap(bytes_, vocabulary.size());
  Merger merger;
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (vocabulary.kind(id) != TokenKind::Normal) continue;
    const std::string_view word = (*bytes_)[i];
    if (!words_.ignore_merges) {
      if (word.empty() || word.size() > kWholeWordBytesMax) continue;
      merge_word(word, merger);
      if (merger.symbols.size() != 1 || merger.symbols[0].id != id) continue;
    }
    whole_words_.add(id);
  }
}

void BpeModel::add_missing(std::size_t at, Merger& merger) const {
  if (missing_ == kNoToken) return;
  const bool again = !merger.symbols.empty() && merger.symbols.back().id == missing_;
  if (again && fuse_missing_) {
    ++merger.symbols.back().length;
  } else {
    merger.symbols.push_back({static_cast<std::uint32_t>(at), 1, missing_});
  }
}

void BpeModel::merge_word(std::string_view word, Merger& merger) const {
  merger.symbols.clear();
  for (std::size_t i = 0; i < word.size(); ++i) {
    const TokenId id = byte_tokens_[static_cast<std::uint8_t>(word[i])];
    if (id == kNoToken) {
      add_missing(i, merger);
      continue;
    }
    merger.symbols.push_back({static_cast<std::uint32_t>(i), 1, id});
  }
  merger.merge(
      [this](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id); });
}

void BpeModel::encode_word(std::string_view word, Merger& merger, std::vector<TokenId>& out) const {
  const TokenId whole = whole_words_.find(word);
  if (whole != kNoToken) {
    out.push_back(whole);
    return;
  }
  merge_word(word, merger);
  for (const Symbol& symbol : merger.symbols) out.push_back(symbol.id);
}

Result<void> BpeModel::encode(std::string_view text, bool at_start,
                              std::vector<TokenId>& out) const {
  Merger merger;
  if (cutter_) {
    return cutter_->cut(text, at_start, [&](std::string_view word, bool) -> Result<void> {
      encode_word(word, merger, out);
      return {};
    });
  }
  split_words(words_.stages, text, [&](std::string_view word) { encode_word(word, merger, out); });
  return {};
}

}  // namespace minerva::text
