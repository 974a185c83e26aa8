#include "formats/quantize.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "formats/half.h"

namespace minerva::formats {
namespace {

constexpr int kBlock = 32;

void put_u16(std::byte* at, std::uint16_t value) { std::memcpy(at, &value, sizeof value); }

// Nearest, ties to even; a NaN stays one.
std::uint16_t float_to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 64u);
  return static_cast<std::uint16_t>((bits + (0x7fffu + ((bits >> 16) & 1u))) >> 16);
}

// Bounded before it is an integer, so that no value is out of range; a NaN gives `low`.
int bounded(float value, int low, int high) {
  if (!(value > static_cast<float>(low))) return low;
  return value < static_cast<float>(high) ? static_cast<int>(value) : high;
}

void encode_q8_0(const float* in, std::byte* out) {
  float largest = 0;
  bool finite = true;
  for (int j = 0; j < kBlock; ++j) {
    finite = finite && std::isfinite(in[j]);
    largest = std::fmax(largest, std::fabs(in[j]));
  }
  const float d = largest / 127;
  const float inverse = d != 0 ? 1 / d : 0;
  put_u16(out, float_to_half(finite ? d : std::nanf("")));
  for (int j = 0; j < kBlock; ++j)
    out[2 + j] = static_cast<std::byte>(bounded(std::round(in[j] * inverse), -128, 127));
}

// The value of the largest magnitude becomes -8 times the scale, whatever its sign.
void encode_q4_0(const float* in, std::byte* out) {
  float largest = 0;
  bool finite = true;
  for (int j = 0; j < kBlock; ++j) {
    finite = finite && std::isfinite(in[j]);
    if (std::fabs(in[j]) > std::fabs(largest)) largest = in[j];
  }
  const float d = largest / -8;
  const float inverse = d != 0 ? 1 / d : 0;
  put_u16(out, float_to_half(finite ? d : std::nanf("")));
  for (int j = 0; j < kBlock / 2; ++j) {
    const int low = bounded(in[j] * inverse + 8.5F, 0, 15);
    const int high = bounded(in[j + kBlock / 2] * inverse + 8.5F, 0, 15);
    out[2 + j] = static_cast<std::byte>(low | (high << 4));
  }
}

}  // namespace

bool can_quantize(DType type) {
  return type == DType::F32 || type == DType::F16 || type == DType::BF16 || type == DType::Q8_0 ||
         type == DType::Q4_0;
}

void quantize(DType type, const float* in, std::byte* out, std::size_t n) noexcept {
  const DTypeInfo& info = dtype_info(type);
  MINERVA_CHECK(can_quantize(type) && n % info.block == 0);
  if (n == 0) return;
  if (type == DType::F32) {
    std::memcpy(out, in, n * sizeof(float));
    return;
  }
  for (std::size_t i = 0; i < n; i += info.block, out += info.block_bytes) {
    switch (type) {
      case DType::F16:
        put_u16(out, float_to_half(in[i]));
        break;
      case DType::BF16:
        put_u16(out, float_to_bfloat16(in[i]));
        break;
      case DType::Q8_0:
        encode_q8_0(in + i, out);
        break;
      default:
        encode_q4_0(in + i, out);
    }
  }
}

}  // namespace minerva::formats
