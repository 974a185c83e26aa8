// One block of 32 weights, each scale x code + bias, as the affine kinds and Q4_1 have it: scale,
// bias, then the codes. Internal to models.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "formats/dtype.h"

namespace minerva::models {

inline constexpr std::size_t kAffineBlock = 32;
using AffineCodes = std::array<std::uint8_t, kAffineBlock>;

// Weights i and i + 16 share a byte.
inline void put_nibbles(const AffineCodes& codes, std::byte* out) {
  for (std::size_t i = 0; i < kAffineBlock / 2; ++i)
    out[i] = static_cast<std::byte>(codes[i] | (codes[i + kAffineBlock / 2] << 4));
}

// Bytes of the scale, and of the bias, in a block of this kind.
inline std::size_t affine_number_bytes(formats::DType type) {
  return type == formats::DType::AFFINE4 || type == formats::DType::AFFINE8 ? 4 : 2;
}

// `scale` and `bias`: so many bytes each. Codes of up to `bits` bits.
inline void put_affine_block(formats::DType type, const void* scale, const void* bias,
                             unsigned bits, const AffineCodes& codes, std::byte* out) {
  const std::size_t size = affine_number_bytes(type);
  std::memcpy(out, scale, size);
  std::memcpy(out + size, bias, size);
  if (bits <= 4) return put_nibbles(codes, out + 2 * size);
  std::memcpy(out + 2 * size, codes.data(), codes.size());
}

}  // namespace minerva::models
