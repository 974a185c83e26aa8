// What the models of GGUF files need beside the keys that all have.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "text/vocabulary.h"

namespace minerva::formats {
class GgufFile;
}

namespace minerva::text {

// Numbers of tokenizer.ggml.token_type.
inline constexpr std::int64_t kUnknownKind = 2;
inline constexpr std::int64_t kUserDefinedKind = 4;

// Sets how the words of `source` are cut and encoded, by its model. `source` has all other keys.
Result<void> complete_gguf_model(const formats::GgufFile& file, VocabularySource& source);

}  // namespace minerva::text
