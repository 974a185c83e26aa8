// The vocabulary and the chat template of a model folder, as Hugging Face and MLX lay it out.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "models/vocabulary_cache.h"

namespace minerva::models {

// From tokenizer.json, tokenizer_config.json, special_tokens_map.json, generation_config.json,
// config.json and chat_template.jinja (or .json); only the first one must be there. Symbolic links
// are followed: a Hugging Face cache is made of them. The texts of the special tokens are left to
// load_vocabulary().
Result<std::shared_ptr<LoadedVocabulary>> load_folder_vocabulary(const std::string& folder);

}  // namespace minerva::models
