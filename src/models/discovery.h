// What lies in a source of models, by name and place; nothing is opened but manifests. What is
// broken is found with its problem and hides nothing else. Bounded in files, depth and sizes. Any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/sources.h"

namespace minerva::models {

inline constexpr std::size_t kFolderEntriesMax = 100'000;  // of one folder
inline constexpr std::size_t kSourceEntriesMax = 100'000;
inline constexpr std::size_t kSourceDepthMax = 4;

struct FileTimes {
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;
};

struct Found {
  std::string name;       // as its source calls it, not judged yet
  std::string full_name;  // with the source in front
  std::string path;       // of a file, or of a model folder
  SourceKind source = SourceKind::Folder;
  bool companions = true;          // a projector may lie beside it
  std::optional<FileTimes> times;  // of a file, where finding it has told them already
  std::string mmproj_path;
  std::vector<std::string> adapter_paths;
  std::string problem;
  std::vector<std::string> evidence;
};

std::vector<Found> find_models(const ModelSource& source);

// One for each kind; find_models() chooses.
void find_in_folders(const ModelSource& source, std::vector<Found>& out);
void find_in_ollama(const ModelSource& source, std::vector<Found>& out);
void find_in_hub(const ModelSource& source, std::vector<Found>& out);

// What a folder holds itself, sorted. Counts on in `entries`, the entries of a source seen so far.
struct FolderView {
  std::vector<std::string> gguf;        // names of files
  std::vector<FileTimes> gguf_times;    // of each of them
  std::vector<std::string> other;       // what may be a model under another name, or half of one
  std::vector<std::string> subfolders;  // but hidden ones
  bool is_model = false;                // its files together make one model
  bool has_weights = false;             // and its weights, or an index of them, are there
  bool has_genai = false;               // genai_config.json
};
FolderView look_at(const std::string& folder, std::size_t& entries);

// The GGUF files of `view` and their names below `prefix` (empty, or ending in '/'). With
// `lone_name` the only model there is called that.
void add_gguf_files(const FolderView& view, const std::string& folder, std::string_view prefix,
                    std::string_view lone_name, SourceKind source, std::vector<Found>& out);

}  // namespace minerva::models
