// One model file as the store sees it. Plain values.
#pragma once

#include <cstdint>
#include <string>

#include "backend/model_spec.h"

namespace minerva::models {

struct ModelEntry {
  std::string name;              // the file's stem; of a split model without -00001-of-0000N
  std::string path;              // the file, or the first part
  std::uint64_t size_bytes = 0;  // of all parts
  std::int64_t modified_unix = 0;
  std::int64_t modified_ns = 0;  // the same to the nanosecond, to tell versions of a file apart
  backend::ModelFormat format = backend::ModelFormat::Unknown;
  std::string source;                // where it was found: "models folder", "ollama", …
  std::string architecture;          // empty when unknown
  std::uint64_t context_length = 0;  // the model's own; 0 when unknown
  // Bytes of keys and values a token takes in f16, all layers together; 0 when unknown.
  std::uint64_t kv_bytes_per_token = 0;
  std::string mmproj_path;  // the vision projector that lies beside it; empty: none
  bool sees = false;        // it takes images, given an engine that does
  std::string problem;      // why it cannot be used; empty when nothing is known against it
};

}  // namespace minerva::models
