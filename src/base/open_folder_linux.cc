#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/open_folder.h"

namespace minerva {
namespace {

std::unexpected<Error> refused(const std::string& where) {
  const int number = errno;
  const auto code = number == ENOENT ? ErrorCode::NotFound : ErrorCode::Io;
  return fail(code, fmt::format("{}: {}", where, std::generic_category().message(number)));
}

FileType type_of(::mode_t mode) {
  if (S_ISREG(mode)) return FileType::Regular;
  if (S_ISDIR(mode)) return FileType::Folder;
  return S_ISLNK(mode) ? FileType::Symlink : FileType::Other;
}

struct Descriptor {
  int value = -1;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

struct CloseDirectory {
  void operator()(::DIR* directory) const { ::closedir(directory); }
};

}  // namespace

Result<OpenFolder> OpenFolder::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return refused(path);
  return OpenFolder(descriptor, path);
}

OpenFolder::OpenFolder(OpenFolder&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

OpenFolder& OpenFolder::operator=(OpenFolder&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  return *this;
}

OpenFolder::~OpenFolder() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<OpenFolder> OpenFolder::open_inside(const std::string& name) const {
  const int descriptor =
      ::openat(descriptor_, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  const std::string where = path_ + '/' + name;
  if (descriptor < 0) return refused(where);
  return OpenFolder(descriptor, where);
}

Result<std::vector<FolderItem>> OpenFolder::items(std::size_t count_max) const {
  // Of its own, since readdir moves the descriptor's position, and closedir closes it.
  Descriptor own{::openat(descriptor_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (own.value < 0) return refused(path_);
  const std::unique_ptr<::DIR, CloseDirectory> directory(::fdopendir(own.value));
  if (!directory) return refused(path_);
  own.value = -1;
  std::vector<FolderItem> out;
  errno = 0;
  while (const ::dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (out.size() >= count_max) {
      return fail(ErrorCode::TooLarge,
                  fmt::format("{}: more than {} entries in one folder", path_, count_max));
    }
    struct ::stat status{};
    // One that is deleted meanwhile is not there.
    if (::fstatat(descriptor_, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    FolderItem& item = out.emplace_back();
    item.name = name;
    item.type = type_of(status.st_mode);
    if (item.type == FileType::Symlink) {
      std::array<char, 4096> target{};
      const ::ssize_t length =
          ::readlinkat(descriptor_, name.c_str(), target.data(), target.size());
      if (length < 0) return refused(path_ + '/' + name);
      item.link_target.assign(target.data(), static_cast<std::size_t>(length));
      if (::fstatat(descriptor_, name.c_str(), &status, 0) == 0)
        item.target_type = type_of(status.st_mode);
    }
    item.size_bytes = static_cast<std::uint64_t>(status.st_size);
    item.modified_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
    errno = 0;
  }
  if (errno != 0) return refused(path_);
  std::ranges::sort(out, {}, &FolderItem::name);
  return out;
}

Result<std::string> OpenFolder::read_file(const std::string& name, std::uint64_t bytes_max) const {
  const std::string where = path_ + '/' + name;
  // Without O_NONBLOCK a pipe would hold this open for ever.
  const Descriptor file{
      ::openat(descriptor_, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  if (file.value < 0) return refused(where);
  struct ::stat status{};
  if (::fstat(file.value, &status) != 0) return refused(where);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::Io, where + ": not a regular file");
  const auto too_large = [&] {
    return fail(ErrorCode::TooLarge, fmt::format("{}: more than {} bytes", where, bytes_max));
  };
  if (static_cast<std::uint64_t>(status.st_size) > bytes_max) return too_large();
  std::string out;
  std::array<char, 65536> piece;
  while (true) {
    const ::ssize_t got = ::read(file.value, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return refused(where);
    if (got == 0) return out;
    // It may grow while it is read.
    if (out.size() + static_cast<std::size_t>(got) > bytes_max) return too_large();
    out.append(piece.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace minerva
