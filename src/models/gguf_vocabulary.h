// A folder's vocabulary and chat template as the tokenizer.* keys of a GGUF file.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "formats/gguf_metadata.h"
#include "models/vocabulary_cache.h"

namespace minerva::models {

// `rows`: of the embedding; ids that stand for no token become unused ones. Reads merges and the
// pre-tokenizer from the folder's tokenizer.json. Unsupported, by name, for a tokenizer that GGUF
// has no words for, or that we do not know its words for.
Result<void> add_vocabulary_keys(const std::string& folder, const LoadedVocabulary& vocabulary,
                                 std::uint64_t rows, formats::GgufMetadata& metadata);

}  // namespace minerva::models
