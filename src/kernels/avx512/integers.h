// The integer half of the quantised product: vpdpbusd multiplies four unsigned codes of each of 16
// rows by four signed activations and adds them to the row's 32-bit lane. It never saturates.
#pragma once

#include "kernels/avx512/lanes.h"
#include "kernels/packed.h"

namespace minerva::kernels::avx512 {
namespace {

using I16 = __m512i;
using Four = __m512i;   // four activations, in every lane
using Codes = __m512i;  // four codes of 16 rows

inline I16 splat_integer(std::int32_t a) { return _mm512_set1_epi32(a); }
inline I16 load_bytes(const std::uint8_t* from) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline I16 load_bytes(const std::int8_t* from) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline I16 multiply_add(I16 a, I16 b, I16 c) {
  return _mm512_add_epi32(_mm512_mullo_epi32(a, b), c);
}
inline V16 to_float(I16 a) { return _mm512_cvtepi32_ps(a); }

inline Four load_four(const std::int8_t* from) {
  std::int32_t four;
  __builtin_memcpy(&four, from, 4);
  return _mm512_set1_epi32(four);
}

template <PackedKind kind>
struct CodeReader {
  explicit CodeReader(const QuantMatrix& w)
      : table(_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w.table)))) {}

  template <int group>
  Codes read(const std::uint8_t* block) const {
    if constexpr (traits(kind).wide_codes) {
      return _mm512_loadu_si512(block + 64 * group);
    } else {
      Codes codes = _mm512_loadu_si512(block + 64 * (group / 2));
      if constexpr (group % 2 == 1) codes = _mm512_srli_epi16(codes, 4);
      codes = _mm512_and_si512(codes, _mm512_set1_epi8(15));
      if constexpr (traits(kind).table) codes = _mm512_shuffle_epi8(table, codes);
      return codes;
    }
  }

  Codes table;
};

// What reading takes off the codes of a kind with a minimum, which the caller gives back.
template <PackedKind>
inline constexpr std::int32_t kCodeShift = 0;

template <PackedKind kind>
struct SubSum {
  void start(std::int32_t at) { sum = splat_integer(at); }
  void dot(Codes codes, Four x) { sum = _mm512_dpbusd_epi32(sum, codes, x); }
  I16 total(std::int32_t) const { return sum; }
  I16 sum;
};

#if defined(MINERVA_SMALL_TILES)
inline constexpr int kTilePanels = 1;
inline constexpr int kTileTokens = 1;
#else
inline constexpr int kTilePanels = 2;
inline constexpr int kTileTokens = 8;
#endif
// Zen 5: 38 GB/s of a core's 40 at 4 KB ahead, 33 at 1 KB, 20-35 without (huge pages).
inline constexpr std::size_t kPrefetchBytes = 4096;

}  // namespace
}  // namespace minerva::kernels::avx512
