// One model as the store sees it. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "backend/model_spec.h"

namespace minerva::models {

// What the files at a path are good for. Only a Model can be loaded by itself.
enum class ModelKind : std::uint8_t {
  Model,
  Adapter,    // LoRA weights: they change another model
  Projector,  // the eyes of another model (mmproj)
};
std::string_view to_string(ModelKind kind);

struct ModelEntry {
  std::string name;       // as clients call it; two entries that can be used never share one
  std::string full_name;  // with the place in front: "ollama/llama3.2:3b"; it is taken as well
  std::string path;       // the file, the first part, or the model's folder
  std::uint64_t size_bytes = 0;  // of the weights, all parts together
  std::int64_t modified_unix = 0;
  std::int64_t modified_ns = 0;  // the same to the nanosecond, to tell versions of a file apart
  ModelKind kind = ModelKind::Model;
  backend::ModelFormat format = backend::ModelFormat::Unknown;
  std::string source;        // where it was found: "models folder", "ollama", …
  std::string architecture;  // empty when unknown
  // Of a folder: ModelSpec's fields of these names.
  std::string gguf_architecture, folder_objection, own_code;
  std::string weight_type;           // that most bytes have: "Q4_1", "BF16", "4-bit"; may be empty
  std::uint64_t context_length = 0;  // the model's own; 0 when unknown
  // Bytes of keys and values a token takes in f16, all layers together; 0 when unknown.
  std::uint64_t kv_bytes_per_token = 0;
  std::uint64_t width = 0;  // numbers in the vector of a token; a projector's is its model's
  std::string mmproj_path;  // its projector, which lies beside it; empty: none
  std::vector<std::string> adapter_paths;  // that its manifest puts on it
  bool sees = false;                       // it takes images, given an engine that does
  bool embeds = false;                     // ModelSpec's field of this name
  std::string problem;  // why it cannot be used; empty when nothing is known against it
  std::vector<std::string> evidence;  // what the verdict rests on, in words, for `show`
};

// What an engine is told of it.
backend::ModelSpec spec_of(const ModelEntry& entry);

}  // namespace minerva::models
