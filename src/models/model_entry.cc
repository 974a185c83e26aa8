#include "models/model_entry.h"

namespace minerva::models {

std::string_view to_string(ModelKind kind) {
  switch (kind) {
    case ModelKind::Model:
      return "model";
    case ModelKind::Adapter:
      return "adapter";
    case ModelKind::Projector:
      return "projector";
  }
  return "model";
}

backend::ModelSpec spec_of(const ModelEntry& entry) {
  backend::ModelSpec spec;
  spec.name = entry.name;
  spec.format = entry.format;
  spec.architecture = entry.architecture;
  spec.gguf_architecture = entry.gguf_architecture;
  spec.folder_objection = entry.folder_objection;
  spec.own_code = entry.own_code;
  spec.path = entry.path;
  spec.sees = entry.sees;
  spec.embeds = entry.embeds;
  if (!entry.mmproj_path.empty()) spec.mmproj_path = entry.mmproj_path;
  spec.adapter_paths = entry.adapter_paths;
  spec.size_bytes = entry.size_bytes;
  spec.trained_context = entry.context_length;
  spec.kv_bytes_per_token = entry.kv_bytes_per_token;
  return spec;
}

}  // namespace minerva::models
