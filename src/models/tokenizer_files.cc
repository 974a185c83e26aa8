#include "models/tokenizer_files.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "text/tokenizer_json_reader.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> no_tokenizer(const std::string& folder) {
  std::error_code ignored;
  if (fs::exists(fs::path(folder) / "tokenizer.model", ignored)) {
    return fail(ErrorCode::Unsupported,
                fmt::format("{} has a tokenizer.model but no tokenizer.json; tokenizers of that "
                            "file are not supported yet. Most models have a tokenizer.json where "
                            "they come from: put it there",
                            folder),
                "tokenizer.model");
  }
  return fail(ErrorCode::InvalidModel,
              fmt::format("{} has no tokenizer.json: it is no model folder, or part of it is "
                          "missing",
                          folder),
              "tokenizer.json");
}

}  // namespace

std::string_view OptionalFile::text() const {
  if (!file) return {};
  return {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()};
}

Result<OptionalFile> open_optional_file(const std::string& folder, const char* name,
                                        std::size_t bytes_max) {
  const std::string path = (fs::path(folder) / name).string();
  auto file = MappedFile::open(path);
  if (!file && file.error().code == ErrorCode::NotFound) return OptionalFile{};
  if (!file) return fail(std::move(file.error()));
  if ((*file)->bytes().size() > bytes_max) {
    return fail(ErrorCode::TooLarge, fmt::format("{} has {} bytes; at most {} are read", path,
                                                 (*file)->bytes().size(), bytes_max));
  }
  return OptionalFile{std::move(*file)};
}

text::TokenizerFiles FolderTokenizerFiles::views() const {
  return {.tokenizer = tokenizer.text(),
          .tokenizer_config = tokenizer_config.text(),
          .special_tokens_map = special_tokens_map.text(),
          .generation_config = generation_config.text(),
          .config = config.text()};
}

Result<FolderTokenizerFiles> open_tokenizer_files(const std::string& folder) {
  FolderTokenizerFiles out;
  MINERVA_ASSIGN(out.tokenizer,
                 open_optional_file(folder, "tokenizer.json", text::kTokenizerJsonBytesMax));
  if (!out.tokenizer.file) return no_tokenizer(folder);
  MINERVA_ASSIGN(out.tokenizer_config, open_optional_file(folder, "tokenizer_config.json"));
  MINERVA_ASSIGN(out.special_tokens_map, open_optional_file(folder, "special_tokens_map.json"));
  MINERVA_ASSIGN(out.generation_config, open_optional_file(folder, "generation_config.json"));
  MINERVA_ASSIGN(out.config, open_optional_file(folder, "config.json"));
  return out;
}

}  // namespace minerva::models
