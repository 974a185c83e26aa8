// The model files that this server may use: those in its folders and those named outright. A name
// is looked up in that list; it never becomes a path.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/model_entry.h"
#include "models/sources.h"

namespace minerva::models {

struct StoreOptions {
  std::vector<ModelSource> sources;  // of equal names that of an earlier one wins
  std::vector<std::string> paths;    // files and model folders given by the user outright
  // Hashes ("sha256:…") of model folders whose own code may run; models/code_scan.h.
  std::vector<std::string> allow_code;
};

// Folders are read anew at each call, files only when their time or size has changed. Any thread.
class ModelStore {
 public:
  explicit ModelStore(StoreOptions options);
  // Folders as Minerva's own.
  explicit ModelStore(std::vector<std::string> folders, std::vector<std::string> paths = {});

  // Every model there is, by name; broken files too, with their problem.
  std::vector<ModelEntry> list() const;

  // The entry of this name; with `allow_paths` (the command line, never the API) also of a path,
  // which is what ends in .gguf or holds a '/' and is no name of ours. NotFound says which names
  // there are, nearest first, in the same words whether the name is unknown or not a name at all.
  // InvalidModel when the file cannot be used.
  Result<ModelEntry> resolve(std::string_view name_or_path, bool allow_paths) const;

 private:
  struct Inspected {
    ModelEntry entry;
    std::uint64_t file_bytes = 0;  // of the one file at `path`
  };
  ModelEntry inspect(const std::string& path) const;
  void add_folder(const std::string& folder, std::vector<ModelEntry>& out) const;

  const StoreOptions options_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Inspected> inspected_;  // by path
};

// ~/.minerva/models, or nothing where there is no home.
std::vector<std::string> default_model_folders();

// "model-00001-of-00003" is part 1 of 3 of "model".
struct ModelStem {
  std::string name;
  unsigned part = 1;
  unsigned parts = 1;
};
ModelStem model_stem(std::string_view path);

// NotFound: "unknown model 'x'; known: a, b", the nearest first, twenty at most.
Error unknown_model(std::string_view name, std::vector<std::string> known);

// `names`, the most alike to `name` first (edit distance, then by alphabet).
std::vector<std::string> nearest_first(std::string_view name, std::vector<std::string> names);

}  // namespace minerva::models
