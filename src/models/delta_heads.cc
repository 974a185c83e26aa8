#include "models/delta_heads.h"

namespace minerva::models {
namespace {

// Of each key head rows [begin, begin + count) of its `step`.
void add(std::vector<std::uint32_t>& rows, const DeltaHeads& heads, std::uint64_t begin,
         std::uint64_t count, std::uint64_t step) {
  for (std::uint64_t head = 0; head < heads.key_heads; ++head) {
    for (std::uint64_t i = 0; i < count; ++i) {
      rows.push_back(static_cast<std::uint32_t>(head * step + begin + i));
    }
  }
}

// What one key head has of values, and of everything.
std::uint64_t own_values(const DeltaHeads& heads) { return heads.values() / heads.key_heads; }
std::uint64_t own_rows(const DeltaHeads& heads) {
  return 2 * (std::uint64_t{heads.key_dim} + own_values(heads));
}

}  // namespace

std::vector<std::uint32_t> value_head_order(const DeltaHeads& heads) {
  const std::uint32_t own = heads.value_heads / heads.key_heads;
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < heads.value_heads; ++i) {
    order.push_back(heads.spread ? i % heads.key_heads * own + i / heads.key_heads : i);
  }
  return order;
}

std::vector<std::uint32_t> value_head_rows(const DeltaHeads& heads, std::uint64_t each) {
  std::vector<std::uint32_t> rows;
  for (const std::uint32_t head : value_head_order(heads)) {
    for (std::uint64_t i = 0; i < each; ++i) {
      rows.push_back(static_cast<std::uint32_t>(head * each + i));
    }
  }
  return rows;
}

std::vector<std::uint32_t> mixed_rows(const DeltaHeads& heads) {
  const auto before = static_cast<std::uint32_t>(2 * heads.keys());
  std::vector<std::uint32_t> rows;
  for (std::uint32_t i = 0; i < before; ++i) rows.push_back(i);
  for (const std::uint32_t row : value_head_rows(heads, heads.value_dim)) {
    rows.push_back(before + row);
  }
  return rows;
}

std::vector<std::uint32_t> mixed_of_all_rows(const DeltaHeads& heads) {
  std::vector<std::uint32_t> rows;
  add(rows, heads, 0, heads.key_dim, own_rows(heads));
  add(rows, heads, heads.key_dim, heads.key_dim, own_rows(heads));
  add(rows, heads, 2 * std::uint64_t{heads.key_dim}, own_values(heads), own_rows(heads));
  return rows;
}

std::vector<std::uint32_t> gates_of_all_rows(const DeltaHeads& heads) {
  std::vector<std::uint32_t> rows;
  add(rows, heads, 2 * std::uint64_t{heads.key_dim} + own_values(heads), own_values(heads),
      own_rows(heads));
  return rows;
}

}  // namespace minerva::models
