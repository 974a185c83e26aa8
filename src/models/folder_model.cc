#include "models/folder_model.h"

#include <fmt/format.h>

#include <filesystem>
#include <new>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"
#include "formats/json_text.h"
#include "models/family.h"
#include "models/folder_assembly.h"
#include "models/folder_tensors.h"
#include "models/model_folder.h"
#include "models/sentence_modules.h"

namespace minerva::models {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kConfigBytesMax = 16ull << 20;
constexpr std::size_t kShownBytesMax = 80;

// The part that describes the language model. Models that see keep it a level deeper.
const Json& text_part(const Json& config) {
  const auto text = config.find("text_config");
  return text != config.end() && text->is_object() ? *text : config;
}

std::string model_type(const Json& config) {
  const Json& text = text_part(config);
  for (const Json* part : {&text, &config}) {
    const auto type = part->find("model_type");
    if (type != part->end() && type->is_string()) return type->get<std::string>();
  }
  return {};
}

std::string unknown_family(const std::string& type) {
  std::string known;
  for (const Family& family : all_families()) {
    for (const std::string_view name : family.model_types)
      if (!name.empty()) known += (known.empty() ? "" : ", ") + std::string(name);
  }
  return fmt::format("reads folders of the families {}, and this one's model_type is \"{}\"", known,
                     escape_controls(std::string_view(type).substr(0, kShownBytesMax)));
}

Result<Json> read_config(const ModelFolder& folder) {
  const std::string where = folder.path() + "/config.json";
  const FolderFile* file = folder.find("config.json");
  if (file == nullptr) return fail(ErrorCode::NotFound, where + " is missing");
  MINERVA_ASSIGN(const std::string text, folder.read(*file, kConfigBytesMax));
  auto json = formats::parse_json_text(text);
  if (!json) return fail(std::move(json).error().in(where));
  if (!json->is_object()) return fail(ErrorCode::InvalidModel, where + ": it holds no object");
  return json;
}

std::string name_of(const ModelFolder& folder) {
  std::string name = std::filesystem::path(folder.path()).filename().string();
  if (name.empty()) name = std::filesystem::path(folder.path()).parent_path().filename().string();
  return escape_controls(name);
}

}  // namespace

FolderVerdict judge_folder_model(const Json& config) {
  FolderVerdict verdict;
  const std::string type = model_type(config);
  const Family* family = find_family(type);
  if (family == nullptr) {
    verdict.objection = unknown_family(type);
    return verdict;
  }
  verdict.architecture = family->architecture;
  const ConfigReader reader(config, "config.json");
  if (const auto how = read_mlx_quantization(reader, {}); !how)
    verdict.objection = "cannot read its weights: " + how.error().message;
  if (const auto how = read_float8_quantization(reader); !how)
    verdict.objection = "cannot read its weights: " + how.error().message;
  if (const auto how = read_packed_quantization(reader); !how)
    verdict.objection = "cannot read its weights: " + how.error().message;
  return verdict;
}

Result<std::shared_ptr<const formats::GgufFile>> open_model_folder(const std::string& path) try {
  MINERVA_ASSIGN(const ModelFolder folder, ModelFolder::open(path));
  MINERVA_ASSIGN(const Json json, read_config(folder));
  const std::string where = folder.path() + "/config.json";
  const std::string type = model_type(json);
  const Family* family = find_family(type);
  if (family == nullptr) {
    return fail(ErrorCode::Unsupported, fmt::format("{}: Minerva {}", where, unknown_family(type)),
                "model_type");
  }
  formats::GgufMetadata metadata;
  metadata.add_string("general.architecture", family->architecture);
  metadata.add_string("general.name", name_of(folder));
  const ConfigReader text(text_part(json), where);
  FamilyWriter writer(text, ConfigReader(json, where), family->architecture, metadata);
  MINERVA_TRY(family->write(writer));
  auto modules = write_sentence_modules(folder, writer);
  if (!modules) return fail(std::move(modules).error().in(folder.path()));
  MINERVA_ASSIGN(FolderTensors tensors, FolderTensors::open(folder));
  if (family->write_values != nullptr) {
    auto values = family->write_values(writer, tensors);
    if (!values) return fail(std::move(values).error().in(folder.path()));
  }
  FolderAssembly assembly(*family, writer, tensors, writer.whole);
  auto parts = assembly.run();
  if (!parts) return fail(std::move(parts).error().in(folder.path()));
  if (assembly.lacks_output()) writer.flag("makes_text", false);
  parts->path = folder.path();
  parts->metadata = metadata.file();
  parts->mappings = tensors.take_mappings();
  return formats::GgufFile::assemble(std::move(*parts));
} catch (const std::bad_alloc&) {
  return fail(ErrorCode::OutOfMemory, "out of memory");
}

Result<std::shared_ptr<const formats::GgufFile>> open_model(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return open_model_folder(path);
  return formats::GgufFile::open(path);
}

}  // namespace minerva::models
