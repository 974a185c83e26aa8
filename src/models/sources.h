// Where models lie on a machine: Minerva's own folder, and what other programs have fetched, which
// is used in place and never changed. Plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace minerva::models {

enum class SourceKind : std::uint8_t {
  Folder,       // Minerva's own: model files, and folders of them
  Ollama,       // manifests/ and blobs/
  HuggingFace,  // models--ORG--NAME/snapshots/REVISION
  LmStudio,     // PUBLISHER/MODEL/*.gguf, or a model folder
  LlamaCpp,     // *.gguf that llama.cpp fetched
};
// "models folder", "ollama", …, for people.
std::string_view to_string(SourceKind kind);

struct ModelSource {
  SourceKind kind = SourceKind::Folder;
  std::string root;  // need not exist

  friend bool operator==(const ModelSource&, const ModelSource&) = default;
};

// A variable of the environment, or nothing; empty ones count as unset.
using VariableLookup = std::function<std::optional<std::string>(std::string_view name)>;

// Minerva's folder first, then the places of the programs in `wanted` ("ollama", "huggingface",
// "lm_studio", "llama_cpp"; "all" or nothing: every one; "none": no other), by their variables or
// below `home`. InvalidArgument names a word that is none of these.
Result<std::vector<ModelSource>> model_sources(const std::string& models_folder,
                                               std::span<const std::string> wanted,
                                               const std::string& home,
                                               const VariableLookup& variable);

}  // namespace minerva::models
