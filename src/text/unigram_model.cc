#include "text/unigram_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/utf8.h"
#include "text/space_mark.h"

namespace minerva::text {
namespace {

// How much less likely than the unlikeliest token a character without one is.
constexpr double kUnknownPenalty = 10.0;

// A character without a token, in a Node; kNoToken: no way ends there.
constexpr TokenId kUnknownNode = -2;

}  // namespace

Result<std::unique_ptr<const WordModel>> UnigramModel::build(const Vocabulary& vocabulary,
                                                             const VocabularySource& source) {
  std::unique_ptr<UnigramModel> model(new UnigramModel());
  model->byte_fallback_ = source.pipeline->byte_fallback;
  if (source.missing) model->unknown_ = static_cast<TokenId>(*source.missing);
  MINERVA_TRY(model->read_pieces(vocabulary, source));
  return model;
}

Result<void> UnigramModel::read_pieces(const Vocabulary& vocabulary,
                                       const VocabularySource& source) {
  if (source.log_probabilities.size() != vocabulary.size()) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("a Unigram vocabulary of {} tokens has {} scores", vocabulary.size(),
                            source.log_probabilities.size()),
                "scores");
  }
  const bool sentencepiece = source.pipeline->sentencepiece;
  scores_ = source.log_probabilities;
  by_piece_ = TokenMap(vocabulary.pieces(), vocabulary.size());
  byte_tokens_.fill(kNoToken);
  double lowest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string_view piece = vocabulary.piece(id);
    const TokenKind kind = vocabulary.kind(id);
    if (!std::isfinite(scores_[i])) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("the score of token {} ({}) is {}, not a number to order by", i,
                              quoted_piece(piece), scores_[i]),
                  "scores");
    }
    const bool scored = i < source.scored;
    const bool counts = !sentencepiece || kind == TokenKind::Normal;
    if (scored && counts) lowest = std::min(lowest, scores_[i]);
    if (!is_plain_text(kind)) continue;
    if (kind == TokenKind::Byte) {
      MINERVA_ASSIGN(const std::uint8_t byte, byte_of_token(vocabulary, id));
      byte_tokens_[byte] = id;
    }
    if (piece.size() > kUnigramBytesMax) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("token {} of a Unigram vocabulary has {} bytes; at most {} are "
                              "possible",
                              i, piece.size(), kUnigramBytesMax),
                  "vocab");
    }
    by_piece_.add(id);
    const bool in_text = scored && (kind != TokenKind::Byte || !sentencepiece);
    if (in_text && by_piece_.find(piece) == id) trie_.add(piece, id);
  }
  unknown_score_ = (std::isfinite(lowest) ? lowest : 0.0) - kUnknownPenalty;
  return {};
}

void UnigramModel::find_best(std::string_view word, std::vector<WordScratch::Node>& nodes) const {
  nodes.assign(word.size() + 1, {0.0, 0, kNoToken});
  const auto offer = [&nodes](std::size_t begin, std::size_t end, TokenId id, double score) {
    WordScratch::Node& node = nodes[end];
    const double total = score + nodes[begin].score;
    // Of equal ones the first, which begins further to the left.
    if (node.id != kNoToken && total <= node.score) return;
    node = {total, static_cast<std::uint32_t>(begin), id};
  };
  for (std::size_t begin = 0; begin < word.size();) {
    const std::size_t length = utf8_next(word.substr(begin)).length;
    bool single = false;
    trie_.for_each_prefix(word.substr(begin), [&](std::size_t bytes, TokenId id) {
      offer(begin, begin + bytes, id, scores_[static_cast<std::size_t>(id)]);
      single = single || bytes == length;
    });
    if (!single) offer(begin, begin + length, kUnknownNode, unknown_score_);
    begin += length;
  }
}

Result<void> UnigramModel::encode_word(std::string_view word, WordScratch& scratch,
                                       std::vector<TokenId>& out) const {
  if (word.size() >= std::numeric_limits<std::uint32_t>::max()) {
    return fail(ErrorCode::TooLarge, "a word of this size cannot be encoded");
  }
  find_best(word, scratch.nodes);
  // Back from the end; unknown characters side by side are one.
  std::vector<WordScratch::Span>& spans = scratch.spans;
  spans.clear();
  for (auto end = static_cast<std::uint32_t>(word.size()); end > 0;) {
    const WordScratch::Node& node = scratch.nodes[end];
    const bool unknown = node.id == kUnknownNode || node.id == unknown_;
    if (unknown && !spans.empty() && spans.back().id == kUnknownNode) {
      spans.back().begin = node.begin;
    } else {
      spans.push_back({node.begin, end, unknown ? kUnknownNode : node.id});
    }
    end = node.begin;
  }
  for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
    if (span->id != kUnknownNode) {
      out.push_back(span->id);
    } else {
      MINERVA_TRY(emit_unknown(word.substr(span->begin, span->end - span->begin), out));
    }
  }
  return {};
}

Result<void> UnigramModel::emit_unknown(std::string_view text, std::vector<TokenId>& out) const {
  if (unknown_ == kNoToken) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("the vocabulary has neither a token for {} nor an unknown token",
                            quoted_piece(text)),
                "unk_id");
  }
  const TokenId whole = by_piece_.find(text);
  if (whole != kNoToken) {
    out.push_back(whole);
    return {};
  }
  const auto lacks_token = [this](char c) {
    return byte_tokens_[static_cast<std::uint8_t>(c)] == kNoToken;
  };
  if (!byte_fallback_ || std::ranges::any_of(text, lacks_token)) {
    out.push_back(unknown_);
    return {};
  }
  for (const char c : text) out.push_back(byte_tokens_[static_cast<std::uint8_t>(c)]);
  return {};
}

}  // namespace minerva::text
