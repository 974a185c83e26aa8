// Sixteen floats as plain C++: what every other instruction set must equal, and the only one that a
// processor without AVX2 runs. The functions' meaning is that of the same names in avx2/ and
// avx512/.
#pragma once

#include <cstddef>
#include <cstdint>

namespace minerva::kernels::scalar {
namespace {

struct V16 {
  float lane[16];
};

template <class Function>
inline V16 each_lane(Function function) {
  V16 out;
  for (int i = 0; i < 16; ++i) out.lane[i] = function(i);
  return out;
}

inline V16 splat(float a) {
  return each_lane([&](int) { return a; });
}
inline V16 load(const float* from) {
  return each_lane([&](int i) { return from[i]; });
}
// The first n lanes; the others are 0.
inline V16 load_part(const float* from, std::size_t n) {
  return each_lane([&](int i) { return static_cast<std::size_t>(i) < n ? from[i] : 0.0f; });
}
inline void store(float* to, V16 a) {
  for (int i = 0; i < 16; ++i) to[i] = a.lane[i];
}
inline void store_part(float* to, V16 a, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) to[i] = a.lane[i];
}
// Even and odd elements of 32 floats.
inline void load_pairs(const float* from, V16& even, V16& odd) {
  even = each_lane([&](int i) { return from[2 * i]; });
  odd = each_lane([&](int i) { return from[2 * i + 1]; });
}
inline void store_pairs(float* to, V16 even, V16 odd) {
  for (int i = 0; i < 16; ++i) {
    to[2 * i] = even.lane[i];
    to[2 * i + 1] = odd.lane[i];
  }
}

inline V16 add(V16 a, V16 b) {
  return each_lane([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline V16 sub(V16 a, V16 b) {
  return each_lane([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline V16 mul(V16 a, V16 b) {
  return each_lane([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline V16 div(V16 a, V16 b) {
  return each_lane([&](int i) { return a.lane[i] / b.lane[i]; });
}
inline V16 fma(V16 a, V16 b, V16 c) {
  return each_lane([&](int i) { return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]); });
}
// The second operand where either is NaN, as the x86 instructions do.
inline V16 max_of(V16 a, V16 b) {
  return each_lane([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline V16 min_of(V16 a, V16 b) {
  return each_lane([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline V16 select_less(V16 a, V16 b, V16 yes, V16 no) {
  return each_lane([&](int i) { return a.lane[i] < b.lane[i] ? yes.lane[i] : no.lane[i]; });
}
// Lanes [first, end) of a, `other` elsewhere.
inline V16 keep_lanes(V16 a, std::size_t first, std::size_t end, float other) {
  return each_lane([&](int i) {
    const auto lane = static_cast<std::size_t>(i);
    return lane >= first && lane < end ? a.lane[i] : other;
  });
}
inline std::uint32_t bits_of(float a) { return __builtin_bit_cast(std::uint32_t, a); }
inline float float_of(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }

inline V16 absolute(V16 a) {
  return each_lane([&](int i) { return float_of(bits_of(a.lane[i]) & 0x7fffffffu); });
}
inline V16 negate(V16 a) {
  return each_lane([&](int i) { return float_of(bits_of(a.lane[i]) ^ 0x80000000u); });
}
inline V16 with_sign_of(V16 magnitude, V16 sign) {
  return each_lane([&](int i) {
    return float_of(bits_of(magnitude.lane[i]) | (bits_of(sign.lane[i]) & 0x80000000u));
  });
}
// The larger of m and |a| as bit patterns: a NaN is larger than infinity and is not lost.
inline V16 larger_magnitude(V16 m, V16 a) {
  return each_lane([&](int i) {
    const std::uint32_t magnitude = bits_of(a.lane[i]) & 0x7fffffffu;
    return magnitude > bits_of(m.lane[i]) ? float_of(magnitude) : m.lane[i];
  });
}
inline float largest_magnitude(V16 m) {  // lanes from larger_magnitude
  std::uint32_t best = 0;
  for (int i = 0; i < 16; ++i) best = bits_of(m.lane[i]) > best ? bits_of(m.lane[i]) : best;
  return float_of(best);
}

// |a| < 2^22: adding 1.5 * 2^23 leaves no bit below 1, and the unit rounds halves to even.
inline V16 round_even(V16 a) {
  return each_lane([&](int i) { return (a.lane[i] + 12582912.0f) - 12582912.0f; });
}
// a * 2^n for whole n in [-152, 130], rounded once: the first of the two steps is exact.
inline V16 times_power_of_two(V16 a, V16 n) {
  return each_lane([&](int i) {
    const std::uint32_t whole = bits_of(n.lane[i] + 12582912.0f) - bits_of(12582912.0f);
    const auto half = static_cast<std::uint32_t>(static_cast<std::int32_t>(whole) >> 1);
    return a.lane[i] * float_of((half + 127) << 23) * float_of((whole - half + 127) << 23);
  });
}

// Halves in 8+8, 4+4, 2+2, 1+1: lane i takes lane i+8, then i+4, i+2, i+1.
inline float sum_lanes(V16 a) {
  for (int step = 8; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) a.lane[i] = a.lane[i] + a.lane[i + step];
  }
  return a.lane[0];
}
inline float max_lanes(V16 a) {
  for (int step = 8; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) {
      a.lane[i] = a.lane[i] > a.lane[i + step] ? a.lane[i] : a.lane[i + step];
    }
  }
  return a.lane[0];
}

inline float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t rest = half & 0x7fffu;
  if (rest >= 0x7c00u) return float_of(sign | 0x7f800000u | ((rest & 0x3ffu) << 13));
  // Exponent moved by 112 in the bits, which is wrong for subnormals only: they are rest * 2^-24.
  if (rest >= 0x0400u) return float_of(sign | ((rest << 13) + 0x38000000u));
  return float_of(sign | bits_of(static_cast<float>(rest) * 0x1p-24f));
}
inline std::uint16_t float_to_half(float a) {
  const std::uint32_t sign = (bits_of(a) >> 16) & 0x8000u;
  const std::uint32_t rest = bits_of(a) & 0x7fffffffu;
  std::uint32_t half = 0;
  if (rest > 0x7f800000u) {
    half = 0x7e00u | ((rest >> 13) & 0x3ffu);
  } else if (rest >= 0x477ff000u) {  // 65520 and above round to infinity
    half = 0x7c00u;
  } else if (rest >= 0x38800000u) {
    half = (rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1u)) >> 13;
  } else {
    // Adding 0.5 puts the unit in the last place at 2^-24, a subnormal half's.
    half = bits_of(float_of(rest) + 0.5f) - bits_of(0.5f);
  }
  return static_cast<std::uint16_t>(sign | half);
}
inline V16 load_half(const std::uint16_t* from) {
  return each_lane([&](int i) { return half_to_float(from[i]); });
}
inline V16 load_bfloat16(const std::uint16_t* from) {
  return each_lane([&](int i) { return float_of(static_cast<std::uint32_t>(from[i]) << 16); });
}
inline void store_half(std::uint16_t* to, V16 a) {
  for (int i = 0; i < 16; ++i) to[i] = float_to_half(a.lane[i]);
}

// Whole numbers of a (|a| <= 127) as bytes; their sum.
inline std::int32_t store_bytes(std::int8_t* to, V16 a) {
  std::int32_t sum = 0;
  for (int i = 0; i < 16; ++i) {
    to[i] = static_cast<std::int8_t>(a.lane[i]);
    sum += to[i];
  }
  return sum;
}

inline void prefetch(const void*) {}

}  // namespace
}  // namespace minerva::kernels::scalar
