// Sixteen floats in two ymm registers, lanes 0-7 and 8-15. scalar/lanes.h says what each function
// means.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace minerva::kernels::avx2 {
namespace {

struct V16 {
  __m256 low, high;
};

inline V16 splat(float a) { return {_mm256_set1_ps(a), _mm256_set1_ps(a)}; }
inline V16 load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
inline void store(float* to, V16 a) {
  _mm256_storeu_ps(to, a.low);
  _mm256_storeu_ps(to + 8, a.high);
}
inline V16 load_part(const float* from, std::size_t n) {
  float padded[16] = {};
  __builtin_memcpy(padded, from, n * sizeof(float));
  return load(padded);
}
inline void store_part(float* to, V16 a, std::size_t n) {
  float all[16];
  store(all, a);
  __builtin_memcpy(to, all, n * sizeof(float));
}
// Of 16 floats: the even ones in the lower half, the odd ones in the upper.
inline __m256 split_pairs(const float* from) {
  return _mm256_permutevar8x32_ps(_mm256_loadu_ps(from), _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}
inline void load_pairs(const float* from, V16& even, V16& odd) {
  const __m256 a = split_pairs(from);
  const __m256 b = split_pairs(from + 8);
  const __m256 c = split_pairs(from + 16);
  const __m256 d = split_pairs(from + 24);
  even = {_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(c, d, 0x20)};
  odd = {_mm256_permute2f128_ps(a, b, 0x31), _mm256_permute2f128_ps(c, d, 0x31)};
}
inline void store_pairs(float* to, __m256 even, __m256 odd) {
  const __m256 low = _mm256_unpacklo_ps(even, odd);   // pairs 0 1 | 4 5
  const __m256 high = _mm256_unpackhi_ps(even, odd);  // pairs 2 3 | 6 7
  _mm256_storeu_ps(to, _mm256_permute2f128_ps(low, high, 0x20));
  _mm256_storeu_ps(to + 8, _mm256_permute2f128_ps(low, high, 0x31));
}
inline void store_pairs(float* to, V16 even, V16 odd) {
  store_pairs(to, even.low, odd.low);
  store_pairs(to + 16, even.high, odd.high);
}

inline V16 add(V16 a, V16 b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline V16 sub(V16 a, V16 b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline V16 mul(V16 a, V16 b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline V16 div(V16 a, V16 b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
inline V16 fma(V16 a, V16 b, V16 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline V16 max_of(V16 a, V16 b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
inline V16 min_of(V16 a, V16 b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
inline V16 select_less(V16 a, V16 b, V16 yes, V16 no) {
  return {_mm256_blendv_ps(no.low, yes.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.high, yes.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
}
inline __m256 keep_lanes(__m256 a, __m256i lanes, __m256i first, __m256i end, __m256 other) {
  const __m256i keep =
      _mm256_andnot_si256(_mm256_cmpgt_epi32(first, lanes), _mm256_cmpgt_epi32(end, lanes));
  return _mm256_blendv_ps(other, a, _mm256_castsi256_ps(keep));
}
inline V16 keep_lanes(V16 a, std::size_t first, std::size_t end, float other) {
  const __m256i f = _mm256_set1_epi32(first < 16 ? static_cast<std::int32_t>(first) : 16);
  const __m256i e = _mm256_set1_epi32(end < 16 ? static_cast<std::int32_t>(end) : 16);
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i upper = _mm256_add_epi32(lanes, _mm256_set1_epi32(8));
  return {keep_lanes(a.low, lanes, f, e, _mm256_set1_ps(other)),
          keep_lanes(a.high, upper, f, e, _mm256_set1_ps(other))};
}

inline V16 absolute(V16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
inline V16 negate(V16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(sign, a.low), _mm256_xor_ps(sign, a.high)};
}
inline V16 with_sign_of(V16 magnitude, V16 sign) {
  const __m256 bit = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(magnitude.low, _mm256_and_ps(bit, sign.low)),
          _mm256_or_ps(magnitude.high, _mm256_and_ps(bit, sign.high))};
}
inline __m256 larger_bits(__m256 a, __m256 b) {
  return _mm256_castsi256_ps(_mm256_max_epu32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
inline V16 larger_magnitude(V16 m, V16 a) {
  const V16 magnitude = absolute(a);
  return {larger_bits(m.low, magnitude.low), larger_bits(m.high, magnitude.high)};
}
inline float largest_magnitude(V16 m) {
  const __m256i a = _mm256_castps_si256(larger_bits(m.low, m.high));
  __m128i b = _mm_max_epu32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  b = _mm_max_epu32(b, _mm_shuffle_epi32(b, 0x4e));
  b = _mm_max_epu32(b, _mm_shuffle_epi32(b, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(b));
}

inline V16 round_even(V16 a) { return sub(add(a, splat(12582912.0f)), splat(12582912.0f)); }
// The two steps of scalar/.
inline __m256 times_power_of_two(__m256 a, __m256 n) {
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(a, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}
inline V16 times_power_of_two(V16 a, V16 n) {
  return {times_power_of_two(a.low, n.low), times_power_of_two(a.high, n.high)};
}

inline float sum_lanes(V16 a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float max_lanes(V16 a) {
  const __m256 eight = _mm256_max_ps(a.low, a.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

inline __m128i load_eight(const std::uint16_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
// vcvtph2ps keeps subnormal halves whatever the mode.
inline V16 load_half(const std::uint16_t* from) {
  return {_mm256_cvtph_ps(load_eight(from)), _mm256_cvtph_ps(load_eight(from + 8))};
}
inline __m256 widen_bfloat16(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline V16 load_bfloat16(const std::uint16_t* from) {
  return {widen_bfloat16(load_eight(from)), widen_bfloat16(load_eight(from + 8))};
}
inline void store_half(std::uint16_t* to, V16 a) {
  constexpr int kNearestEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(a.low, kNearestEven));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 8), _mm256_cvtps_ph(a.high, kNearestEven));
}

inline std::int32_t store_bytes(std::int8_t* to, V16 a) {
  const __m256i low = _mm256_cvtps_epi32(a.low);
  const __m256i high = _mm256_cvtps_epi32(a.high);
  // Packing works within halves: 0-3 8-11 | 4-7 12-15 as 16 bits, put in order, then as bytes.
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(to),
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
  const __m256i eight = _mm256_add_epi32(low, high);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

inline void prefetch(const void* at) { _mm_prefetch(static_cast<const char*>(at), _MM_HINT_T0); }

}  // namespace
}  // namespace minerva::kernels::avx2
