// The files of a model folder that say what its tokenizer is, opened and held.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/mapped_file.h"
#include "base/result.h"
#include "text/tokenizer.h"

namespace minerva::models {

// The largest of a folder's small files in use, of vocabularies with ten thousand added tokens,
// have 2 MB.
inline constexpr std::size_t kSmallFileBytesMax = std::size_t{16} << 20;

// A file that is held while its bytes are used; empty where there is none.
struct OptionalFile {
  std::unique_ptr<MappedFile> file;
  std::string_view text() const;
};
// TooLarge over `bytes_max`.
Result<OptionalFile> open_optional_file(const std::string& folder, const char* name,
                                        std::size_t bytes_max = kSmallFileBytesMax);

// Movable; views() are of what it holds.
struct FolderTokenizerFiles {
  OptionalFile tokenizer, tokenizer_config, special_tokens_map, generation_config, config;

  text::TokenizerFiles views() const;
};
// A folder without a tokenizer.json is refused, and why.
Result<FolderTokenizerFiles> open_tokenizer_files(const std::string& folder);

}  // namespace minerva::models
