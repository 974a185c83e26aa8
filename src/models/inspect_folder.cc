#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/log.h"
#include "formats/json_text.h"
#include "models/code_scan.h"
#include "models/config_facts.h"
#include "models/folder_model.h"
#include "models/folder_weights.h"
#include "models/foreign_file.h"
#include "models/inspect.h"
#include "models/known_names.h"

namespace minerva::models {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kConfigBytesMax = 16ull << 20;
constexpr std::size_t kNameBytesMax = 80;

bool has_ending(const ModelFolder& folder, std::string_view ending) {
  return std::ranges::any_of(folder.files(), [&](const FolderFile& file) {
    return file.path.ends_with(ending) && !file.path.contains('/');
  });
}

std::optional<std::string> first_pickle(const ModelFolder& folder) {
  for (const FolderFile& file : folder.files()) {
    if (!file.path.contains('/') && is_pickle_name(file.path)) return file.path;
  }
  return std::nullopt;
}

std::uint64_t bytes_of(const ModelFolder& folder, std::string_view part_of_name) {
  std::uint64_t sum = 0;
  for (const FolderFile& file : folder.files()) {
    if (file.name().contains(part_of_name)) sum += file.size_bytes;
  }
  return sum;
}

Result<Json> read_json(const ModelFolder& folder, std::string_view name) {
  const FolderFile* file = folder.find(name);
  if (file == nullptr)
    return fail(ErrorCode::NotFound, fmt::format("{}: {} is missing", folder.path(), name));
  MINERVA_ASSIGN(const std::string text, folder.read(*file, kConfigBytesMax));
  auto json = formats::parse_json_text(text);
  const std::string where = fmt::format("{}/{}", folder.path(), name);
  if (!json) return fail(std::move(json).error().in(where));
  if (!json->is_object()) return fail(ErrorCode::InvalidModel, where + ": it holds no object");
  return json;
}

void take(ModelEntry& entry, const ConfigFacts& facts) {
  entry.architecture = facts.architecture;
  entry.context_length = facts.context_length;
  entry.kv_bytes_per_token = facts.kv_bytes_per_token;
  entry.sees = facts.sees;
  if (facts.sees) entry.evidence.emplace_back("its configuration has a part for images");
}

std::string short_text(std::string_view text) {
  return escape_controls(text.substr(0, kNameBytesMax));
}

// A file that the configuration names, which must lie in the folder.
bool names_a_file(const ModelFolder& folder, const std::string& name) {
  return !name.empty() && folder.find(name) != nullptr;
}

Result<void> judge_onnx(ModelEntry& entry, const ModelFolder& folder) {
  entry.format = backend::ModelFormat::OnnxGenAi;
  MINERVA_ASSIGN(const Json config, read_json(folder, "genai_config.json"));
  entry.evidence.emplace_back("genai_config.json: made for ONNX Runtime GenAI");
  take(entry, read_genai_facts(config));
  entry.size_bytes = bytes_of(folder, ".onnx");
  const Json* model = object_in(config, "model");
  const Json* decoder = model == nullptr ? nullptr : object_in(*model, "decoder");
  if (decoder == nullptr) {
    return fail(ErrorCode::InvalidModel,
                folder.path() + "/genai_config.json: model.decoder is missing");
  }
  const std::string graph = string_in(*decoder, "filename");
  if (!names_a_file(folder, graph)) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}: model.decoder.filename is \"{}\", and no such file is there",
                            folder.path(), short_text(graph)));
  }
  entry.evidence.push_back(fmt::format("its decoder is {}", short_text(graph)));
  return {};
}

Result<void> judge_tensorrt(ModelEntry& entry, const ModelFolder& folder, const Json& config) {
  entry.format = backend::ModelFormat::TensorRt;
  const Json& model = *object_in(config, "pretrained_config");
  entry.architecture = short_text(string_in(model, "architecture"));
  entry.context_length = number_in(*object_in(config, "build_config"), "max_seq_len");
  entry.weight_type = short_text(string_in(model, "dtype"));
  entry.size_bytes = bytes_of(folder, ".engine");
  entry.evidence.emplace_back("config.json has pretrained_config and build_config: TensorRT-LLM");
  const Json* mapping = object_in(model, "mapping");
  const std::uint64_t ranks =
      mapping == nullptr ? 1 : std::max<std::uint64_t>(1, number_in(*mapping, "world_size"));
  for (std::uint64_t rank = 0; rank < ranks; ++rank) {
    if (folder.find(fmt::format("rank{}.engine", rank)) != nullptr) continue;
    return fail(ErrorCode::InvalidModel, fmt::format("{}: rank{}.engine is missing, of {} engines",
                                                     folder.path(), rank, ranks));
  }
  entry.evidence.push_back(fmt::format("{} built engines, all there", ranks));
  return {};
}

// How the weights are quantised decides which engines can read them.
Result<void> judge_quantization(ModelEntry& entry, const ModelFolder& folder, const Json& config,
                                const FolderWeights& weights) {
  entry.format = backend::ModelFormat::Safetensors;
  if (const Json* own = object_in(config, "quantization")) {
    entry.format = backend::ModelFormat::Mlx;
    const std::uint64_t bits = number_in(*own, "bits");
    if (bits != 0) entry.weight_type = fmt::format("{}-bit", bits);
    entry.evidence.push_back(fmt::format("config.json has the key quantization: MLX, {} bits",
                                         bits == 0 ? "unknown" : std::to_string(bits)));
    return {};
  }
  std::string method;
  if (const Json* given = object_in(config, "quantization_config")) {
    method = string_in(*given, "quant_method");
    if (method.empty() && number_in(*given, "bits") == 0) method = "unknown";
    if (method.empty()) method = "gptq";
  } else if (folder.find("quantize_config.json") != nullptr) {
    method = "gptq";
  }
  if (method == "gptq" || method == "awq" || method == "compressed-tensors") {
    entry.format = backend::ModelFormat::Gptq;
    entry.evidence.push_back(fmt::format("its weights are quantised by {}", method));
    return {};
  }
  if (method == "mxfp4") {
    entry.evidence.emplace_back("its experts are quantised by mxfp4");
    return {};
  }
  if (method == "fp8") {
    entry.evidence.emplace_back("its weights are 8-bit floats with scales (fp8)");
    return {};
  }
  if (!method.empty()) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}: its weights are quantised by {}, which no engine here reads; use "
                            "the model's unquantised, GGUF or MLX files",
                            folder.path(), short_text(method)));
  }
  if (weights.framework == "mlx") {
    entry.format = backend::ModelFormat::Mlx;
    entry.evidence.emplace_back("its weights say that MLX wrote them, not quantised");
    return {};
  }
  entry.evidence.push_back(
      weights.framework.empty()
          ? "safetensors with a config.json: Hugging Face's format"
          : fmt::format("safetensors of \"{}\" with a config.json: Hugging Face's format",
                        weights.framework));
  return {};
}

Result<void> judge_safetensors(ModelEntry& entry, const ModelFolder& folder, const Json& config) {
  take(entry, read_config_facts(config));
  FolderVerdict verdict = judge_folder_model(config);
  entry.gguf_architecture = std::move(verdict.architecture);
  entry.folder_objection = verdict.objection.value_or("");
  MINERVA_ASSIGN(const FolderWeights weights, read_folder_weights(folder));
  entry.size_bytes = weights.size_bytes;
  entry.weight_type = weights.main_type;
  entry.evidence.push_back(fmt::format("{} tensors in {} files, all whole, most bytes of type {}",
                                       weights.tensors, weights.files.size(), weights.main_type));
  return judge_quantization(entry, folder, config, weights);
}

Result<void> judge_adapter(ModelEntry& entry, const ModelFolder& folder) {
  entry.kind = ModelKind::Adapter;
  entry.format = backend::ModelFormat::Safetensors;
  entry.size_bytes = bytes_of(folder, ".safetensors");
  std::string words = "adapter_config.json: LoRA weights";
  if (const auto config = read_json(folder, "adapter_config.json")) {
    const std::string kind = string_in(*config, "peft_type");
    const std::string base = string_in(*config, "base_model_name_or_path");
    const std::uint64_t rank = number_in(*config, "r");
    if (!kind.empty()) words = fmt::format("adapter_config.json: {} weights", short_text(kind));
    if (rank != 0) words += fmt::format(" of rank {}", rank);
    if (!base.empty()) words += fmt::format(" for {}", short_text(base));
  }
  entry.evidence.push_back(std::move(words));
  return fail(ErrorCode::InvalidModel,
              folder.path() +
                  ": a LoRA adapter, which changes another model: name it in that "
                  "model's adapters");
}

// The one GGUF model in it.
Result<void> judge_gguf(ModelEntry& entry, const ModelFolder& folder) {
  std::vector<ModelEntry> inside;
  for (const FolderFile& file : folder.files()) {
    if (file.path.contains('/') || !file.path.ends_with(".gguf")) continue;
    if (model_stem(file.path).part != 1) continue;
    ModelEntry& one = inside.emplace_back();
    one.path = folder.path() + '/' + file.path;
    one.size_bytes = file.size_bytes;
    one.modified_ns = file.modified_ns;
    one.modified_unix = file.modified_ns / 1'000'000'000;
    inspect_file(one);
  }
  std::vector<const ModelEntry*> models;
  for (const ModelEntry& one : inside) {
    if (one.kind == ModelKind::Model) models.push_back(&one);
  }
  if (models.size() != 1) {
    std::string names;
    for (const ModelEntry* one : models) {
      names += (names.empty() ? "" : ", ") + one->path.substr(one->path.rfind('/') + 1);
      if (names.size() > 400) break;
    }
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}: a folder of {} GGUF models, name one of them: {}", folder.path(),
                            models.size(), escape_controls(names)));
  }
  entry = *models[0];
  entry.mmproj_path = projector_for(entry, inside);
  entry.sees = !entry.mmproj_path.empty();
  return {};
}

Result<void> judge(ModelEntry& entry, const ModelFolder& folder,
                   std::span<const std::string> allow_code) {
  const bool weights =
      has_ending(folder, ".safetensors") || folder.find("model.safetensors.index.json") != nullptr;
  if (folder.find("genai_config.json") != nullptr) {
    MINERVA_TRY(judge_onnx(entry, folder));
    return check_code(folder, allow_code);
  }
  if (!weights && has_ending(folder, ".gguf")) return judge_gguf(entry, folder);
  if (folder.find("adapter_config.json") != nullptr &&
      (folder.find("adapter_model.safetensors") != nullptr ||
       folder.find("adapters.safetensors") != nullptr)) {
    return judge_adapter(entry, folder);
  }
  if (folder.find("config.json") == nullptr) {
    if (const auto pickle = first_pickle(folder); pickle && !weights) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("{}: its weights are only in {}, and loading a pickle runs what its "
                              "author put into it; use its safetensors or GGUF files",
                              folder.path(), escape_controls(*pickle)));
    }
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}: {}", folder.path(),
                            weights ? "config.json is missing beside the weights"
                                    : "no model in it: no .gguf file, no config.json"));
  }
  MINERVA_ASSIGN(const Json config, read_json(folder, "config.json"));
  if (object_in(config, "pretrained_config") != nullptr &&
      object_in(config, "build_config") != nullptr) {
    MINERVA_TRY(judge_tensorrt(entry, folder, config));
    return check_code(folder, allow_code);
  }
  if (const auto pickle = first_pickle(folder); pickle && !weights) {
    take(entry, read_config_facts(config));
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}: its weights are only in {}, and loading a pickle runs what its "
                            "author put into it; use its safetensors or GGUF files",
                            folder.path(), escape_controls(*pickle)));
  }
  MINERVA_TRY(judge_safetensors(entry, folder, config));
  const auto checked = check_code(folder, allow_code);
  if (!checked) entry.own_code = checked.error().message;
  return {};
}

}  // namespace

void inspect_folder(ModelEntry& entry, const ModelFolder& folder,
                    std::span<const std::string> allow_code) {
  entry.modified_ns = folder.modified_ns();
  entry.modified_unix = entry.modified_ns / 1'000'000'000;
  for (const FolderFile& file : folder.files()) entry.size_bytes += file.size_bytes;
  const auto judged = judge(entry, folder, allow_code);
  if (judged) return;
  // A model's own problem is kept where it was found first.
  if (entry.problem.empty()) entry.problem = judged.error().message;
}

}  // namespace minerva::models
