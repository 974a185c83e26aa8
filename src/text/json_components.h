// The parts of tokenizer.json around its vocabulary, brought into the terms of our own tokenizers.
// What a part does is either done here to the letter or refused with Unsupported by name.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "text/vocabulary.h"

namespace minerva::text {

struct JsonComponents {
  bool nfc = false;
  std::optional<WordCutter> word_cutter;  // byte-level
  std::optional<CharBpe> char_bpe;        // or of characters; one of the two is set
  // What the post-processor puts around a text.
  std::optional<std::uint64_t> prefix, suffix;
};

// `document`: tokenizer.json, an object.
Result<JsonComponents> read_components(const nlohmann::json& document);

// Fields of an object. A field of another type is InvalidModel, with `where` in the message; one
// that is absent or null is `otherwise`.
Result<bool> flag_of(const nlohmann::json& object, const char* key, bool otherwise,
                     std::string_view where);
Result<std::string_view> string_of(const nlohmann::json& object, const char* key,
                                   std::string_view otherwise, std::string_view where);

// The same as an Error of tokenizer.json.
std::unexpected<Error> broken_tokenizer(std::string_view why);
std::unexpected<Error> unsupported_tokenizer(std::string_view what);

}  // namespace minerva::text
