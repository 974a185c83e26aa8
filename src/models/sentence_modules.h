// What a sentence-transformers folder says of the way from a text to its vector: modules.json, the
// pooling's config.json, sentence_bert_config.json and config_sentence_transformers.json. Internal
// to models.
#pragma once

#include "base/result.h"
#include "models/family.h"
#include "models/model_folder.h"

namespace minerva::models {

// Writes `pooling_type`, `normalize_embeddings` and `embedding_context_length`; nothing where the
// folder has no modules.json. Unsupported names what would change the vectors and is not known: a
// module, a kind of pooling, a prompt that comes before every text.
Result<void> write_sentence_modules(const ModelFolder& folder, FamilyWriter& out);

}  // namespace minerva::models
