// Reads one block of a file's weight type as unsigned codes and scales, the form in which the pack
// step writes panels. For every w here:  w = scale * (code - zero)  or  scale * code +/- minimum.
#pragma once

#include <cstdint>

#include "formats/dtype.h"
#include "kernels/packed.h"

namespace minerva::engine {

// 32 weights with their own float scales.
struct Block32 {
  std::uint8_t codes[32];
  std::uint16_t d;  // f16 or bf16
  std::uint16_t m;  // the same
  float wide_d;     // instead of d in kinds whose scales are f32
  float wide_m;     // and of m
};

// 256 weights: w = d * s * (code - zero) - dmin * m, s and m for each 16 or 32.
struct Block256 {
  std::uint8_t codes[256];
  std::uint16_t d;     // f16
  std::uint16_t dmin;  // f16
  std::uint8_t s[16];  // bits of an int8 in the kinds without minimum
  std::uint8_t m[16];
};

// How a file's type is packed. Exactly one of the readers is set.
struct PackRule {
  formats::DType type;
  kernels::PackedKind kind;
  std::uint32_t zero;
  const std::int8_t* table;  // of signed values; packed as value + zero
  void (*read32)(const std::uint8_t* in, Block32& out);
  void (*read256)(const std::uint8_t* in, Block256& out);
};

// nullptr for types that are not quantised or not supported.
const PackRule* find_pack_rule(formats::DType type);

}  // namespace minerva::engine
