#include "models/vocabulary_folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "base/mapped_file.h"
#include "formats/json_text.h"
#include "text/tokenizer_json_reader.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;

// The largest in use, of vocabularies with ten thousand added tokens, have 2 MB.
constexpr std::size_t kSmallFileBytesMax = std::size_t{16} << 20;

// A file that is held while its bytes are used; empty where there is none.
struct OptionalFile {
  std::unique_ptr<MappedFile> file;
  std::string_view text() const {
    if (!file) return {};
    return {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()};
  }
};

Result<OptionalFile> open_file(const std::string& folder, const char* name,
                               std::size_t bytes_max = kSmallFileBytesMax) {
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

Result<json> object_of(const OptionalFile& file) {
  if (!file.file) return json::object();
  auto value = formats::parse_json_text(file.text());
  if (!value) return fail(std::move(value.error()).in(file.file->path()));
  if (value->is_object()) return value;
  return fail(ErrorCode::InvalidModel, fmt::format("{} is no JSON object", file.file->path()));
}

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// One template, or several with names, of which "default" is the one for a conversation.
std::string template_of(const json& config) {
  const auto found = config.find("chat_template");
  if (found == config.end() || !found->is_array()) return text_of(config, "chat_template");
  std::string first;
  for (const json& named : *found) {
    if (!named.is_object()) continue;
    std::string text = text_of(named, "template");
    if (text_of(named, "name") == "default") return text;
    if (first.empty()) first = std::move(text);
  }
  return first;
}

Result<std::string> read_template(const std::string& folder, const OptionalFile& config) {
  MINERVA_ASSIGN(const OptionalFile jinja, open_file(folder, "chat_template.jinja"));
  if (jinja.file) return std::string(jinja.text());
  MINERVA_ASSIGN(const json settings, object_of(config));
  if (std::string text = template_of(settings); !text.empty()) return text;
  // Of models that see, whose processor has it.
  MINERVA_ASSIGN(const OptionalFile alone, open_file(folder, "chat_template.json"));
  MINERVA_ASSIGN(const json processor, object_of(alone));
  return template_of(processor);
}

// Of models that see, what is said of their text lies a level deeper.
std::uint64_t context_of(const json& config) {
  constexpr const char* kKey = "max_position_embeddings";
  const auto text = config.find("text_config");
  const bool nested = !config.contains(kKey) && text != config.end() && text->is_object();
  const json& owner = nested ? *text : config;
  const auto found = owner.find(kKey);
  return found != owner.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

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

Result<std::shared_ptr<LoadedVocabulary>> load_folder_vocabulary(const std::string& folder) {
  MINERVA_ASSIGN(const auto tokenizer,
                 open_file(folder, "tokenizer.json", text::kTokenizerJsonBytesMax));
  if (!tokenizer.file) return no_tokenizer(folder);
  MINERVA_ASSIGN(const auto tokenizer_config, open_file(folder, "tokenizer_config.json"));
  MINERVA_ASSIGN(const auto special, open_file(folder, "special_tokens_map.json"));
  MINERVA_ASSIGN(const auto generation, open_file(folder, "generation_config.json"));
  MINERVA_ASSIGN(const auto config_file, open_file(folder, "config.json"));
  auto out = std::make_shared<LoadedVocabulary>();
  auto made = text::Tokenizer::from_json({.tokenizer = tokenizer.text(),
                                          .tokenizer_config = tokenizer_config.text(),
                                          .special_tokens_map = special.text(),
                                          .generation_config = generation.text(),
                                          .config = config_file.text()});
  if (!made) return fail(std::move(made.error()).in(folder));
  out->tokenizer = std::move(*made);
  MINERVA_ASSIGN(out->chat_template, read_template(folder, tokenizer_config));
  MINERVA_ASSIGN(const json config, object_of(config_file));
  out->architecture = text_of(config, "model_type");
  out->context_length = context_of(config);
  out->model_name = text_of(config, "_name_or_path");
  if (out->model_name.empty()) out->model_name = fs::path(folder).filename().string();
  return out;
}

}  // namespace minerva::models
