// Which files make a model and how it is to be loaded. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace minerva::backend {

struct ModelSpec {
  std::string name;  // as clients call it
  std::string path;  // weights: a GGUF file, its first shard, or a model folder
  std::optional<std::string> mmproj_path;
  std::vector<std::string> adapter_paths;
  std::optional<std::string> chat_template;  // in place of the model's own
};

// Where memory goes, one entry a device ("cpu", "cuda:0").
struct DeviceMemory {
  std::string device;
  std::uint64_t bytes = 0;
};

}  // namespace minerva::backend
