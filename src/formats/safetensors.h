// The header of a safetensors file: which tensors it holds and where. Nothing of the weights is
// read. Pure functions over bytes; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace minerva::formats {

// The format's own limit.
inline constexpr std::uint64_t kSafetensorsHeaderBytesMax = 100'000'000;

struct SafetensorsTensor {
  std::string name;
  std::string dtype;  // "BF16"; one of the format's
  std::vector<std::uint64_t> shape;
  std::uint64_t offset = 0;  // of its first byte in the file
  std::uint64_t bytes = 0;   // as dtype and shape want it
};

struct SafetensorsHeader {
  std::vector<SafetensorsTensor> tensors;  // in the order of their bytes: no gap, no overlap
  std::map<std::string, std::string> metadata;
  std::uint64_t file_bytes = 0;

  // "mlx", "pt"; empty when it does not say.
  std::string_view framework() const;
};

// `bytes`: the whole file. InvalidModel says which field lies, and when bytes are missing how many
// there are and how many there should be.
Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> bytes);
// The same of the file at `path`, which the message then names.
Result<SafetensorsHeader> read_safetensors(const std::string& path);

// Bits of one number of this type; 0 when it is none of the format's.
std::uint64_t safetensors_dtype_bits(std::string_view dtype);

// What model.safetensors.index.json says.
struct SafetensorsIndex {
  std::vector<std::string> shards;  // plain names of files beside it, by name, each once
  std::uint64_t tensors = 0;
};
Result<SafetensorsIndex> parse_safetensors_index(std::string_view text);

}  // namespace minerva::formats
