#include "cli/model_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "backend/native/native_kind.h"
#include "base/log.h"
#include "base/system.h"
#include "engine/encoder_model.h"
#include "engine/model.h"
#include "engine/model_config.h"
#include "models/folder_model.h"

namespace minerva::cli {
namespace {

void add_memory(const backend::ModelSpec& spec, std::size_t context, ModelSummary& summary) {
  summary.context.context = context;
  backend::NativeOptions options;
  options.open = [](const backend::ModelSpec& model) { return models::open_model(model.path); };
  const auto need = backend::native_memory_need(spec, context, options);
  if (!need) {
    summary.unsupported.push_back(need.error().message);
    return;
  }
  summary.memory = *need;
}

void add_encoder_view(const formats::GgufFile& file, const backend::ModelSpec& spec,
                      ModelSummary& summary) {
  const auto config = engine::read_encoder_config(file);
  if (!config) {
    summary.unsupported.push_back(config.error().message);
    return;
  }
  summary.context.trained = config->trained_context;
  add_memory(spec, config->usual_context, summary);
}

void add_engine_view(const formats::GgufFile& file, const backend::ModelSpec& spec,
                     const Settings& settings, ModelSummary& summary) {
  for (const WeightShare& share : summary.weights) {
    const auto& all = formats::all_dtypes();
    const auto type = std::ranges::find(all, share.type, &formats::DTypeInfo::name);
    if (type != all.end() && !type->decodable)
      summary.unsupported.push_back(fmt::format("weights of type {}", share.type));
  }
  if (engine::is_encoder(summary.architecture)) return add_encoder_view(file, spec, summary);
  const auto config = engine::read_config(file);
  if (!config) {
    summary.unsupported.push_back(config.error().message);
    return;
  }
  if (const auto checked = engine::Model::check(file); !checked)
    summary.unsupported.push_back(checked.error().message);
  summary.context.trained = config->trained_context;
  const std::uint64_t kv_bytes =
      settings.kv_memory != 0 ? settings.kv_memory : memory_info().available_bytes / 2;
  const auto context =
      backend::choose_context(*config, 0, static_cast<std::size_t>(settings.context), kv_bytes);
  if (!context) {
    summary.unsupported.push_back(context.error().message);
    return;
  }
  add_memory(spec, *context, summary);
}

}  // namespace

std::vector<WeightShare> weight_shares(const formats::GgufFile& file) {
  std::map<formats::DType, WeightShare> by_type;
  for (const formats::GgufTensor& tensor : file.tensors()) {
    WeightShare& share = by_type[tensor.type];
    share.type = formats::dtype_info(tensor.type).name;
    ++share.tensors;
    share.bytes += tensor.bytes();
  }
  std::vector<WeightShare> shares;
  for (auto& [type, share] : by_type) shares.push_back(std::move(share));
  std::ranges::sort(shares, std::ranges::greater(), &WeightShare::bytes);
  return shares;
}

ModelSummary summarize(const formats::GgufFile& file, const backend::ModelSpec& spec,
                       const Settings& settings) {
  ModelSummary summary;
  summary.architecture =
      escape_controls(file.get_string_or("general.architecture", "").value_or(""));
  summary.name = escape_controls(file.get_string_or("general.name", "").value_or(""));
  summary.file_bytes = file.total_bytes();
  for (const formats::GgufTensor& tensor : file.tensors()) summary.parameters += tensor.elements();
  summary.weights = weight_shares(file);
  for (const std::string& warning : file.warnings()) summary.warnings.push_back(warning);
  add_engine_view(file, spec, settings, summary);
  return summary;
}

}  // namespace minerva::cli
