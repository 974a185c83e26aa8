// A folder held open, whose entries are named relative to it: what was looked at and what is read
// then are the same files, even when the path to the folder is changed in between. The last part
// of a name is never followed when it is a symbolic link; who wants to follow one reads its target
// from items() and decides. Movable; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace minerva {

enum class FileType : std::uint8_t { Regular, Folder, Symlink, Other };

struct FolderItem {
  std::string name;
  FileType type = FileType::Other;
  std::uint64_t size_bytes = 0;  // these two of what a Symlink leads to
  std::int64_t modified_ns = 0;
  std::string link_target;                 // of a Symlink, as written in it
  FileType target_type = FileType::Other;  // of what it leads to; Other too where that is nothing
};

class OpenFolder {
 public:
  // NotFound when there is none, Io for everything else.
  static Result<OpenFolder> open(const std::string& path);
  OpenFolder(OpenFolder&& other) noexcept;
  OpenFolder& operator=(OpenFolder&& other) noexcept;
  ~OpenFolder();

  Result<OpenFolder> open_inside(const std::string& name) const;
  // By name. TooLarge when there are more.
  Result<std::vector<FolderItem>> items(std::size_t count_max) const;
  // The whole of a regular file. TooLarge when it has more bytes.
  Result<std::string> read_file(const std::string& name, std::uint64_t bytes_max) const;

  const std::string& path() const { return path_; }

 private:
  OpenFolder(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  int descriptor_ = -1;
  std::string path_;  // for messages
};

}  // namespace minerva
