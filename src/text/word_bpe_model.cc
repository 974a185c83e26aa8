#include "text/word_bpe_model.h"

#include <algorithm>
#include <limits>

#include "base/utf8.h"
#include "text/space_mark.h"

namespace minerva::text {

Result<std::unique_ptr<const WordModel>> WordBpeModel::build(const Vocabulary& vocabulary,
                                                             const VocabularySource& source) {
  std::unique_ptr<WordBpeModel> model(new WordBpeModel(source.merge_ids.size()));
  model->prefix_ = source.pipeline->continuing_prefix;
  model->suffix_ = source.pipeline->end_suffix;
  model->byte_fallback_ = source.pipeline->byte_fallback;
  model->ignore_merges_ = source.pipeline->ignore_merges;
  model->fuse_missing_ = source.fuse_missing;
  if (source.missing) model->missing_ = static_cast<TokenId>(*source.missing);
  add_merge_ids(vocabulary, source.merge_ids, model->merges_);
  model->by_piece_ = TokenMap(vocabulary.pieces(), vocabulary.size());
  model->byte_tokens_.fill(kNoToken);
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!is_plain_text(vocabulary.kind(id))) continue;
    model->by_piece_.add(id);
    if (const auto byte = byte_of_piece(vocabulary.piece(id))) model->byte_tokens_[*byte] = id;
  }
  return model;
}

bool WordBpeModel::add_bytes(std::string_view text, std::size_t at, Merger& merger) const {
  const auto lacks_token = [this](char c) {
    return byte_tokens_[static_cast<std::uint8_t>(c)] == kNoToken;
  };
  if (std::ranges::any_of(text, lacks_token)) return false;
  for (const char c : text) {
    merger.symbols.push_back(
        {static_cast<std::uint32_t>(at++), 1, byte_tokens_[static_cast<std::uint8_t>(c)]});
  }
  return true;
}

Result<void> WordBpeModel::encode_word(std::string_view word, WordScratch& scratch,
                                       std::vector<TokenId>& out) const {
  if (word.size() >= std::numeric_limits<std::uint32_t>::max() / 2) {
    return fail(ErrorCode::TooLarge, "a word of this size cannot be encoded");
  }
  if (ignore_merges_) {
    if (const TokenId whole = by_piece_.find(word); whole != kNoToken) {
      out.push_back(whole);
      return {};
    }
  }
  Merger& merger = scratch.merger;
  merger.symbols.clear();
  // Places count only relative to each other, so that a suffix adds nothing to them.
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t length = utf8_next(word.substr(at)).length;
    const auto begin = static_cast<std::uint32_t>(at);
    const auto bytes = static_cast<std::uint32_t>(length);
    std::string_view character = word.substr(at, length);
    const bool first = at == 0;
    at += length;
    const bool last = at == word.size();
    if ((!first && !prefix_.empty()) || (last && !suffix_.empty())) {
      scratch.text = first ? "" : prefix_;
      scratch.text += character;
      if (last) scratch.text += suffix_;
      character = scratch.text;
    }
    const TokenId id = by_piece_.find(character);
    if (id != kNoToken) {
      merger.symbols.push_back({begin, bytes, id});
    } else if (byte_fallback_ && add_bytes(character, begin, merger)) {
      continue;
    } else if (missing_ != kNoToken) {
      merger.add_unknown(begin, bytes, missing_, fuse_missing_);
    }
  }
  merger.merge(
      [this](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id); });
  for (const Symbol& symbol : merger.symbols) out.push_back(symbol.id);
  return {};
}

}  // namespace minerva::text
