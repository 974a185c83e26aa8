// Safetensors files for tests: honest ones, and any header before any number of data bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minerva::test {

// The header's length (or `length_lie`), the header, and `data_bytes` zeros.
std::vector<std::byte> safetensors_bytes(std::string_view header, std::size_t data_bytes,
                                         std::optional<std::uint64_t> length_lie = {});

// A tensor with its content, and a file of some of them.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::byte> data;
};
std::vector<std::byte> safetensors_file(const std::vector<SafetensorsEntry>& tensors,
                                        std::string_view format = "pt");

// Two BF16 tensors of 4x8 numbers; its metadata has this format where one is given.
std::vector<std::byte> small_safetensors(std::string_view format = "pt");
// The same with U32 weights and BF16 scales, as mlx-lm quantises.
std::vector<std::byte> small_mlx_safetensors();

}  // namespace minerva::test
