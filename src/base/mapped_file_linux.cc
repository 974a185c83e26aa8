#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>

#include "base/mapped_file.h"

namespace minerva {
namespace {

// A read behind the end of a file that has shrunk raises SIGBUS, and a signal has one handler for
// the whole process: hence the only table in the program that belongs to nobody. The handler may
// read atomics and call mmap, and does no more.
struct Slot {
  std::atomic<std::uintptr_t> begin{0};  // 0: free; 1: being filled
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> damaged{false};
};
constexpr std::size_t kSlots = 1024;  // files mapped at once
constexpr std::uintptr_t kFilling = 1;
constinit std::array<Slot, kSlots> slots{};
constinit std::atomic<std::size_t> page_size{4096};

void on_bus_error(int number, ::siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const std::uintptr_t page = address & ~(page_size.load(std::memory_order_relaxed) - 1);
  for (Slot& slot : slots) {
    if (address < slot.begin.load() || address >= slot.end.load()) continue;
    slot.damaged.store(true);
    // Zeros in place of the page that is gone; the read is then tried again and succeeds.
    if (::mmap(reinterpret_cast<void*>(page), page_size.load(), PROT_READ,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
      return;
    }
  }
  // Not ours: the default action, at the same instruction.
  ::signal(number, SIG_DFL);
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_size.store(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
    struct ::sigaction action{};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGBUS, &action, nullptr);
  });
}

// The slot that now covers these bytes, or kSlots when all are taken.
std::size_t take_slot(std::span<const std::byte> bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  for (std::size_t i = 0; i < kSlots; ++i) {
    std::uintptr_t unused = 0;
    if (!slots[i].begin.compare_exchange_strong(unused, kFilling)) continue;
    slots[i].damaged.store(false);
    slots[i].end.store(begin + bytes.size());
    slots[i].begin.store(begin);
    return i;
  }
  return kSlots;
}

}  // namespace

MappedFile::MappedFile(std::string path, std::span<const std::byte> bytes, std::size_t slot)
    : path_(std::move(path)), bytes_(bytes), slot_(slot) {}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  slots[slot_].end.store(0);
  slots[slot_].begin.store(0);
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::forget(std::span<const std::byte> bytes) const {
  const auto mapping = reinterpret_cast<std::uintptr_t>(bytes_.data());
  const auto from = reinterpret_cast<std::uintptr_t>(bytes.data());
  if (from < mapping || from + bytes.size() > mapping + bytes_.size()) return;
  const std::size_t page = page_size.load(std::memory_order_relaxed);
  const std::uintptr_t begin = (from + page - 1) & ~(page - 1);
  const std::uintptr_t end = (from + bytes.size()) & ~(page - 1);
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

bool MappedFile::intact() const { return bytes_.empty() || !slots[slot_].damaged.load(); }

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
  std::size_t slot = kSlots;
  if (!bytes.empty()) {
    install_handler();
    slot = take_slot(bytes);
    if (slot == kSlots) {
      ::munmap(const_cast<std::byte*>(bytes.data()), bytes.size());
      return fail(ErrorCode::Io, "cannot map " + path + ": " + std::to_string(kSlots) +
                                     " files are mapped already");
    }
  }
  return std::unique_ptr<MappedFile>(new MappedFile(path, bytes, slot));
}

}  // namespace minerva
