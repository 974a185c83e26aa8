// The tokenizer.ggml.* keys of a GGUF file.
#include <fmt/format.h>

#include <string>

#include "base/result.h"
#include "formats/gguf.h"
#include "text/vocabulary.h"
#include "text/vocabulary_gguf.h"

namespace minerva::text {
namespace {

Result<void> read_id(const formats::GgufFile& file, std::string_view key,
                     std::optional<std::uint64_t>& id) {
  if (!file.has(key)) return {};
  MINERVA_ASSIGN(id, file.get_uint(key));
  return {};
}

Result<void> read_flag(const formats::GgufFile& file, std::string_view key,
                       std::optional<bool>& flag) {
  if (!file.has(key)) return {};
  MINERVA_ASSIGN(flag, file.get_bool(key));
  return {};
}

}  // namespace

Result<VocabularySource> read_gguf_vocabulary(const formats::GgufFile& file) {
  for (const std::string_view key : {"tokenizer.ggml.model", "tokenizer.ggml.tokens"}) {
    if (file.has(key)) continue;
    return fail(ErrorCode::InvalidModel,
                fmt::format("the file has no {}: it was made without its tokenizer", key),
                std::string(key));
  }
  VocabularySource source;
  MINERVA_ASSIGN(source.model, file.get_string("tokenizer.ggml.model"));
  if (file.has("tokenizer.ggml.pre")) {
    MINERVA_ASSIGN(source.pre, file.get_string("tokenizer.ggml.pre"));
  }
  MINERVA_ASSIGN(source.pieces, file.get_strings("tokenizer.ggml.tokens"));
  if (file.has("tokenizer.ggml.token_type")) {
    MINERVA_ASSIGN(source.kinds, file.get_ints("tokenizer.ggml.token_type"));
  }
  if (file.has("tokenizer.ggml.scores")) {
    MINERVA_ASSIGN(source.scores, file.get_floats("tokenizer.ggml.scores"));
  }
  if (file.has("tokenizer.ggml.merges")) {
    MINERVA_ASSIGN(source.merges, file.get_strings("tokenizer.ggml.merges"));
  }
  MINERVA_TRY(read_id(file, "tokenizer.ggml.bos_token_id", source.bos));
  MINERVA_TRY(read_id(file, "tokenizer.ggml.eos_token_id", source.eos));
  MINERVA_TRY(read_id(file, "tokenizer.ggml.eot_token_id", source.eot));
  MINERVA_TRY(read_id(file, "tokenizer.ggml.eom_token_id", source.eom));
  MINERVA_TRY(read_id(file, "tokenizer.ggml.unknown_token_id", source.unk));
  MINERVA_TRY(read_id(file, "tokenizer.ggml.padding_token_id", source.pad));
  MINERVA_TRY(read_flag(file, "tokenizer.ggml.add_bos_token", source.add_bos));
  MINERVA_TRY(read_flag(file, "tokenizer.ggml.add_eos_token", source.add_eos));
  MINERVA_TRY(read_flag(file, "tokenizer.ggml.add_space_prefix", source.add_space_prefix));
  MINERVA_TRY(complete_gguf_model(file, source));
  return source;
}

}  // namespace minerva::text
