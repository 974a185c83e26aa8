// Where a child listens: a port that was free a moment ago, a socket in a folder of ours, and
// whether the one that answers there is really the child.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace minerva::process {

// A port of 127.0.0.1 that nobody uses at this moment; the kernel chooses it at random. Another
// process may take it before the child does, so ask listens() before anything is sent there, and
// start the child again with another port when it is not the child.
Result<std::uint16_t> free_loopback_port();

// Whether every socket that would answer at 127.0.0.1:port belongs to this process or one of its
// descendants (/proc/PID/net/tcp and the processes' file descriptors). Every: with SO_REUSEPORT
// several processes share a port, and the kernel deals out the connections.
bool listens(std::int64_t pid, std::uint16_t port);

// A line of /proc/net/tcp or tcp6 that tells of a socket listening where 127.0.0.1:port arrives.
struct ListeningSocket {
  std::uint64_t inode = 0;
  bool ipv6 = false;
};
std::vector<ListeningSocket> listening_sockets(std::string_view tcp, std::string_view tcp6,
                                               std::uint16_t port);

// A fresh folder with mode 0700 that is ours, for sockets and key files; removed by the destructor.
// Movable; one thread at a time.
class PrivateFolder {
 public:
  // `prefix` is where it goes and how its name begins ("/run/user/1000/minerva-"); without a slash
  // it goes to $XDG_RUNTIME_DIR, else to $TMPDIR, else to the system's folder for temporary files.
  // Refused where the parent is a symlink, somebody else's (root's is taken), or writable for
  // others without the sticky bit; and where the path of a socket in it (sun_path, 108 bytes) would
  // leave less than kSocketNameMax bytes for the socket's name.
  static Result<PrivateFolder> make(std::string_view prefix);
  PrivateFolder(PrivateFolder&& other) noexcept;
  PrivateFolder& operator=(PrivateFolder&& other) noexcept;
  ~PrivateFolder();
  static constexpr std::size_t kSocketNameMax = 24;

  const std::string& path() const { return path_; }
  // Writes a file with mode 0600 into it, in place of one of that name, and returns its path.
  Result<std::string> write_secret(std::string_view name, std::string_view contents) const;

 private:
  explicit PrivateFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// 256 random bits in hexadecimal.
std::string random_key();

}  // namespace minerva::process
