// A GGUF model file, or all parts of a split one: metadata and tensors, mapped and checked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "formats/dtype.h"
#include "formats/gguf_value.h"
#include "formats/tensor_rows.h"

namespace minerva::formats {

// Counts over these are refused before anything is read or reserved for them.
inline constexpr std::uint64_t kGgufStringBytesMax = 16ull << 20;
inline constexpr std::uint64_t kGgufArrayCountMax = 64ull << 20;
inline constexpr std::uint64_t kGgufMetadataCountMax = 64ull << 10;
inline constexpr std::uint64_t kGgufTensorCountMax = 64ull << 10;
inline constexpr std::uint32_t kGgufDimsMax = 4;
inline constexpr std::uint64_t kGgufAlignmentMax = 1ull << 20;

// Guaranteed: 1 <= n_dims <= 4, no dim is 0, the product fits 63 bits, dims[0] is a multiple of the
// type's block, and either `data` holds exactly elements() weights or `rows` makes them. Of a GGUF
// file `rows` is null, and `data` overlaps no other tensor. `data` needs no alignment. A tensor of
// one dimension always has `data`.
struct GgufTensor {
  std::string name;
  DType type;
  std::uint32_t n_dims;
  std::array<std::uint64_t, kGgufDimsMax> dims;  // fastest first; 1 beyond n_dims
  std::span<const std::byte> data;
  const TensorRows* rows = nullptr;  // owned by the file

  std::uint64_t elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
  std::uint64_t row_count() const { return dims[1] * dims[2] * dims[3]; }
  std::uint64_t row_bytes() const;
  std::uint64_t bytes() const { return row_bytes() * row_count(); }
  // "576x1536", for messages.
  std::string shape() const;
};

// Weights as they lie in the file, or as they were made from it.
struct TensorBytes {
  std::span<const std::byte> bytes;
  std::vector<std::byte> owned;  // behind `bytes`, when they were made
};
// Rows [first, first + count) of a tensor, each row_bytes() long; all of it without the numbers.
// OutOfMemory is the only failure. Any thread.
Result<TensorBytes> read_rows(const GgufTensor& tensor, std::uint64_t first, std::uint64_t count);
Result<TensorBytes> read_tensor(const GgufTensor& tensor);
// One row as floats: dims[0] of them. The type must be decodable.
void dequantize_row(const GgufTensor& tensor, std::uint64_t row, float* out);

// A model of another format in the terms of this one (models/folder_model.h).
struct GgufParts {
  std::string path;                 // for messages
  std::vector<std::byte> metadata;  // a GGUF file without tensors
  std::vector<GgufTensor> tensors;  // views into what follows
  std::vector<std::unique_ptr<MappedFile>> mappings;
  std::vector<std::unique_ptr<const TensorRows>> rows;
  std::vector<std::vector<std::byte>> memory;
};

// Immutable, so any thread; owns the mappings that every view in it points into. open() and parse()
// refuse with InvalidModel (Unsupported for a version that cannot be read), naming the field and
// the two numbers; after them no accessor can fail on a lie in the file. A part that
// another program cuts off while the file is open reads as zeros; intact() tells.
class GgufFile {
 public:
  // `path`: the file, or the first part of a split model; the other parts are found beside it.
  static Result<std::shared_ptr<const GgufFile>> open(const std::string& path);
  // A file in memory, for tests and fuzzing. A part of a split model is refused.
  static Result<std::shared_ptr<const GgufFile>> parse(std::vector<std::byte> bytes);
  // Out of parts that somebody else has read; they are checked as a file's are.
  static Result<std::shared_ptr<const GgufFile>> assemble(GgufParts parts);

  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;

  // In file order.
  std::span<const GgufKeyValue> metadata() const { return metadata_; }
  const GgufValue* find(std::string_view key) const;  // nullptr: no such key
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // NotFound when the key is missing, InvalidModel when it has another type or does not fit; both
  // name the key, the expected type and the one found.
  Result<std::uint64_t> get_uint(std::string_view key) const;  // any integer type
  Result<std::int64_t> get_int(std::string_view key) const;    // any integer type
  Result<double> get_float(std::string_view key) const;
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string_view> get_string(std::string_view key) const;
  Result<std::vector<std::string_view>> get_strings(std::string_view key) const;
  Result<std::vector<float>> get_floats(std::string_view key) const;
  Result<std::vector<std::int64_t>> get_ints(std::string_view key) const;  // any integer type
  Result<std::vector<bool>> get_bools(std::string_view key) const;

  // `fallback` when the key is missing; a wrong type is still an error.
  Result<std::uint64_t> get_uint_or(std::string_view key, std::uint64_t fallback) const;
  Result<double> get_float_or(std::string_view key, double fallback) const;
  Result<bool> get_bool_or(std::string_view key, bool fallback) const;
  Result<std::string_view> get_string_or(std::string_view key, std::string_view fallback) const;

  // In file order, part after part.
  std::span<const GgufTensor> tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;  // nullptr: no such tensor

  std::uint32_t version() const { return version_; }
  // The memory behind these bytes of a tensor is not needed for now (MappedFile::forget).
  void forget(std::span<const std::byte> bytes) const;
  // Nor that behind a tensor, which has been read.
  void forget(const GgufTensor& tensor) const;
  // False once a read has met a part of the file that is no longer there.
  bool intact() const;
  // Of all parts.
  std::uint64_t total_bytes() const { return total_bytes_; }
  // As given to open(); empty for a file in memory.
  const std::string& path() const { return path_; }
  // One for each part, in order; empty for a file in memory.
  std::span<const std::string> shard_paths() const { return shard_paths_; }
  // What is odd but readable, one sentence each; for the log.
  std::span<const std::string> warnings() const { return warnings_; }

 private:
  GgufFile() = default;
  Result<void> add_part(std::span<const std::byte> bytes);
  Result<void> add_shards(std::uint64_t count);
  Result<void> finish();

  std::string path_;
  std::vector<std::string> shard_paths_;
  std::vector<std::unique_ptr<MappedFile>> mappings_;
  std::vector<std::byte> memory_;
  std::vector<std::unique_ptr<const TensorRows>> rows_;  // of an assembled file, as what follows
  std::vector<std::vector<std::byte>> made_;
  std::uint32_t version_ = 0;
  std::uint64_t total_bytes_ = 0;
  std::vector<GgufKeyValue> metadata_;
  std::vector<std::uint32_t> keys_sorted_;  // indexes into metadata_
  std::vector<GgufTensor> tensors_;
  std::vector<std::uint32_t> names_sorted_;  // indexes into tensors_
  std::vector<std::string> warnings_;
};

}  // namespace minerva::formats
