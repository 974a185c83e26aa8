// Little pieces of a GGUF file, put at the end of bytes. Internal to formats.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace minerva::formats {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");

inline void put_bytes(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <class T>
void put(std::vector<std::byte>& out, const T& value) {
  std::byte bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

// A string with its length.
inline void put_string(std::vector<std::byte>& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  put_bytes(out, std::as_bytes(std::span(text)));
}

inline void put_header(std::vector<std::byte>& out, std::uint64_t tensors, std::uint64_t entries) {
  put_bytes(out, std::as_bytes(std::span(std::string_view("GGUF"))));
  put(out, std::uint32_t{3});
  put(out, tensors);
  put(out, entries);
}

}  // namespace minerva::formats
