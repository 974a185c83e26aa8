#include "models/sentence_modules.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "formats/json_text.h"

namespace minerva::models {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kFileBytesMax = 1ull << 20;
constexpr std::size_t kShownBytesMax = 100;
constexpr const char* kModules = "modules.json";
constexpr const char* kSentenceConfig = "sentence_bert_config.json";
constexpr const char* kPromptsConfig = "config_sentence_transformers.json";

// As GGUF numbers them.
constexpr std::uint32_t kMean = 1, kCls = 2, kLast = 3;
constexpr std::pair<std::string_view, std::uint32_t> kPoolings[] = {
    {"pooling_mode_mean_tokens", kMean},
    {"pooling_mode_cls_token", kCls},
    {"pooling_mode_lasttoken", kLast},
};
// Newer folders name it by one word.
constexpr std::pair<std::string_view, std::uint32_t> kPoolingWords[] = {
    {"mean", kMean}, {"cls", kCls}, {"lasttoken", kLast}};

std::string shown(std::string_view text) { return escape_controls(text.substr(0, kShownBytesMax)); }

Result<Json> read_json(const ModelFolder& folder, const FolderFile& file, std::uint64_t bytes_max) {
  MINERVA_ASSIGN(const std::string text, folder.read(file, bytes_max));
  auto json = formats::parse_json_text(text);
  if (!json) return fail(std::move(json).error().in(escape_controls(file.path)));
  return json;
}

// Empty where the folder has no such file.
Result<Json> read_object(const ModelFolder& folder, const std::string& name,
                         std::uint64_t bytes_max = kFileBytesMax) {
  const FolderFile* file = folder.find(name);
  if (file == nullptr) return Json::object();
  MINERVA_ASSIGN(Json json, read_json(folder, *file, bytes_max));
  if (json.is_object()) return json;
  return fail(ErrorCode::InvalidModel, fmt::format("{} holds no object", shown(name)));
}

std::string text_of(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

Result<std::uint32_t> pooling_of(const Json& config, const std::string& where) {
  if (const std::string word = text_of(config, "pooling_mode"); !word.empty()) {
    for (const auto& [name, number] : kPoolingWords) {
      if (word == name) return number;
    }
    return fail(ErrorCode::Unsupported,
                fmt::format("{}: pooling_mode is {}; mean, cls and lasttoken are known", where,
                            shown(word)));
  }
  std::string said;
  std::uint32_t number = 0;
  std::size_t modes = 0;
  for (const auto& [key, value] : config.items()) {
    if (!key.starts_with("pooling_mode_") || value != true) continue;
    ++modes;
    said += (said.empty() ? "" : ", ") + shown(key);
    for (const auto& [name, known] : kPoolings) {
      if (key == name) number = known;
    }
  }
  if (modes == 1 && number != 0) return number;
  return fail(ErrorCode::Unsupported,
              fmt::format("{} pools by {}; one of pooling_mode_mean_tokens, pooling_mode_cls_token "
                          "and pooling_mode_lasttoken is known",
                          where, said.empty() ? "nothing" : said));
}

bool step_lowers(const Json& step) {
  if (!step.is_object()) return false;
  const auto flag = step.find("lowercase");
  return text_of(step, "type") == "Lowercase" || (flag != step.end() && *flag == true);
}

// Whether tokenizer.json makes small letters of all, by its only step or by one of several.
bool lowers(const Json& normalizer) {
  if (step_lowers(normalizer)) return true;
  if (!normalizer.is_object()) return false;
  const auto steps = normalizer.find("normalizers");
  return steps != normalizer.end() && steps->is_array() && std::ranges::any_of(*steps, step_lowers);
}

Result<void> write_sentence_config(const ModelFolder& folder, FamilyWriter& out) {
  MINERVA_ASSIGN(const Json config, read_object(folder, kSentenceConfig));
  const ConfigReader reader(config, kSentenceConfig);
  if (reader.has("max_seq_length")) {
    MINERVA_ASSIGN(const std::uint32_t tokens, reader.count("max_seq_length"));
    out.u32("embedding_context_length", tokens);
  }
  MINERVA_ASSIGN(const bool lower, reader.flag_or("do_lower_case", false));
  if (!lower) return {};
  MINERVA_ASSIGN(const Json tokenizer, read_object(folder, "tokenizer.json", kFolderTextBytesMax));
  const auto normalizer = tokenizer.find("normalizer");
  if (normalizer != tokenizer.end() && lowers(*normalizer)) return {};
  return fail(
      ErrorCode::Unsupported,
      fmt::format("{} says do_lower_case, and tokenizer.json does not make small letters of "
                  "a text",
                  kSentenceConfig),
      "do_lower_case");
}

Result<void> refuse_default_prompt(const ModelFolder& folder) {
  MINERVA_ASSIGN(const Json config, read_object(folder, kPromptsConfig));
  const std::string name = text_of(config, "default_prompt_name");
  if (name.empty()) return {};
  const auto prompts = config.find("prompts");
  if (prompts != config.end() && prompts->is_object() && text_of(*prompts, name.c_str()).empty())
    return {};
  return fail(ErrorCode::Unsupported,
              fmt::format("{}: default_prompt_name is {}; no prompt is put before a text here",
                          kPromptsConfig, shown(name)),
              "default_prompt_name");
}

}  // namespace

Result<void> write_sentence_modules(const ModelFolder& folder, FamilyWriter& out) {
  const FolderFile* file = folder.find(kModules);
  if (file == nullptr) return {};
  MINERVA_ASSIGN(const Json modules, read_json(folder, *file, kFileBytesMax));
  if (!modules.is_array()) {
    return fail(ErrorCode::InvalidModel, fmt::format("{} holds no array", kModules));
  }
  bool pooled = false;
  bool normalized = false;
  for (const Json& module : modules) {
    const std::string type = module.is_object() ? text_of(module, "type") : std::string();
    const std::string kind = type.substr(type.rfind('.') + 1);
    if (kind == "Transformer") continue;
    if (kind == "Normalize") {
      normalized = true;
    } else if (kind == "Pooling" && !pooled) {
      const std::string path = text_of(module, "path") + "/config.json";
      if (folder.find(path) == nullptr) {
        return fail(ErrorCode::InvalidModel,
                    fmt::format("{} names {}, which is missing", kModules, shown(path)));
      }
      MINERVA_ASSIGN(const Json config, read_object(folder, path));
      MINERVA_ASSIGN(const std::uint32_t pooling, pooling_of(config, shown(path)));
      out.u32("pooling_type", pooling);
      pooled = true;
    } else {
      return fail(ErrorCode::Unsupported,
                  fmt::format("{} has a module of the type {}; Transformer, one Pooling and "
                              "Normalize are known",
                              kModules, shown(type)));
    }
  }
  if (!pooled)
    return fail(ErrorCode::InvalidModel, fmt::format("{} has no Pooling module", kModules));
  out.flag("normalize_embeddings", normalized);
  MINERVA_TRY(write_sentence_config(folder, out));
  return refuse_default_prompt(folder);
}

}  // namespace minerva::models
