// A folder's vocabulary and chat template as the tokenizer.* keys of a GGUF file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/gguf_metadata.h"
#include "models/vocabulary_cache.h"

namespace minerva::models {

// `vocabulary`: of the folder. `rows`: of the embedding; ids that stand for no token become unused
// ones. What comes back are notes: what GGUF has no words for, and for which texts that matters.
// Unsupported, by name, for a tokenizer that GGUF has no words for or that we do not know its words
// for; what is written has been read again and gives the folder's ids.
Result<std::vector<std::string>> add_vocabulary_keys(const std::string& folder,
                                                     const LoadedVocabulary& vocabulary,
                                                     std::uint64_t rows,
                                                     formats::GgufMetadata& metadata);

}  // namespace minerva::models
