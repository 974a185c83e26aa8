// Where a child listens: a port that was free a moment ago, a socket in a folder of ours, and
// whether the one that answers there is really the child.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace minerva::process {

// A free port of 127.0.0.1, not one that was given out during the last minute.
Result<std::uint16_t> free_loopback_port();

// Whether the socket that listens at 127.0.0.1:port belongs to this process or one of its
// descendants (/proc/net/tcp and the process's file descriptors).
bool listens(std::int64_t pid, std::uint16_t port);

// A fresh folder with mode 0700 that is ours, for sockets and key files; removed by the destructor.
// Refused where the parent is a symlink or somebody else's. Its paths stay under 108 bytes.
class PrivateFolder {
 public:
  static Result<PrivateFolder> make(std::string_view prefix);
  PrivateFolder(PrivateFolder&& other) noexcept;
  PrivateFolder& operator=(PrivateFolder&& other) noexcept;
  ~PrivateFolder();
  const std::string& path() const { return path_; }
  // Writes a file with mode 0600 into it, and returns its path.
  Result<std::string> write_secret(std::string_view name, std::string_view contents) const;

 private:
  explicit PrivateFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// 256 random bits in hexadecimal.
std::string random_key();

}  // namespace minerva::process
