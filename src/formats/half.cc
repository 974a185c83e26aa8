#include "formats/half.h"

namespace minerva::formats {

std::uint16_t float_to_half(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return static_cast<std::uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  std::uint32_t kept;
  std::uint32_t rest;
  std::uint32_t tie;
  if (magnitude >= 0x38800000u) {  // 2^-14 and above: a normal half
    // 65520, half way between the largest half and 2^16, is the first that rounds to infinity.
    if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
    kept = (magnitude - 0x38000000u) >> 13;
    rest = magnitude & 0x1fffu;
    tie = 0x1000u;
  } else {
    if (magnitude <= 0x33000000u) return static_cast<std::uint16_t>(sign);  // 2^-25 ties to zero
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t shift = 126 - (magnitude >> 23);  // 14..24
    kept = mantissa >> shift;
    rest = mantissa & ((1u << shift) - 1);
    tie = 1u << (shift - 1);
  }
  // A carry out of the mantissa lands in the exponent, which is what rounding up means there.
  if (rest > tie || (rest == tie && (kept & 1u) != 0)) ++kept;
  return static_cast<std::uint16_t>(sign | kept);
}

}  // namespace minerva::formats
