// A folder that holds one model, opened and walked once: which files are in it, held by descriptor,
// so that what is checked is what was seen. A symbolic link is taken where it leads to a file of
// the same folder, or from a snapshot of the Hugging Face cache to that cache's blobs; any other is
// an error, since what it leads to can change behind our back. Movable; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/open_folder.h"
#include "base/result.h"

namespace minerva::models {

inline constexpr std::size_t kFolderFilesMax = 20'000;
inline constexpr std::size_t kFolderDepthMax = 6;
// The largest tokenizer.json known is a third of it.
inline constexpr std::uint64_t kFolderTextBytesMax = 128ull << 20;

struct FolderFile {
  std::string path;  // from the folder on: "config.json", "1_Pooling/config.json"
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ns = 0;
  std::string link_target;  // of a link
  bool missing = false;     // a link that leads to nothing

  std::string_view name() const;  // its last part
};

class ModelFolder {
 public:
  static Result<ModelFolder> open(const std::string& path);

  const std::string& path() const { return root_.path(); }
  // By path; of regular files and links to them only.
  const std::vector<FolderFile>& files() const { return files_; }
  // nullptr: no such file, or a link to nothing.
  const FolderFile* find(std::string_view path) const;
  Result<std::string> read(const FolderFile& file,
                           std::uint64_t bytes_max = kFolderTextBytesMax) const;

  // Changes when any file's name, size or time does.
  std::uint64_t stamp() const;
  std::int64_t modified_ns() const;  // of the newest file

 private:
  explicit ModelFolder(OpenFolder root) : root_(std::move(root)) {}
  Result<void> walk(const OpenFolder& at, const std::string& prefix, std::size_t depth);

  OpenFolder root_;
  std::vector<FolderFile> files_;
};

}  // namespace minerva::models
