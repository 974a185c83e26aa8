// 8-bit floats to float.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace minerva::formats {

// E4M3 without infinities: 4 bits of exponent with a bias of 7, 3 of mantissa; all ones is NaN.
inline float e4m3_to_float(std::uint8_t bits) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x80U) << 24;
  const std::uint32_t exponent = (bits >> 3) & 15U;
  const std::uint32_t mantissa = bits & 7U;
  if ((bits & 0x7fU) == 0x7fU) return std::numeric_limits<float>::quiet_NaN();
  if (exponent == 0) {
    const float value = static_cast<float>(mantissa) * 0x1p-9F;
    return sign == 0 ? value : -value;
  }
  return std::bit_cast<float>(sign | ((exponent + 120) << 23) | (mantissa << 20));
}

}  // namespace minerva::formats
