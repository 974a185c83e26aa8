// Heads of gated delta rules, whose order differs between folders and GGUF. A folder has the value
// heads of one key head side by side; GGUF has them so in qwen3next, and in qwen35 the first ones
// of all key heads, then the second ones, and so on. Any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace minerva::models {

struct DeltaHeads {
  std::uint32_t key_heads = 0;  // 0: there are none; at most 1024, as the others
  std::uint32_t value_heads = 0;
  std::uint32_t key_dim = 0;
  std::uint32_t value_dim = 0;
  bool spread = false;  // in GGUF, see above

  std::uint64_t keys() const { return std::uint64_t{key_heads} * key_dim; }
  std::uint64_t values() const { return std::uint64_t{value_heads} * value_dim; }
};

// For each value head of GGUF its place in the folder.
std::vector<std::uint32_t> value_head_order(const DeltaHeads& heads);
// For each row of GGUF its row in the folder: `each` rows of every value head.
std::vector<std::uint32_t> value_head_rows(const DeltaHeads& heads, std::uint64_t each);
// Queries and keys as they are, then values.
std::vector<std::uint32_t> mixed_rows(const DeltaHeads& heads);
// The same, and the gates, of a matrix that has each key head's query, key, values and gates.
std::vector<std::uint32_t> mixed_of_all_rows(const DeltaHeads& heads);
std::vector<std::uint32_t> gates_of_all_rows(const DeltaHeads& heads);

}  // namespace minerva::models
