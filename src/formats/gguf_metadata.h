// Metadata in the form of a GGUF file, put together entry by entry. A plain value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf_value.h"

namespace minerva::formats {

// Keys must differ; the parser refuses them otherwise.
class GgufMetadata {
 public:
  void add_u32(std::string_view key, std::uint32_t value);
  void add_f32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_string(std::string_view key, std::string_view value);
  void add_strings(std::string_view key, std::span<const std::string_view> values);
  void add_u8s(std::string_view key, std::span<const std::byte> values);
  void add_i32s(std::string_view key, std::span<const std::int32_t> values);
  void add_f32s(std::string_view key, std::span<const float> values);
  void add_bools(std::string_view key, const std::vector<bool>& values);
  // As it stands in another file.
  void add(std::string_view key, const GgufValue& value);

  std::uint64_t count() const { return count_; }
  // What stands in a file between its header and the table of tensors.
  std::span<const std::byte> entries() const { return entries_; }
  // A whole file of these entries and no tensor.
  std::vector<std::byte> file() const;

 private:
  void begin(std::string_view key, GgufType type);
  void begin_array(std::string_view key, GgufType element, std::uint64_t count);

  std::vector<std::byte> entries_;
  std::uint64_t count_ = 0;
};

}  // namespace minerva::formats
