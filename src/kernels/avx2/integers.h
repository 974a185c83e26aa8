// The integer half of the quantised product with AVX2. vpmaddubsw adds two products of an unsigned
// and a signed byte in 16 bits, and saturates: so every use below says why it cannot.
#pragma once

#include "kernels/avx2/lanes.h"
#include "kernels/packed.h"

namespace minerva::kernels::avx2 {
namespace {

struct I16 {
  __m256i low, high;
};
using Four = __m256i;  // four activations, in every lane

inline I16 splat_integer(std::int32_t a) { return {_mm256_set1_epi32(a), _mm256_set1_epi32(a)}; }
inline __m128i load_eight_bytes(const void* from) {
  return _mm_loadl_epi64(static_cast<const __m128i*>(from));
}
inline I16 load_bytes(const std::uint8_t* from) {
  return {_mm256_cvtepu8_epi32(load_eight_bytes(from)),
          _mm256_cvtepu8_epi32(load_eight_bytes(from + 8))};
}
inline I16 load_bytes(const std::int8_t* from) {
  return {_mm256_cvtepi8_epi32(load_eight_bytes(from)),
          _mm256_cvtepi8_epi32(load_eight_bytes(from + 8))};
}
inline I16 multiply_add(I16 a, I16 b, I16 c) {
  return {_mm256_add_epi32(_mm256_mullo_epi32(a.low, b.low), c.low),
          _mm256_add_epi32(_mm256_mullo_epi32(a.high, b.high), c.high)};
}
inline V16 to_float(I16 a) { return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)}; }

inline Four load_four(const std::int8_t* from) {
  std::int32_t four;
  __builtin_memcpy(&four, from, 4);
  return _mm256_set1_epi32(four);
}

// How a kind's codes are multiplied.
//   Nibble  codes <= 15: a pair of products is at most 2 * 15 * 127 = 3810, so the eight of a block
//           of 32 are added in 16 bits (30480 <= 32767) and widened once
//   Small   codes <= 63: a pair is at most 2 * 63 * 127 = 16002; widened at once
//   Signed  value = code - zero, |value| <= 128: |value| is the unsigned operand and the activation
//           takes its sign; a pair is at most 2 * 128 * 127 = 32512; widened at once. Codes of
//           Block8Wide and Block8Brain go to 255: 128 is taken off them, and the sum gets it back
//           (kCodeShift)
enum class Multiply : std::uint8_t { Nibble, Small, Signed };
constexpr Multiply multiply_of(PackedKind kind) {
  if (kind == PackedKind::Block8 || kind == PackedKind::Block4Lut ||
      kind == PackedKind::Super4Lut || kind == PackedKind::Block8Wide ||
      kind == PackedKind::Block8Brain) {
    return Multiply::Signed;
  }
  return kind == PackedKind::Block8Min || kind == PackedKind::Super8Min ||
                 kind == PackedKind::Super8x16
             ? Multiply::Small
             : Multiply::Nibble;
}

template <PackedKind kind>
inline constexpr std::int32_t kCodeShift =
    kind == PackedKind::Block8Wide || kind == PackedKind::Block8Brain ? 128 : 0;

struct Codes {
  __m256i low, high;  // rows 0-7 and 8-15: codes, or signed values
};

template <PackedKind kind>
struct CodeReader {
  explicit CodeReader(const QuantMatrix& w)
      : zero(_mm256_set1_epi8(static_cast<char>(w.zero + kCodeShift<kind>))),
        table(_mm256_broadcastsi128_si256(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(w.table)))) {
    if constexpr (traits(kind).table) table = _mm256_sub_epi8(table, zero);
  }

  template <int group>
  Codes read(const std::uint8_t* block) const {
    return {half<group>(block), half<group>(block + 32)};
  }

  template <int group>
  __m256i half(const std::uint8_t* block) const {
    constexpr int kLine = traits(kind).wide_codes ? group : group / 2;
    __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + 64 * kLine));
    if constexpr (!traits(kind).wide_codes) {
      if constexpr (group % 2 == 1) codes = _mm256_srli_epi16(codes, 4);
      codes = _mm256_and_si256(codes, _mm256_set1_epi8(15));
    }
    if constexpr (traits(kind).table) {
      codes = _mm256_shuffle_epi8(table, codes);
    } else if constexpr (multiply_of(kind) == Multiply::Signed) {
      codes = _mm256_sub_epi8(codes, zero);  // wraps to the signed value
    }
    return codes;
  }

  __m256i zero;
  __m256i table;
};

template <PackedKind kind>
struct SubSum {
  static constexpr Multiply kMultiply = multiply_of(kind);

  void start(std::int32_t) { sum = {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  void dot(Codes codes, Four x) {
    sum.low = dot_half(sum.low, codes.low, x);
    sum.high = dot_half(sum.high, codes.high, x);
  }
  // `start` is -zero * sum(activations), which signed values need not, or what kCodeShift took.
  I16 total(std::int32_t start) const {
    I16 out = sum;
    if constexpr (kMultiply == Multiply::Nibble) {
      const __m256i ones = _mm256_set1_epi16(1);
      out = {_mm256_madd_epi16(sum.low, ones), _mm256_madd_epi16(sum.high, ones)};
    }
    if constexpr ((kMultiply != Multiply::Signed && !traits(kind).minimum) ||
                  kCodeShift<kind> != 0) {
      const __m256i shift = _mm256_set1_epi32(start);
      out = {_mm256_add_epi32(out.low, shift), _mm256_add_epi32(out.high, shift)};
    }
    return out;
  }

  static __m256i dot_half(__m256i to, __m256i codes, __m256i x) {
    if constexpr (kMultiply == Multiply::Nibble) {
      return _mm256_add_epi16(to, _mm256_maddubs_epi16(codes, x));
    } else {
      __m256i pairs;
      if constexpr (kMultiply == Multiply::Signed) {
        pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes));
      } else {
        pairs = _mm256_maddubs_epi16(codes, x);
      }
      return _mm256_add_epi32(to, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
  }

  I16 sum;  // 32 bits a row; Nibble: pairs of 16
};

#if defined(MINERVA_SMALL_TILES)
inline constexpr int kTilePanels = 1;
inline constexpr int kTileTokens = 1;
#else
inline constexpr int kTilePanels = 1;
inline constexpr int kTileTokens = 4;
#endif
inline constexpr std::size_t kPrefetchBytes = 4096;

}  // namespace
}  // namespace minerva::kernels::avx2
