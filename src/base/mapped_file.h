// A file mapped read-only. The mapping outlives the path; bytes() stays valid as long as the
// object. If another program cuts the file short meanwhile, what lay behind its new end reads as
// zeros from then on and intact() says so; the program lives. Who computes with the bytes asks it
// afterwards. Any thread.
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
  // Gives up the memory behind these bytes, whole pages of them; the next read gets it from the
  // file again. For what was read once and is kept in another form.
  void forget(std::span<const std::byte> bytes) const;
  // False once a read has met a missing part.
  bool intact() const;

 private:
  MappedFile(std::string path, std::span<const std::byte> bytes, std::size_t slot);
  std::string path_;
  std::span<const std::byte> bytes_;
  std::size_t slot_;  // in the table that the signal handler reads
};

}  // namespace minerva
