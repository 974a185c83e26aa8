// A list of short strings in one block of memory: 262,144 tokens as std::string would take 8 MB
// and a pointer chase each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace minerva::text {

// All texts together; offsets are 32 bits wide.
inline constexpr std::size_t kPieceBytesMax = std::size_t{1} << 30;

// Filled once, then read from any thread. The filler keeps the total under kPieceBytesMax.
class PieceList {
 public:
  void reserve(std::size_t count, std::size_t bytes) {
    ends_.reserve(count);
    bytes_.reserve(bytes);
  }
  void add(std::string_view text) {
    bytes_ += text;
    ends_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  }

  std::size_t size() const { return ends_.size(); }
  std::size_t total_bytes() const { return bytes_.size(); }
  std::string_view operator[](std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return {bytes_.data() + begin, ends_[i] - begin};
  }

 private:
  std::string bytes_;
  std::vector<std::uint32_t> ends_;
};

}  // namespace minerva::text
