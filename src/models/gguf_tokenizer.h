// A folder's tokenizer on its way into the tokenizer.* keys of a GGUF file, and the kinds that
// there are words for. Internal to models. What a kind's words cannot say is refused by name where
// texts would become other tokens, and is a note where only odd ones would. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf_metadata.h"
#include "text/json_vocabulary.h"
#include "text/tokenizer.h"

namespace minerva::models {

struct GgufTokenizer {
  // What is passed in must outlive it.
  GgufTokenizer(const text::JsonVocabulary& vocabulary, const text::Tokenizer& tokenizer,
                formats::GgufMetadata& keys)
      : folder(vocabulary), tokenizer(tokenizer), keys(keys) {}

  const text::VocabularySource& source() const { return folder.source(); }
  bool is_normal(std::size_t id) const;

  const text::JsonVocabulary& folder;
  const text::Tokenizer& tokenizer;  // of the same files
  formats::GgufMetadata& keys;
  std::vector<std::string> pieces;  // id -> as the file writes it; more than the folder's tokens
  std::vector<std::int32_t> kinds;  // as GGUF numbers them
  std::vector<std::string> notes;   // what is not said, and for which texts that matters
  // What of these notes a comparison of ids must leave out: texts with spaces at their ends or
  // beside special tokens, and what comes before and after a text.
  bool spaces_differ = false;
  bool surroundings_differ = false;
};

// Each writes tokenizer.ggml.model and what belongs to it, and may rewrite pieces.
Result<void> write_byte_bpe(GgufTokenizer& out);
Result<void> write_character_bpe(GgufTokenizer& out);
Result<void> write_unigram(GgufTokenizer& out);
Result<void> write_word_piece(GgufTokenizer& out);

// "left right" of each merge, best first, each pair once.
Result<void> add_merges(GgufTokenizer& out);

// Unsupported: "tokenizer.json: WHAT ...".
std::unexpected<Error> not_in_gguf(std::string_view what);

// Whether the file's tokenizer gives the folder's ids, over texts of many scripts and over the
// vocabulary's own tokens. Unsupported names the text that it does not.
Result<void> check_same_ids(const GgufTokenizer& folder, const text::Tokenizer& file);

}  // namespace minerva::models
