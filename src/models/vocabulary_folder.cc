#include "models/vocabulary_folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "formats/json_text.h"
#include "models/tokenizer_files.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;

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
  MINERVA_ASSIGN(const OptionalFile jinja, open_optional_file(folder, "chat_template.jinja"));
  if (jinja.file) return std::string(jinja.text());
  MINERVA_ASSIGN(const json settings, object_of(config));
  if (std::string text = template_of(settings); !text.empty()) return text;
  // Of models that see, whose processor has it.
  MINERVA_ASSIGN(const OptionalFile alone, open_optional_file(folder, "chat_template.json"));
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

}  // namespace

Result<std::shared_ptr<LoadedVocabulary>> load_folder_vocabulary(const std::string& folder) {
  MINERVA_ASSIGN(const FolderTokenizerFiles files, open_tokenizer_files(folder));
  auto out = std::make_shared<LoadedVocabulary>();
  auto made = text::Tokenizer::from_json(files.views());
  if (!made) return fail(std::move(made.error()).in(folder));
  out->tokenizer = std::move(*made);
  MINERVA_ASSIGN(out->chat_template, read_template(folder, files.tokenizer_config));
  MINERVA_ASSIGN(const json config, object_of(files.config));
  out->architecture = text_of(config, "model_type");
  out->context_length = context_of(config);
  out->model_name = text_of(config, "_name_or_path");
  if (out->model_name.empty()) out->model_name = fs::path(folder).filename().string();
  return out;
}

}  // namespace minerva::models
