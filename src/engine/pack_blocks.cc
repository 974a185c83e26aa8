#include "engine/pack_blocks.h"

#include <bit>
#include <cstring>

#include "formats/half.h"

namespace minerva::engine {
namespace {

using formats::DType;
using kernels::PackedKind;
using Bytes = const std::uint8_t*;

std::uint16_t load_u16(Bytes at) {
  std::uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
std::uint32_t load_u32(Bytes at) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
std::uint8_t byte(unsigned value) { return static_cast<std::uint8_t>(value); }

// Low nibbles are weights 0..15, high nibbles 16..31.
void read_nibbles(Bytes qs, std::uint8_t* codes) {
  for (int j = 0; j < 16; ++j) {
    codes[j] = qs[j] & 15;
    codes[j + 16] = qs[j] >> 4;
  }
}
void add_fifth_bits(std::uint32_t bits, std::uint8_t* codes) {
  for (int j = 0; j < 32; ++j) codes[j] = byte(codes[j] | (((bits >> j) & 1u) << 4));
}

void read_q4_0(Bytes in, Block32& out) {
  out.d = load_u16(in);
  read_nibbles(in + 2, out.codes);
}
void read_q4_1(Bytes in, Block32& out) {
  out.d = load_u16(in);
  out.m = load_u16(in + 2);
  read_nibbles(in + 4, out.codes);
}
void read_q5_0(Bytes in, Block32& out) {
  out.d = load_u16(in);
  read_nibbles(in + 6, out.codes);
  add_fifth_bits(load_u32(in + 2), out.codes);
}
void read_q5_1(Bytes in, Block32& out) {
  out.d = load_u16(in);
  out.m = load_u16(in + 2);
  read_nibbles(in + 8, out.codes);
  add_fifth_bits(load_u32(in + 4), out.codes);
}
void read_q8_0(Bytes in, Block32& out) {
  out.d = load_u16(in);
  for (int j = 0; j < 32; ++j) out.codes[j] = in[2 + j] ^ 0x80;  // int8 + 128
}

void read_affine4(Bytes in, Block32& out) {
  std::memcpy(&out.wide_d, in, 4);
  std::memcpy(&out.wide_m, in + 4, 4);
  read_nibbles(in + 8, out.codes);
}
void read_affine8(Bytes in, Block32& out) {
  std::memcpy(&out.wide_d, in, 4);
  std::memcpy(&out.wide_m, in + 4, 4);
  std::memcpy(out.codes, in + 8, 32);
}

void read_affine4_bf16(Bytes in, Block32& out) {
  out.d = load_u16(in);
  out.m = load_u16(in + 2);
  read_nibbles(in + 4, out.codes);
}
void read_affine8_bf16(Bytes in, Block32& out) {
  out.d = load_u16(in);
  out.m = load_u16(in + 2);
  std::memcpy(out.codes, in + 4, 32);
}

void read_iq4_nl(Bytes in, Block32& out) {
  out.wide_d = formats::half_to_float(load_u16(in));
  read_nibbles(in + 2, out.codes);
}
// 2^(e - 128), one less than E8M0 says because the table is doubled; 0 and 1 give subnormals.
void read_mxfp4(Bytes in, Block32& out) {
  const unsigned e = in[0];
  out.wide_d = std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1u) << 23);
  read_nibbles(in + 1, out.codes);
}

// Half h, two-bit plane j, weight l of 32: index 128h + 32j + l.
void read_q2_k(Bytes in, Block256& out) {
  for (int s = 0; s < 16; ++s) {
    out.s[s] = in[s] & 15;
    out.m[s] = in[s] >> 4;
  }
  Bytes qs = in + 16;
  for (int h = 0; h < 2; ++h) {
    for (int j = 0; j < 4; ++j) {
      for (int l = 0; l < 32; ++l) {
        out.codes[128 * h + 32 * j + l] = byte((qs[32 * h + l] >> (2 * j)) & 3);
      }
    }
  }
  out.d = load_u16(in + 80);
  out.dmin = load_u16(in + 82);
}

void read_q3_k(Bytes in, Block256& out) {
  Bytes hmask = in;
  Bytes qs = in + 32;
  Bytes sc = in + 96;
  for (int s = 0; s < 16; ++s) {
    const int low = s < 8 ? sc[s] & 15 : sc[s - 8] >> 4;
    const int high = (sc[8 + s % 4] >> (2 * (s / 4))) & 3;
    out.s[s] = static_cast<std::uint8_t>((low | (high << 4)) - 32);
  }
  for (int h = 0; h < 2; ++h) {
    for (int j = 0; j < 4; ++j) {
      for (int l = 0; l < 32; ++l) {
        // The mask's bit says "no offset": with the zero of 4 it is the third bit of the code.
        const unsigned low = (qs[32 * h + l] >> (2 * j)) & 3u;
        const unsigned high = (hmask[l] >> (4 * h + j)) & 1u;
        out.codes[128 * h + 32 * j + l] = byte(low | (high << 2));
      }
    }
  }
  out.d = load_u16(in + 108);
}

// Eight 6-bit scales and minima in 12 bytes (formats/dequantize.cc draws them).
void read_scale_min(Bytes sc, Block256& out) {
  for (int b = 0; b < 4; ++b) {
    out.s[b] = sc[b] & 63;
    out.m[b] = sc[b + 4] & 63;
    const unsigned low = sc[b + 8];  // of both, for block b + 4
    const unsigned high_s = sc[b] >> 6;
    const unsigned high_m = sc[b + 4] >> 6;
    out.s[b + 4] = byte((low & 15) | (high_s << 4));
    out.m[b + 4] = byte((low >> 4) | (high_m << 4));
  }
}
void read_q4_k(Bytes in, Block256& out) {
  out.d = load_u16(in);
  out.dmin = load_u16(in + 2);
  read_scale_min(in + 4, out);
  Bytes qs = in + 16;
  for (int c = 0; c < 4; ++c) {
    for (int l = 0; l < 32; ++l) {
      out.codes[64 * c + l] = qs[32 * c + l] & 15;
      out.codes[64 * c + 32 + l] = qs[32 * c + l] >> 4;
    }
  }
}
void read_q5_k(Bytes in, Block256& out) {
  out.d = load_u16(in);
  out.dmin = load_u16(in + 2);
  read_scale_min(in + 4, out);
  Bytes qh = in + 16;
  Bytes qs = in + 48;
  for (int c = 0; c < 4; ++c) {
    for (int l = 0; l < 32; ++l) {
      const unsigned bits = qh[l] >> (2 * c);
      out.codes[64 * c + l] = byte((qs[32 * c + l] & 15u) | ((bits & 1u) << 4));
      out.codes[64 * c + 32 + l] =
          byte(static_cast<unsigned>(qs[32 * c + l] >> 4) | (((bits >> 1) & 1u) << 4));
    }
  }
}

void read_q6_k(Bytes in, Block256& out) {
  Bytes ql = in;
  Bytes qh = in + 128;
  std::memcpy(out.s, in + 192, 16);
  for (int h = 0; h < 2; ++h) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int l = 0; l < 32; ++l) {
        const unsigned low = (ql[64 * h + 32 * (quarter % 2) + l] >> (4 * (quarter / 2))) & 15u;
        const unsigned high = (qh[32 * h + l] >> (2 * quarter)) & 3u;
        out.codes[128 * h + 32 * quarter + l] = byte(low | (high << 4));
      }
    }
  }
  out.d = load_u16(in + 208);
}

void read_iq4_xs(Bytes in, Block256& out) {
  out.d = load_u16(in);
  const int high = load_u16(in + 2);
  for (int b = 0; b < 8; ++b) {
    const int scale = ((in[4 + b / 2] >> (4 * (b % 2))) & 15) | (((high >> (2 * b)) & 3) << 4);
    out.s[b] = static_cast<std::uint8_t>(scale - 32);
    read_nibbles(in + 8 + 16 * b, out.codes + 32 * b);
  }
}

constexpr std::int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::int8_t kMxfp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

constexpr PackRule kRules[] = {
    {DType::Q4_0, PackedKind::Block4, 8, nullptr, read_q4_0, nullptr},
    {DType::Q4_1, PackedKind::Block4Min, 0, nullptr, read_q4_1, nullptr},
    {DType::Q5_0, PackedKind::Block8, 16, nullptr, read_q5_0, nullptr},
    {DType::Q5_1, PackedKind::Block8Min, 0, nullptr, read_q5_1, nullptr},
    {DType::Q8_0, PackedKind::Block8, 128, nullptr, read_q8_0, nullptr},
    {DType::IQ4_NL, PackedKind::Block4Lut, 128, kIq4Values, read_iq4_nl, nullptr},
    {DType::MXFP4, PackedKind::Block4Lut, 16, kMxfp4Values, read_mxfp4, nullptr},
    {DType::AFFINE4, PackedKind::Block4Wide, 0, nullptr, read_affine4, nullptr},
    {DType::AFFINE8, PackedKind::Block8Wide, 0, nullptr, read_affine8, nullptr},
    {DType::AFFINE4_BF16, PackedKind::Block4Brain, 0, nullptr, read_affine4_bf16, nullptr},
    {DType::AFFINE8_BF16, PackedKind::Block8Brain, 0, nullptr, read_affine8_bf16, nullptr},
    {DType::Q2_K, PackedKind::Super4Min16, 0, nullptr, nullptr, read_q2_k},
    {DType::Q3_K, PackedKind::Super4x16, 4, nullptr, nullptr, read_q3_k},
    {DType::Q4_K, PackedKind::Super4Min, 0, nullptr, nullptr, read_q4_k},
    {DType::Q5_K, PackedKind::Super8Min, 0, nullptr, nullptr, read_q5_k},
    {DType::Q6_K, PackedKind::Super8x16, 32, nullptr, nullptr, read_q6_k},
    {DType::IQ4_XS, PackedKind::Super4Lut, 128, kIq4Values, nullptr, read_iq4_xs},
};

}  // namespace

const PackRule* find_pack_rule(DType type) {
  for (const PackRule& rule : kRules) {
    if (rule.type == type) return &rule;
  }
  return nullptr;
}

}  // namespace minerva::engine
