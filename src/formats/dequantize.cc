#include "formats/dequantize.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/check.h"

// The order of the float operations is part of the contract: scale x sub-scale first, then the
// weight's code, then the minimum. The build forbids fusing them (-ffp-contract=off).
namespace minerva::formats {
namespace {

static_assert(std::endian::native == std::endian::little,
              "blocks are read as they lie in the file");

using Bytes = const std::uint8_t*;

std::uint16_t load_u16(Bytes at) {
  std::uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
float load_half(Bytes at) { return half_to_float(load_u16(at)); }
float as_float(int value) { return static_cast<float>(value); }

// Types of 32 weights keep weight j in the low nibble of qs[j] and weight j + 16 in the high one.
constexpr int kHalfBlock = 16;

void decode_q4_0(Bytes in, float* out) {
  const float d = load_half(in);
  Bytes qs = in + 2;
  for (int j = 0; j < kHalfBlock; ++j) {
    out[j] = d * as_float((qs[j] & 15) - 8);
    out[j + kHalfBlock] = d * as_float((qs[j] >> 4) - 8);
  }
}

void decode_q4_1(Bytes in, float* out) {
  const float d = load_half(in);
  const float m = load_half(in + 2);
  Bytes qs = in + 4;
  for (int j = 0; j < kHalfBlock; ++j) {
    out[j] = d * as_float(qs[j] & 15) + m;
    out[j + kHalfBlock] = d * as_float(qs[j] >> 4) + m;
  }
}

float load_float(Bytes at) {
  float value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

void affine4(float d, float m, Bytes qs, float* out) {
  for (int j = 0; j < kHalfBlock; ++j) {
    out[j] = d * as_float(qs[j] & 15) + m;
    out[j + kHalfBlock] = d * as_float(qs[j] >> 4) + m;
  }
}

void affine8(float d, float m, Bytes codes, float* out) {
  for (int j = 0; j < 32; ++j) out[j] = d * as_float(codes[j]) + m;
}

void decode_affine4(Bytes in, float* out) {
  affine4(load_float(in), load_float(in + 4), in + 8, out);
}
void decode_affine8(Bytes in, float* out) {
  affine8(load_float(in), load_float(in + 4), in + 8, out);
}
void decode_affine4_bf16(Bytes in, float* out) {
  affine4(bfloat16_to_float(load_u16(in)), bfloat16_to_float(load_u16(in + 2)), in + 4, out);
}
void decode_affine8_bf16(Bytes in, float* out) {
  affine8(bfloat16_to_float(load_u16(in)), bfloat16_to_float(load_u16(in + 2)), in + 4, out);
}

// The fifth bits lie apart: bit j of qh belongs to weight j.
int fifth_bit(std::uint32_t qh, int j) { return static_cast<int>((qh >> j) & 1u) << 4; }

std::uint32_t load_u32(Bytes at) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

void decode_q5_0(Bytes in, float* out) {
  const float d = load_half(in);
  const std::uint32_t qh = load_u32(in + 2);
  Bytes qs = in + 6;
  for (int j = 0; j < kHalfBlock; ++j) {
    out[j] = d * as_float(((qs[j] & 15) | fifth_bit(qh, j)) - 16);
    out[j + kHalfBlock] = d * as_float(((qs[j] >> 4) | fifth_bit(qh, j + kHalfBlock)) - 16);
  }
}

void decode_q5_1(Bytes in, float* out) {
  const float d = load_half(in);
  const float m = load_half(in + 2);
  const std::uint32_t qh = load_u32(in + 4);
  Bytes qs = in + 8;
  for (int j = 0; j < kHalfBlock; ++j) {
    out[j] = d * as_float((qs[j] & 15) | fifth_bit(qh, j)) + m;
    out[j + kHalfBlock] = d * as_float((qs[j] >> 4) | fifth_bit(qh, j + kHalfBlock)) + m;
  }
}

void decode_q8_0(Bytes in, float* out) {
  const float d = load_half(in);
  for (int j = 0; j < 32; ++j) out[j] = d * as_float(static_cast<std::int8_t>(in[2 + j]));
}

constexpr std::int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};
// E2M1 doubled, so that every value is an integer. Code 8 is minus zero in the format's paper; the
// reference decoder gives plus zero.
constexpr std::int8_t kMxfp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void decode_table(float d, const std::int8_t (&table)[16], Bytes qs, float* out) {
  for (int j = 0; j < kHalfBlock; ++j) {
    out[j] = d * as_float(table[qs[j] & 15]);
    out[j + kHalfBlock] = d * as_float(table[qs[j] >> 4]);
  }
}

void decode_iq4_nl(Bytes in, float* out) { decode_table(load_half(in), kIq4Values, in + 2, out); }

// 2^(e - 128): one less than E8M0 says, since the table's values are doubled. The two smallest are
// subnormal floats.
float mxfp4_scale(std::uint8_t e) {
  const std::uint32_t bits = e < 2 ? 0x00200000u << e : (e - 1u) << 23;
  return std::bit_cast<float>(bits);
}

void decode_mxfp4(Bytes in, float* out) {
  decode_table(mxfp4_scale(in[0]), kMxfp4Values, in + 1, out);
}

// Types of 256 weights: half h of 128, two-bit plane j of 32 weights l.
void decode_q2_k(Bytes in, float* out) {
  Bytes scales = in;
  Bytes qs = in + 16;
  const float d = load_half(in + 80);
  const float dmin = load_half(in + 82);
  for (int h = 0; h < 2; ++h) {
    for (int j = 0; j < 4; ++j) {
      for (int l = 0; l < 32; ++l) {
        const int sc = scales[8 * h + 2 * j + l / 16];
        const float scale = d * as_float(sc & 15);
        const float min = dmin * as_float(sc >> 4);
        *out++ = scale * as_float((qs[32 * h + l] >> (2 * j)) & 3) - min;
      }
    }
  }
}

// Sixteen 6-bit scales in 12 bytes: low nibbles of 0..7 and 8..15 share the first eight bytes, the
// upper two bits of scales s, s+4, s+8, s+12 share byte 8 + s % 4.
int q3_k_scale(Bytes sc, int s) {
  const int low = s < 8 ? sc[s] & 15 : sc[s - 8] >> 4;
  const int high = (sc[8 + s % 4] >> (2 * (s / 4))) & 3;
  return (low | (high << 4)) - 32;
}

void decode_q3_k(Bytes in, float* out) {
  Bytes hmask = in;
  Bytes qs = in + 32;
  Bytes sc = in + 96;
  const float d = load_half(in + 108);
  for (int h = 0; h < 2; ++h) {
    for (int j = 0; j < 4; ++j) {
      for (int l = 0; l < 32; ++l) {
        const float scale = d * as_float(q3_k_scale(sc, 8 * h + 2 * j + l / 16));
        const int low = (qs[32 * h + l] >> (2 * j)) & 3;
        // A set bit means "no offset".
        const int offset = ((hmask[l] >> (4 * h + j)) & 1) != 0 ? 0 : 4;
        *out++ = scale * as_float(low - offset);
      }
    }
  }
}

struct ScaleMin {
  int scale;
  int min;
};

// Eight 6-bit scales and minima in 12 bytes, as Q4_K and Q5_K pack them:
//   byte 0..3   s4..7 bits 5:4 | scale 0..3
//   byte 4..7   m4..7 bits 5:4 | min 0..3
//   byte 8..11  m4..7 bits 3:0 | s4..7 bits 3:0
ScaleMin q4_k_scale_min(Bytes sc, int b) {
  if (b < 4) return {sc[b] & 63, sc[b + 4] & 63};
  return {(sc[b + 4] & 15) | ((sc[b - 4] >> 6) << 4), (sc[b + 4] >> 4) | ((sc[b] >> 6) << 4)};
}

void decode_q4_k(Bytes in, float* out) {
  const float d = load_half(in);
  const float dmin = load_half(in + 2);
  Bytes qs = in + 16;
  for (int b = 0; b < 8; ++b) {
    const ScaleMin sm = q4_k_scale_min(in + 4, b);
    const float scale = d * as_float(sm.scale);
    const float min = dmin * as_float(sm.min);
    for (int l = 0; l < 32; ++l) {
      *out++ = scale * as_float((qs[32 * (b / 2) + l] >> (4 * (b % 2))) & 15) - min;
    }
  }
}

void decode_q5_k(Bytes in, float* out) {
  const float d = load_half(in);
  const float dmin = load_half(in + 2);
  Bytes qh = in + 16;
  Bytes qs = in + 48;
  for (int b = 0; b < 8; ++b) {
    const ScaleMin sm = q4_k_scale_min(in + 4, b);
    const float scale = d * as_float(sm.scale);
    const float min = dmin * as_float(sm.min);
    for (int l = 0; l < 32; ++l) {
      const int low = (qs[32 * (b / 2) + l] >> (4 * (b % 2))) & 15;
      *out++ = scale * as_float(low | (((qh[l] >> b) & 1) << 4)) - min;
    }
  }
}

void decode_q6_k(Bytes in, float* out) {
  Bytes ql = in;
  Bytes qh = in + 128;
  Bytes sc = in + 192;
  const float d = load_half(in + 208);
  for (int h = 0; h < 2; ++h) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int l = 0; l < 32; ++l) {
        const float scale =
            d * as_float(static_cast<std::int8_t>(sc[8 * h + 2 * quarter + l / 16]));
        const int low = (ql[64 * h + 32 * (quarter % 2) + l] >> (4 * (quarter / 2))) & 15;
        const int high = (qh[32 * h + l] >> (2 * quarter)) & 3;
        *out++ = scale * as_float((low | (high << 4)) - 32);
      }
    }
  }
}

void decode_iq4_xs(Bytes in, float* out) {
  const float d = load_half(in);
  const int high = load_u16(in + 2);
  Bytes low = in + 4;
  Bytes qs = in + 8;
  for (int b = 0; b < 8; ++b) {
    const int scale = ((low[b / 2] >> (4 * (b % 2))) & 15) | (((high >> (2 * b)) & 3) << 4);
    decode_table(d * as_float(scale - 32), kIq4Values, qs + 16 * b, out + 32 * b);
  }
}

void decode_f16(Bytes in, float* out) { *out = load_half(in); }
void decode_bf16(Bytes in, float* out) { *out = bfloat16_to_float(load_u16(in)); }

template <void (*decode)(Bytes, float*), std::size_t block, std::size_t block_bytes>
void decode_all(Bytes in, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n / block; ++i) decode(in + i * block_bytes, out + i * block);
}

}  // namespace

void dequantize(DType type, const std::byte* blocks, float* out, std::size_t n) noexcept {
  const DTypeInfo& info = dtype_info(type);
  MINERVA_CHECK(info.decodable && n % info.block == 0);
  const auto in = reinterpret_cast<Bytes>(blocks);
  switch (type) {
    case DType::F32:
      if (n != 0) std::memcpy(out, in, n * sizeof(float));
      return;
    case DType::F16:
      return decode_all<decode_f16, 1, 2>(in, out, n);
    case DType::BF16:
      return decode_all<decode_bf16, 1, 2>(in, out, n);
    case DType::Q4_0:
      return decode_all<decode_q4_0, 32, 18>(in, out, n);
    case DType::Q4_1:
      return decode_all<decode_q4_1, 32, 20>(in, out, n);
    case DType::Q5_0:
      return decode_all<decode_q5_0, 32, 22>(in, out, n);
    case DType::Q5_1:
      return decode_all<decode_q5_1, 32, 24>(in, out, n);
    case DType::Q8_0:
      return decode_all<decode_q8_0, 32, 34>(in, out, n);
    case DType::IQ4_NL:
      return decode_all<decode_iq4_nl, 32, 18>(in, out, n);
    case DType::MXFP4:
      return decode_all<decode_mxfp4, 32, 17>(in, out, n);
    case DType::AFFINE4:
      return decode_all<decode_affine4, 32, 24>(in, out, n);
    case DType::AFFINE8:
      return decode_all<decode_affine8, 32, 40>(in, out, n);
    case DType::AFFINE4_BF16:
      return decode_all<decode_affine4_bf16, 32, 20>(in, out, n);
    case DType::AFFINE8_BF16:
      return decode_all<decode_affine8_bf16, 32, 36>(in, out, n);
    case DType::Q2_K:
      return decode_all<decode_q2_k, 256, 84>(in, out, n);
    case DType::Q3_K:
      return decode_all<decode_q3_k, 256, 110>(in, out, n);
    case DType::Q4_K:
      return decode_all<decode_q4_k, 256, 144>(in, out, n);
    case DType::Q5_K:
      return decode_all<decode_q5_k, 256, 176>(in, out, n);
    case DType::Q6_K:
      return decode_all<decode_q6_k, 256, 210>(in, out, n);
    case DType::IQ4_XS:
      return decode_all<decode_iq4_xs, 256, 136>(in, out, n);
    default:
      return;  // not decodable: refused above
  }
}

}  // namespace minerva::formats
