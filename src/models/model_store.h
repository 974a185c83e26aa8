// The models that this server may use: those in its folders, those that other programs have
// fetched, and those named outright. A name is looked up in that list; it never becomes a path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/discovery.h"
#include "models/known_names.h"
#include "models/model_entry.h"
#include "models/sources.h"

namespace minerva::models {

struct StoreOptions {
  std::vector<ModelSource> sources;  // of equal names that of an earlier one wins
  std::vector<std::string> paths;    // files and model folders given by the user outright
  // Hashes ("sha256:…") of model folders whose own code may run; models/code_scan.h.
  std::vector<std::string> allow_code;
};

// Folders are read anew by list(), files only when their time or size has changed. Any thread.
class ModelStore {
 public:
  explicit ModelStore(StoreOptions options);
  // Folders as Minerva's own.
  explicit ModelStore(std::vector<std::string> folders, std::vector<std::string> paths = {});

  // Every model there is, by name; broken files too, with their problem. Of two that can be used
  // and share a name the later one goes by its full name. A projector that belongs to a model of
  // its folder is told of there and is none of its own.
  std::vector<ModelEntry> list() const;

  // The entry of this name, short or full; ":latest" may be left out. With `allow_paths` (the
  // command line, never the API) also of a path to a file or a model folder, which is what ends in
  // .gguf or holds a '/' and is no name of ours. NotFound says which names there are, nearest
  // first, in the same words whether the name is unknown or not a name at all. The entry's own
  // problem is left to the caller.
  //
  // A name keeps meaning the file it meant, while that is unchanged, until the next list().
  Result<ModelEntry> look_up(std::string_view name_or_path, bool allow_paths) const;
  // The same; InvalidModel when it cannot be used.
  Result<ModelEntry> resolve(std::string_view name_or_path, bool allow_paths) const;

 private:
  struct Inspected {
    ModelEntry entry;
    std::uint64_t file_bytes = 0;  // of the one file at `path`
    std::uint64_t stamp = 0;       // of a folder
  };
  // `times`: of a regular file, where they are known.
  ModelEntry inspect(const std::string& path, std::optional<FileTimes> times = {}) const;
  ModelEntry inspect_model_folder(const std::string& path) const;
  ModelEntry entry_of(const Found& found) const;
  Result<ModelEntry> look_at_path(std::string path) const;
  std::vector<ModelEntry> find_all() const;
  void forget_unseen(const std::vector<ModelEntry>& seen) const;
  bool unchanged(const ModelEntry& entry) const;

  const StoreOptions options_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Inspected> inspected_;  // by path
  // What each name and full name meant when list() last looked.
  mutable std::map<std::string, ModelEntry, std::less<>> known_;
};

}  // namespace minerva::models
