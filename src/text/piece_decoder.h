// How tokens become text again: the decoders of tokenizer.json, in order.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace minerva::text {

// Where a token stands in what is decoded.
struct TokenPlace {
  bool first = false;
  bool last = false;
};

// Filled once, then used from any thread. A copy shares nothing that changes.
class PieceDecoder {
 public:
  using Step = std::function<void(std::string& token, TokenPlace place)>;

  void add(Step step) { steps_.push_back(std::move(step)); }
  // Takes up to `left` times `content` from the front of the whole text, and `right` from its end.
  void strip_whole(std::string content, std::size_t left, std::size_t right);

  // What the token `piece` is in text.
  std::string text_of(std::string_view piece, TokenPlace place) const;
  // The last touch to the texts of all tokens, joined.
  void finish(std::string& text) const;

 private:
  struct Strip {
    std::string content;
    std::size_t left, right;
  };
  std::vector<Step> steps_;
  std::vector<Strip> strips_;
};

PieceDecoder::Step spaced_decoder();      // a space between tokens: what no decoder means
PieceDecoder::Step byte_level_decoder();  // byte_alphabet.h
PieceDecoder::Step byte_fallback_decoder();
PieceDecoder::Step replace_decoder(std::string from, std::string to);
PieceDecoder::Step strip_decoder(std::string content, std::size_t left, std::size_t right);
// `mark` becomes a space; at the start of the text nothing, if `drops_first`.
PieceDecoder::Step metaspace_decoder(std::string mark, bool drops_first);
// A space before each token that does not begin with `prefix`, which is taken away; `cleanup`:
// none before the signs of English.
PieceDecoder::Step word_piece_decoder(std::string prefix, bool cleanup);
// `suffix` becomes a space, at the end of the text nothing.
PieceDecoder::Step suffix_decoder(std::string suffix);

}  // namespace minerva::text
