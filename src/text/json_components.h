// The parts of tokenizer.json around its vocabulary, brought into the terms of our own tokenizers.
// What a part does is either done here to the letter or refused with Unsupported by name.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/json_parts.h"
#include "text/vocabulary.h"

namespace minerva::text {

// Tokens around a text.
struct Surroundings {
  std::vector<std::uint64_t> before, after;
};

struct JsonComponents {
  std::shared_ptr<const Normalizer> normalizer;  // none: the text stays as it is
  // How text becomes tokens; one of these is set.
  std::optional<WordCutter> word_cutter;          // bytes, words cut by scanners
  std::shared_ptr<const TextCutter> byte_cutter;  // bytes, words cut by anything
  std::optional<CharBpe> char_bpe;                // the models of SentencePiece
  std::optional<Pipeline> pipeline;               // every other one
  Surroundings around;
};

// `document`: tokenizer.json, an object whose model is one. `kind` is what the model's type says.
Result<JsonComponents> read_components(const nlohmann::json& document, WordKind kind);

// The parts on their own.
Result<std::shared_ptr<const Normalizer>> read_normalizer(const std::vector<JsonPart>& parts);
struct CutterAndBytes {
  std::shared_ptr<TextCutter> cutter;
  bool bytes = false;  // its last stage left bytes, for a BPE of bytes
};
// `allows_bytes`: else byte-level text is written in letters.
Result<CutterAndBytes> read_pre_tokenizer(const std::vector<JsonPart>& parts, bool allows_bytes);
Result<Surroundings> read_post_processor(const std::vector<JsonPart>& parts);
Result<PieceDecoder> read_decoder(const std::vector<JsonPart>& parts);

// "always", "first" or "never", of a pre-tokenizer or decoder.
Result<std::string_view> metaspace_scheme(const JsonPart& part);
// White space goes, signs are words.
void add_bert_stages(TextCutter& out);

}  // namespace minerva::text
