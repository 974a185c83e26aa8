#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>
#include <new>

#include "base/aligned_buffer.h"
#include "base/checked.h"

namespace minerva {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

bool is_mapped(std::size_t bytes) { return bytes >= 2 * kHugePage; }

std::size_t mapped_size(std::size_t bytes) { return (bytes + kHugePage - 1) & ~(kHugePage - 1); }

std::byte* map_huge(std::size_t bytes) {
  // One huge page more than needed, to cut an aligned piece from.
  const std::size_t whole = mapped_size(bytes) + kHugePage;
  void* mapped = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(mapped);
  const std::size_t head = (kHugePage - reinterpret_cast<std::uintptr_t>(begin)) % kHugePage;
  if (head != 0) munmap(begin, head);
  munmap(begin + head + mapped_size(bytes), kHugePage - head);
  // Advice only: a kernel without huge pages says no, and nothing is lost.
  madvise(begin + head, mapped_size(bytes), MADV_HUGEPAGE);
  return begin + head;
}

}  // namespace

Result<AlignedBuffer> AlignedBuffer::allocate(std::size_t bytes) {
  AlignedBuffer buffer;
  if (bytes == 0) return buffer;
  if (is_mapped(bytes)) {
    if (checked_add(bytes, 2 * kHugePage)) buffer.data_ = map_huge(bytes);
  } else {
    void* memory = ::operator new(bytes, std::align_val_t{kAlignment}, std::nothrow);
    if (memory != nullptr) std::memset(memory, 0, bytes);
    buffer.data_ = static_cast<std::byte*>(memory);
  }
  if (buffer.data_ == nullptr) {
    return fail(ErrorCode::OutOfMemory, fmt::format("no memory for a buffer of {} bytes", bytes));
  }
  buffer.size_ = bytes;
  return buffer;
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ == nullptr) return;
  if (is_mapped(size_)) {
    munmap(data_, mapped_size(size_));
  } else {
    ::operator delete(data_, std::align_val_t{kAlignment});
  }
}

}  // namespace minerva
