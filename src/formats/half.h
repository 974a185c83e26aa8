// 16-bit floats to and from float. Bits, not arithmetic: denormals are exact whatever the FPU mode,
// and a NaN keeps its payload.
#pragma once

#include <bit>
#include <cstdint>

namespace minerva::formats {

inline float half_to_float(std::uint16_t half) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fu;
  const std::uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0) {
    if (mantissa == 0) return std::bit_cast<float>(sign);
    // A subnormal half is a normal float: move the highest set bit to the implied place.
    const auto shift = static_cast<std::uint32_t>(std::countl_zero(mantissa)) - 21;
    return std::bit_cast<float>(sign | ((113 - shift) << 23) |
                                (((mantissa << shift) & 0x3ff) << 13));
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

inline float bfloat16_to_float(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// Nearest, ties to even; too large becomes infinity; a NaN stays one (quiet), as vcvtps2ph does.
std::uint16_t float_to_half(float value) noexcept;

}  // namespace minerva::formats
