#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/mapped_file.h"

namespace minerva {

MappedFile::MappedFile(std::string path, std::span<const std::byte> bytes)
    : path_(std::move(path)), bytes_(bytes) {}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<std::unique_ptr<MappedFile>> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not hang; it is refused below.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    const int reason = errno;
    return fail(reason == ENOENT || reason == ENOTDIR ? ErrorCode::NotFound : ErrorCode::Io,
                "cannot open " + path + ": " + std::strerror(reason));
  }
  struct ::stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return fail(ErrorCode::Io, "cannot read " + path + ": it is not a regular file");
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  std::span<const std::byte> bytes;
  if (size > 0) {
    void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
      const int reason = errno;
      ::close(fd);
      return fail(ErrorCode::Io, "cannot map " + path + ": " + std::strerror(reason));
    }
    bytes = {static_cast<const std::byte*>(at), size};
  }
  ::close(fd);
  return std::unique_ptr<MappedFile>(new MappedFile(path, bytes));
}

}  // namespace minerva
