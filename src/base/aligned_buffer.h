// Zero-filled memory aligned for vector loads: packed weights, KV pages, scratch. Large ones are
// aligned to 2 MiB and offered to the kernel for huge pages (1-5 % of decode). Owned by whoever
// holds it; moving it does not move the bytes. Any thread.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "base/result.h"

namespace minerva {

class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  AlignedBuffer() = default;
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AlignedBuffer();

  // OutOfMemory when there is none; nothing is touched until it is written to.
  static Result<AlignedBuffer> allocate(std::size_t bytes);

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace minerva
