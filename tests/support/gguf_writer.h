// Writes small GGUF files for tests: honest ones for every room, and lying ones for the parser's
// own tests (the *_override fields put any number in place of the true one). Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/dtype.h"
#include "formats/gguf_value.h"

namespace minerva::test {

class GgufWriter {
 public:
  using Bytes = std::vector<std::byte>;

  // Metadata, in the order of the calls.
  GgufWriter& add_u8(std::string_view key, std::uint8_t value);
  GgufWriter& add_i8(std::string_view key, std::int8_t value);
  GgufWriter& add_u16(std::string_view key, std::uint16_t value);
  GgufWriter& add_i16(std::string_view key, std::int16_t value);
  GgufWriter& add_u32(std::string_view key, std::uint32_t value);
  GgufWriter& add_i32(std::string_view key, std::int32_t value);
  GgufWriter& add_u64(std::string_view key, std::uint64_t value);
  GgufWriter& add_i64(std::string_view key, std::int64_t value);
  GgufWriter& add_f32(std::string_view key, float value);
  GgufWriter& add_f64(std::string_view key, double value);
  GgufWriter& add_bool(std::string_view key, bool value);
  GgufWriter& add_string(std::string_view key, std::string_view value);
  GgufWriter& add_strings(std::string_view key, std::span<const std::string> values);
  GgufWriter& add_f32s(std::string_view key, std::span<const float> values);
  GgufWriter& add_i32s(std::string_view key, std::span<const std::int32_t> values);
  GgufWriter& add_bools(std::string_view key, const std::vector<bool>& values);
  GgufWriter& add_u32s(std::string_view key, std::span<const std::uint32_t> values);
  // Any type id with any bytes after it.
  GgufWriter& add_raw(std::string_view key, std::uint32_t type_id, Bytes value);

  // Takes a key out again.
  GgufWriter& remove(std::string_view key);

  // `dims`: fastest first. `data`: the blocks as they shall lie in the file.
  GgufWriter& add_tensor(std::string_view name, formats::DType type,
                         std::span<const std::uint64_t> dims, Bytes data);
  // Takes a tensor out again.
  GgufWriter& remove_tensor(std::string_view name);
  GgufWriter& add_f32_tensor(std::string_view name, std::span<const std::uint64_t> dims,
                             std::span<const float> values);

  // A lie about the tensor added last.
  GgufWriter& with_type_id(std::uint32_t type_id);
  GgufWriter& with_dim_count(std::uint32_t count);
  GgufWriter& with_offset(std::uint64_t offset);

  // general.alignment is written only when set here; data is laid out by 32 otherwise.
  GgufWriter& set_alignment(std::uint32_t alignment);
  GgufWriter& set_version(std::uint32_t version);
  // Lies in the header.
  std::optional<std::uint64_t> tensor_count_override;
  std::optional<std::uint64_t> metadata_count_override;

  // The whole file.
  Bytes bytes() const;
  // As a split model of `count` parts, tensors dealt out in order; file names are
  // <prefix>-00001-of-0000N.gguf. Element 0 has all metadata.
  std::vector<Bytes> shards(std::uint16_t count) const;

 private:
  struct Entry {
    std::string key;
    std::uint32_t type_id;
    Bytes value;
  };
  struct Tensor {
    std::string name;
    std::uint32_t type_id;
    std::uint32_t dim_count;
    std::vector<std::uint64_t> dims;
    std::optional<std::uint64_t> offset_override;
    Bytes data;
  };
  template <class T>
  GgufWriter& add_scalar(std::string_view key, formats::GgufType type, T value);
  template <class T>
  GgufWriter& add_array(std::string_view key, formats::GgufType type, std::span<const T> values);

  std::vector<Entry> entries_;
  std::vector<Tensor> tensors_;
  std::uint32_t version_ = 3;
  std::uint64_t alignment_ = 32;
};

// Where part `number` (from 1) of `count` lies.
std::filesystem::path shard_path(const std::filesystem::path& folder, std::string_view prefix,
                                 unsigned number, unsigned count);

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);

// A folder of its own under the system's temporary one, removed with all that is in it.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Puts the bytes of a number, or of text without length, at the end.
template <class T>
void append(std::vector<std::byte>& out, const T& value) {
  const auto* at = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), at, at + sizeof(T));
}
void append_text(std::vector<std::byte>& out, std::string_view text);
// A GGUF string: 8-byte length, then the text.
void append_string(std::vector<std::byte>& out, std::string_view text);

}  // namespace minerva::test
