// The safetensors files of a model folder: which there should be, whether each is whole, and what
// they say of themselves. Reads headers only. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/model_folder.h"

namespace minerva::models {

struct FolderWeights {
  std::vector<std::string> files;  // by name
  std::uint64_t size_bytes = 0;
  std::uint64_t tensors = 0;
  std::string framework;  // what the first header says: "mlx", "pt"; may be empty
  std::string main_type;  // that most bytes have: "BF16"
};

// InvalidModel names the shard that is missing, or the file that is not whole.
Result<FolderWeights> read_folder_weights(const ModelFolder& folder);

}  // namespace minerva::models
