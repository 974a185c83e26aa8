// One way of turning one word into tokens: the models of tokenizer.json beside byte-level BPE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "text/merge.h"

namespace minerva::text {

// Working memory of one encode call, kept from word to word. One thread at a time.
struct WordScratch {
  struct Node {  // the best way to the place in the word where this node is
    double score;
    std::uint32_t begin;  // of its last token
    TokenId id;           // kNoToken: no way ends here
  };
  struct Span {
    std::uint32_t begin, end;
    TokenId id;
  };
  Merger merger;
  std::vector<Node> nodes;
  std::vector<Span> spans;
  std::string text;
};

// Immutable; any thread.
class WordModel {
 public:
  WordModel() = default;
  WordModel(const WordModel&) = delete;
  WordModel& operator=(const WordModel&) = delete;
  virtual ~WordModel() = default;

  // Appends the tokens of `word`, which is not empty and may be any bytes. InvalidModel when it
  // needs an unknown token and the vocabulary has none.
  virtual Result<void> encode_word(std::string_view word, WordScratch& scratch,
                                   std::vector<TokenId>& out) const = 0;
};

}  // namespace minerva::text
