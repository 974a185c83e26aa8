// A file mapped read-only. The mapping outlives the path; bytes() stays valid as long as the
// object. If another program truncates the file meanwhile, a read past its new end raises SIGBUS.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace minerva {

class MappedFile {
 public:
  // NotFound when there is no such file, Io for everything else (a folder, no permission).
  static Result<std::unique_ptr<MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, std::span<const std::byte> bytes);
  std::string path_;
  std::span<const std::byte> bytes_;
};

}  // namespace minerva
