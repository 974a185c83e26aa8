// Sixteen floats in one zmm register. scalar/lanes.h says what each function means.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace minerva::kernels::avx512 {
namespace {

using V16 = __m512;

// Bits 0 .. n-1, n <= 16.
inline __mmask16 first_lanes(std::size_t n) {
  return static_cast<__mmask16>((std::uint32_t{1} << n) - 1);
}

inline V16 splat(float a) { return _mm512_set1_ps(a); }
inline V16 load(const float* from) { return _mm512_loadu_ps(from); }
inline V16 load_part(const float* from, std::size_t n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), from);
}
inline void store(float* to, V16 a) { _mm512_storeu_ps(to, a); }
inline void store_part(float* to, V16 a, std::size_t n) {
  _mm512_mask_storeu_ps(to, first_lanes(n), a);
}
inline void load_pairs(const float* from, V16& even, V16& odd) {
  const V16 low = load(from);
  const V16 high = load(from + 16);
  const __m512i evens =
      _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  even = _mm512_permutex2var_ps(low, evens, high);
  odd = _mm512_permutex2var_ps(low, _mm512_add_epi32(evens, _mm512_set1_epi32(1)), high);
}
inline void store_pairs(float* to, V16 even, V16 odd) {
  const __m512i firsts = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  store(to, _mm512_permutex2var_ps(even, firsts, odd));
  store(to + 16, _mm512_permutex2var_ps(even, _mm512_add_epi32(firsts, _mm512_set1_epi32(8)), odd));
}

inline V16 add(V16 a, V16 b) { return _mm512_add_ps(a, b); }
inline V16 sub(V16 a, V16 b) { return _mm512_sub_ps(a, b); }
inline V16 mul(V16 a, V16 b) { return _mm512_mul_ps(a, b); }
inline V16 div(V16 a, V16 b) { return _mm512_div_ps(a, b); }
inline V16 fma(V16 a, V16 b, V16 c) { return _mm512_fmadd_ps(a, b, c); }
inline V16 max_of(V16 a, V16 b) { return _mm512_max_ps(a, b); }
inline V16 min_of(V16 a, V16 b) { return _mm512_min_ps(a, b); }
inline V16 select_less(V16 a, V16 b, V16 yes, V16 no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
inline V16 keep_lanes(V16 a, std::size_t first, std::size_t end, float other) {
  const std::uint32_t below_end = end < 16 ? (std::uint32_t{1} << end) - 1 : 0xffff;
  const std::uint32_t below_first = first < 16 ? (std::uint32_t{1} << first) - 1 : 0xffff;
  return _mm512_mask_blend_ps(static_cast<__mmask16>(below_end & ~below_first), splat(other), a);
}

inline V16 absolute(V16 a) { return _mm512_andnot_ps(splat(-0.0f), a); }
inline V16 negate(V16 a) { return _mm512_xor_ps(splat(-0.0f), a); }
inline V16 with_sign_of(V16 magnitude, V16 sign) {
  return _mm512_or_ps(magnitude, _mm512_and_ps(splat(-0.0f), sign));
}
inline V16 larger_magnitude(V16 m, V16 a) {
  return _mm512_castsi512_ps(
      _mm512_max_epu32(_mm512_castps_si512(m), _mm512_castps_si512(absolute(a))));
}
inline float largest_magnitude(V16 m) {
  const __m512i bits = _mm512_castps_si512(m);
  __m256i a = _mm256_max_epu32(_mm512_castsi512_si256(bits), _mm512_extracti64x4_epi64(bits, 1));
  __m128i b = _mm_max_epu32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  b = _mm_max_epu32(b, _mm_shuffle_epi32(b, 0x4e));
  b = _mm_max_epu32(b, _mm_shuffle_epi32(b, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(b));
}

inline V16 round_even(V16 a) {
  return _mm512_sub_ps(_mm512_add_ps(a, splat(12582912.0f)), splat(12582912.0f));
}
// One rounding, as the two steps of scalar/.
inline V16 times_power_of_two(V16 a, V16 n) { return _mm512_scalef_ps(a, n); }

inline float sum_lanes(V16 a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float max_lanes(V16 a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// vcvtph2ps keeps subnormal halves whatever the mode.
inline V16 load_half(const std::uint16_t* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline V16 load_bfloat16(const std::uint16_t* from) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
inline void store_half(std::uint16_t* to, V16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

inline std::int32_t store_bytes(std::int8_t* to, V16 a) {
  const __m512i whole = _mm512_cvtps_epi32(a);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(whole));
  const __m256i eight =
      _mm256_add_epi32(_mm512_castsi512_si256(whole), _mm512_extracti64x4_epi64(whole, 1));
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

inline void prefetch(const void* at) { _mm_prefetch(static_cast<const char*>(at), _MM_HINT_T0); }

}  // namespace
}  // namespace minerva::kernels::avx512
