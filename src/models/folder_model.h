// A Hugging Face or MLX folder as the engine takes a model: GGUF metadata and GGUF tensors, as
// llama.cpp's converter would write them (families: family.h). Weights that agree in layout are
// used where they lie, mapped; the others are made when they are read. Any thread.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "formats/gguf.h"

namespace minerva::models {

// Without the vocabulary, which load_vocabulary() reads. Unsupported names the family, the kind of
// weights or the tensor that has no place; InvalidModel what is wrong with the folder.
Result<std::shared_ptr<const formats::GgufFile>> open_model_folder(const std::string& path);

// `path`: a GGUF file, its first part, or a model folder.
Result<std::shared_ptr<const formats::GgufFile>> open_model(const std::string& path);

// What can be said against a folder before its weights are looked at: a family that is not known,
// quantisation that is not. `architecture`: what the model would be in GGUF; empty when not known.
struct FolderVerdict {
  std::string architecture;
  std::optional<std::string> objection;
};
FolderVerdict judge_folder_model(const nlohmann::json& config);

}  // namespace minerva::models
