// The writing half of PackedWeight: one panel of 16 rows at a time.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "engine/pack.h"
#include "engine/pack_blocks.h"
#include "formats/dequantize.h"

namespace minerva::engine {

using kernels::kBlock;
using kernels::kPanelRows;
using kernels::kSuperBlock;
namespace {

// Puts the 32 codes of one row into a block of codes (packed.h draws it).
void store_codes(const std::uint8_t* codes, bool wide, std::size_t row, std::uint8_t* block) {
  std::uint8_t* at = block + 4 * row;
  if (wide) {
    for (std::size_t g = 0; g < 8; ++g) std::memcpy(at + 64 * g, codes + 4 * g, 4);
    return;
  }
  for (std::size_t g = 0; g < 4; ++g) {
    std::uint32_t low;
    std::uint32_t high;
    std::memcpy(&low, codes + 8 * g, 4);
    std::memcpy(&high, codes + 8 * g + 4, 4);
    low |= high << 4;
    std::memcpy(at + 64 * g, &low, 4);
  }
}

// Bytes of one block of codes: 32 weights of 16 rows.
std::size_t block_code_bytes(bool wide) { return kPanelRows * kBlock / (wide ? 1 : 2); }

// A plane that this object owns, to be written to.
template <class T>
T* writable(const void* plane) {
  return static_cast<T*>(const_cast<void*>(plane));
}

}  // namespace

void PackedWeight::pack_panels(std::span<const std::byte> bytes, std::size_t begin,
                               std::size_t end) {
  MINERVA_CHECK(begin <= end && end <= panels());
  for (std::size_t panel = begin; panel < end; ++panel) {
    if (!quantized_) {
      pack_float_panel(bytes, panel);
    } else if (kernels::traits(quant_.kind).super) {
      pack_super_panel(bytes, panel);
    } else {
      pack_block_panel(bytes, panel);
    }
  }
}

void PackedWeight::pack_float_panel(std::span<const std::byte> bytes, std::size_t panel) {
  const formats::DTypeInfo& info = formats::dtype_info(type_);
  const std::size_t row_bytes = cols_ / info.block * info.block_bytes;
  const std::size_t row_begin = panel * kPanelRows;
  const std::size_t row_count = std::min(kPanelRows, rows_ - row_begin);
  const std::byte* from = bytes.data() + row_begin * row_bytes;
  if (floats_.kind == kernels::FloatKind::F32) {
    std::vector<float> row(cols_);
    auto* to = writable<float>(floats_.values) + panel * cols_ * kPanelRows;
    for (std::size_t r = 0; r < row_count; ++r) {
      formats::dequantize(type_, from + r * row_bytes, row.data(), cols_);
      for (std::size_t k = 0; k < cols_; ++k) to[k * kPanelRows + r] = row[k];
    }
    return;
  }
  auto* to = writable<std::byte>(floats_.values) + panel * cols_ * kPanelRows * 2;
  for (std::size_t r = 0; r < row_count; ++r) {
    for (std::size_t k = 0; k < cols_; ++k) {
      std::memcpy(to + (k * kPanelRows + r) * 2, from + r * row_bytes + k * 2, 2);
    }
  }
}

void PackedWeight::pack_block_panel(std::span<const std::byte> bytes, std::size_t panel) {
  const PackRule& rule = *find_pack_rule(type_);
  const kernels::KindTraits kind = kernels::traits(rule.kind);
  const std::size_t block_bytes = formats::dtype_info(type_).block_bytes;
  const std::size_t blocks = cols_ / kBlock;
  const std::size_t row_begin = panel * kPanelRows;
  const std::size_t row_count = std::min(kPanelRows, rows_ - row_begin);
  const auto* from = reinterpret_cast<const std::uint8_t*>(bytes.data());
  // Blocks outside, rows inside: each 64-byte line is written whole while it is in cache.
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::size_t at = panel * blocks + b;
    auto* codes = writable<std::uint8_t>(quant_.codes) + at * block_code_bytes(kind.wide_codes);
    for (std::size_t r = 0; r < row_count; ++r) {
      Block32 block;
      rule.read32(from + ((row_begin + r) * blocks + b) * block_bytes, block);
      store_codes(block.codes, kind.wide_codes, r, codes);
      const std::size_t scale_at = at * kPanelRows + r;
      if (kind.scales == kernels::ScaleType::F32) {
        writable<float>(quant_.scales)[scale_at] = block.wide_d;
        if (kind.minimum) writable<float>(quant_.minimum)[scale_at] = block.wide_m;
      } else {
        writable<std::uint16_t>(quant_.scales)[scale_at] = block.d;
        if (kind.minimum) writable<std::uint16_t>(quant_.minimum)[scale_at] = block.m;
      }
    }
  }
}

void PackedWeight::pack_super_panel(std::span<const std::byte> bytes, std::size_t panel) {
  const PackRule& rule = *find_pack_rule(type_);
  const kernels::KindTraits kind = kernels::traits(rule.kind);
  const std::size_t block_bytes = formats::dtype_info(type_).block_bytes;
  const std::size_t code_bytes = block_code_bytes(kind.wide_codes);
  const std::size_t supers = cols_ / kSuperBlock;
  const std::size_t subs = kSuperBlock / kind.sub;
  const std::size_t row_begin = panel * kPanelRows;
  const std::size_t row_count = std::min(kPanelRows, rows_ - row_begin);
  const auto* from = reinterpret_cast<const std::uint8_t*>(bytes.data());
  for (std::size_t s = 0; s < supers; ++s) {
    const std::size_t at = panel * supers + s;
    auto* codes = writable<std::uint8_t>(quant_.codes) + at * 8 * code_bytes;
    auto* sub_scales = writable<std::uint8_t>(quant_.sub_scales) + at * subs * kPanelRows;
    for (std::size_t r = 0; r < row_count; ++r) {
      Block256 block;
      rule.read256(from + ((row_begin + r) * supers + s) * block_bytes, block);
      for (std::size_t b = 0; b < 8; ++b) {
        store_codes(block.codes + kBlock * b, kind.wide_codes, r, codes + b * code_bytes);
      }
      writable<std::uint16_t>(quant_.scales)[at * kPanelRows + r] = block.d;
      for (std::size_t i = 0; i < subs; ++i) sub_scales[i * kPanelRows + r] = block.s[i];
      if (!kind.minimum) continue;
      writable<std::uint16_t>(quant_.minimum)[at * kPanelRows + r] = block.dmin;
      auto* sub_minimum = writable<std::uint8_t>(quant_.sub_minimum) + at * subs * kPanelRows;
      for (std::size_t i = 0; i < subs; ++i) sub_minimum[i * kPanelRows + r] = block.m[i];
    }
  }
}

}  // namespace minerva::engine
