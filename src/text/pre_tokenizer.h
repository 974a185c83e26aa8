// How byte-level vocabularies cut text into words before merging: one row of one table for each
// way, chosen by tokenizer.ggml.pre.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/scanners.h"

namespace minerva::text {

struct PreTokenizer {
  std::span<const std::string_view> names;  // values of tokenizer.ggml.pre
  std::span<const Scanner> stages;          // each cuts the pieces of the one before
  bool ignore_merges = false;               // a word that is a token is that token
  bool add_bos = false;                     // unless the file says otherwise
};

// How the words of one vocabulary are cut. A plain value.
struct WordCutter {
  std::vector<Scanner> stages;
  bool ignore_merges = false;
  bool add_bos = false;
};

// nullptr when no row has the name.
const PreTokenizer* find_pre_tokenizer(std::string_view name);

// The value of tokenizer.ggml.pre that stands for words cut so; empty: there is none. Whether a BOS
// is added is not looked at: files say that themselves.
std::string_view name_of_cutter(const WordCutter& cutter);

// All names, for messages: "default, gpt-2, ...".
std::string known_pre_tokenizers();

// The scanner whose pieces, or those that `then` cuts of them, are those of splitting by this
// expression, as published; nullptr: there is none. `whole`: its pieces are matches only, it leaves
// nothing between them.
struct KnownExpression {
  std::string_view text;
  Scanner scanner;
  bool whole;
  Scanner then = nullptr;
};
const KnownExpression* find_expression(std::string_view text);

// Calls emit(piece) for every word of `text`, left to right; together they are the text.
template <class Emit>
void split_words(std::span<const Scanner> stages, std::string_view text, const Emit& emit) {
  const bool last = stages.size() == 1;
  while (!text.empty()) {
    const std::size_t length = stages.front()(text);
    if (last) {
      emit(text.substr(0, length));
    } else {
      split_words(stages.subspan(1), text.substr(0, length), emit);
    }
    text.remove_prefix(length);
  }
}

}  // namespace minerva::text
