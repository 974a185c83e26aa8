#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "process/unix_socket.h"

namespace minerva::process {
namespace {

std::string reason(int number) {
  return std::error_code(number, std::generic_category()).message();
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

Result<void> check_folder(const std::string& folder) {
  struct stat info{};
  if (::lstat(folder.c_str(), &info) != 0) {
    return fail(ErrorCode::Io, fmt::format("{}: {}", folder, reason(errno)));
  }
  if (!S_ISDIR(info.st_mode)) {
    return fail(ErrorCode::Forbidden, fmt::format("{} is a symlink or no folder", folder));
  }
  if (info.st_uid != ::geteuid()) {
    return fail(ErrorCode::Forbidden, fmt::format("{} belongs to user {}, we are user {}", folder,
                                                  info.st_uid, ::geteuid()));
  }
  constexpr unsigned kOthers = 077;
  if ((info.st_mode & kOthers) != 0) {
    return fail(ErrorCode::Forbidden,
                fmt::format("{} has mode {:04o}; a socket's folder must have 0700", folder,
                            info.st_mode & 07777U));
  }
  return {};
}

}  // namespace

Result<int> listen_privately(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.front() != '/' || path.size() >= sizeof address.sun_path) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("the socket's path \"{}\" has {} bytes; it must be absolute and have "
                            "at most {}",
                            path, path.size(), sizeof address.sun_path - 1));
  }
  MINERVA_TRY(check_folder(path.substr(0, path.rfind('/'))));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.number() < 0) return fail(ErrorCode::Io, fmt::format("socket: {}", reason(errno)));
  const mode_t before = ::umask(077);
  // bind() refuses whatever is there already, a symlink to nothing included.
  const int bound =
      ::bind(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int problem = errno;
  ::umask(before);
  if (bound != 0) {
    return fail(
        problem == EADDRINUSE ? ErrorCode::Forbidden : ErrorCode::Io,
        fmt::format("{}: {}; nothing may be at a path to listen at", path, reason(problem)));
  }
  if (::listen(socket.number(), SOMAXCONN) != 0) {
    return fail(ErrorCode::Io, fmt::format("{}: {}", path, reason(errno)));
  }
  return socket.release();
}

Result<void> check_same_user(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return fail(ErrorCode::Io, fmt::format("SO_PEERCRED: {}", reason(errno)));
  }
  if (peer.uid == ::geteuid()) return {};
  return fail(ErrorCode::Forbidden, fmt::format("process {} is of user {}, we are user {}",
                                                peer.pid, peer.uid, ::geteuid()));
}

}  // namespace minerva::process
