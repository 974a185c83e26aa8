#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "process/file_descriptor.h"
#include "process/port.h"

namespace minerva::process {
namespace {

std::string default_parent() {
  for (const char* name : {"XDG_RUNTIME_DIR", "TMPDIR"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value == '/') return value;
  }
  return P_tmpdir;
}

std::unexpected<Error> refuse(const std::string& folder, std::string why) {
  return fail(ErrorCode::Forbidden, fmt::format("private folder in {}: {}", folder, why));
}

Result<void> check_parent(const std::string& parent) {
  struct ::stat info{};
  if (::lstat(parent.c_str(), &info) != 0) return refuse(parent, std::strerror(errno));
  if (S_ISLNK(info.st_mode)) return refuse(parent, "is a symlink, which somebody could turn");
  if (!S_ISDIR(info.st_mode)) return refuse(parent, "is no folder");
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    return refuse(parent,
                  fmt::format("belongs to user {}, we are user {}", info.st_uid, ::geteuid()));
  }
  if ((info.st_mode & 022) != 0 && (info.st_mode & S_ISVTX) == 0) {
    return refuse(parent, "others may rename what is in it; take that right away (chmod go-w)");
  }
  return {};
}

}  // namespace

Result<PrivateFolder> PrivateFolder::make(std::string_view prefix) {
  std::string pattern(prefix);
  if (prefix.find('/') == prefix.npos) pattern = default_parent() + "/" + pattern;
  pattern += "XXXXXX";
  const std::string parent = pattern.substr(0, std::max<std::size_t>(pattern.rfind('/'), 1));
  if (pattern[0] != '/') return refuse(parent, "is no absolute path");
  // Of sun_path, one byte is the slash and one the zero at the end.
  constexpr std::size_t kPathMax = sizeof(::sockaddr_un::sun_path) - 2 - kSocketNameMax;
  if (pattern.size() > kPathMax) {
    return refuse(parent, fmt::format("its path would have {} bytes, at most {} leave room for the "
                                      "name of a socket; set TMPDIR to a shorter path",
                                      pattern.size(), kPathMax));
  }
  MINERVA_TRY(check_parent(parent));
  if (::mkdtemp(pattern.data()) == nullptr) return refuse(parent, std::strerror(errno));
  PrivateFolder folder(pattern);
  const FileDescriptor opened(
      ::open(pattern.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct ::stat info{};
  // A umask can only take rights away, but we need all of ours.
  if (!opened || ::fchmod(opened.number(), 0700) != 0 || ::fstat(opened.number(), &info) != 0) {
    return refuse(parent, std::strerror(errno));
  }
  if (info.st_uid != ::geteuid() || (info.st_mode & 07777) != 0700) {
    return refuse(parent, fmt::format("the folder has owner {} and mode {:o}, wanted {} and 700",
                                      info.st_uid, info.st_mode & 07777, ::geteuid()));
  }
  return folder;
}

PrivateFolder::PrivateFolder(PrivateFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

PrivateFolder& PrivateFolder::operator=(PrivateFolder&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

PrivateFolder::~PrivateFolder() {
  if (path_.empty()) return;
  std::error_code ignored;  // a file that stays is private still
  std::filesystem::remove_all(path_, ignored);
}

Result<std::string> PrivateFolder::write_secret(std::string_view name,
                                                std::string_view contents) const {
  if (name.empty() || name == "." || name == ".." ||
      name.find_first_of(std::string_view("/\0", 2)) != name.npos) {
    return fail(ErrorCode::InvalidArgument, fmt::format("'{}' is no file name", name));
  }
  std::string path = fmt::format("{}/{}", path_, name);
  const auto failed = [&] {
    return fail(ErrorCode::Io, fmt::format("{}: {}", path, std::strerror(errno)));
  };
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return failed();
  const FileDescriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file || ::fchmod(file.number(), 0600) != 0) return failed();
  while (!contents.empty()) {
    const ::ssize_t size = ::write(file.number(), contents.data(), contents.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failed();
    contents.remove_prefix(static_cast<std::size_t>(size));
  }
  return path;
}

}  // namespace minerva::process
