// One GGUF file's bytes to its tables. Internal to formats: GgufFile joins the parts of split files
// and looks things up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"

namespace minerva::formats {

struct GgufPart {
  std::uint32_t version = 0;
  std::vector<GgufKeyValue> metadata;  // views into the bytes
  std::vector<std::uint32_t> keys_sorted;
  std::vector<GgufTensor> tensors;
  std::vector<std::string> warnings;
};

// Reserves no more than the file's own size from any count it declares. Errors name the field.
Result<GgufPart> parse_gguf(std::span<const std::byte> bytes);

// Index of the entry with that name, or nothing. `sorted` orders the entries by name.
const GgufKeyValue* find_key(const std::vector<GgufKeyValue>& metadata,
                             const std::vector<std::uint32_t>& sorted, std::string_view key);

// Indexes of the tensors in the order of their names; an error when two share one.
Result<std::vector<std::uint32_t>> sort_tensor_names(const std::vector<GgufTensor>& tensors);

// A name from the file for a message: escaped, and cut when it is absurdly long.
std::string shown(std::string_view name);

}  // namespace minerva::formats
