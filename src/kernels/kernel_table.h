// The kernels of one instruction set, as a table of functions. scalar/, avx2/ and avx512/ fill one
// each; which one runs is chosen once, at start. All give the same bits (docs/numerics.md): integer
// sums are exact in any order, and every float operation below is written to one order.
//
// Thread rule: functions only touch what they are given; callers split tokens or panels between
// threads. None allocates, throws or locks. Pointers need no alignment unless said (planes of
// packed matrices are 64-byte aligned). Sizes may have any tail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/packed.h"

namespace minerva::kernels {

enum class Isa : std::uint8_t { Scalar, Avx2, Avx512 };

// K and V of 32 positions of one layer and one KV head, in f16:
//   k  [head_dim][32 positions]   positions are lanes: a score needs no horizontal sum
//   v  [32 positions][head_dim]
inline constexpr std::size_t kPagePositions = 32;
inline constexpr std::size_t kRangePositions = 256;  // one absolute range of the online softmax

// What rounding to f16 took from them (x - f16(x), again in f16) may be in pages of the same shape.
struct KvPage {
  const std::uint16_t* k = nullptr;
  const std::uint16_t* v = nullptr;
  const std::uint16_t* k_rest = nullptr;  // with AttendArgs::with_rest
  const std::uint16_t* v_rest = nullptr;
};

// Attention of `heads` query heads (one KV head's group) of one token over one absolute range of
// 256 positions, pages[0..8). Only positions [first, end) of the range (0 <= first < end <= 256)
// are visible; pages that hold none of them may be null.
//   k[d][t] = k page, or k page + k_rest page (one addition in f32); v likewise
//   s[t] = softcap(scale * sum over d ascending, by fma, of q[d]*k[d][t])
//   range_max = max s;  p[t] = exp(s[t] - range_max)
//   range_sum: 16 lanes (lane = t % 16, t ascending), then the fixed tree of docs/numerics.md
//   range_acc[d] = sum over t ascending, by fma, of p[t]*v[t][d]
// and then the range is merged into the running state (max, sum, acc):
//   m = max(max, range_max); a = exp(max - m); b = exp(range_max - m)
//   sum = sum*a + range_sum*b (mul, then fma); acc[d] = acc[d]*a + range_acc[d]*b (mul, then fma)
// A state that is empty (max = -inf) is replaced. The caller visits ranges in ascending order and
// divides acc by sum at the end.
struct AttendArgs {
  const float* q = nullptr;  // [heads][head_dim]
  std::size_t heads = 0;
  std::size_t head_dim = 0;  // a multiple of 16
  const KvPage* pages = nullptr;
  std::size_t first = 0;
  std::size_t end = 0;
  float scale = 1;
  float softcap = 0;     // 0: none; else cap * tanh(s / cap)
  float* max = nullptr;  // [heads]
  float* sum = nullptr;  // [heads]
  float* acc = nullptr;  // [heads][head_dim]
  bool with_rest = false;
};

// One token of the gated delta rule on one head's state S, which remembers a value for each key:
//   seen[j] = sum over i ascending, by fma from 0, of (S[i][j] * decay) * k[i]
//   change[j] = (v[j] - seen[j]) * beta
//   S[i][j] = fma(k[i], change[j], S[i][j] * decay)
//   out[j] = sum over i ascending, by fma from 0, of S[i][j] * q[i]
struct DeltaArgs {
  float* state = nullptr;  // [key_dim][value_dim]
  std::size_t key_dim = 0;
  std::size_t value_dim = 0;
  const float* q = nullptr;  // [key_dim]
  const float* k = nullptr;  // [key_dim]
  const float* v = nullptr;  // [value_dim]
  float decay = 1;
  float beta = 1;
  float* out = nullptr;  // [value_dim]
};

// Of an activation that is learnt (kernel xielu).
struct XieluFactors {
  float positive = 0;
  float negative = 0;
  float beta = 0;
  float edge = 0;
};

struct KernelTable {
  Isa isa = Isa::Scalar;
  std::string_view name;  // "scalar", "avx2", "avx512"

  // --- matrices ---
  // out[t][row] for tokens [0, x.tokens) and the rows of panels [panel_begin, panel_end). `out`
  // points to token 0, row 0; a row of out has out_stride >= rows_padded floats, and the padding
  // rows are written too.
  //   Block kinds, blocks of 32 in ascending k, one accumulator, from 0:
  //     acc = fma(float(sum((code - zero) * q)), d * xs, acc)
  //     then, with a minimum: acc = fma(float(sum(q)) * xs, m, acc)
  //   Super kinds, super-blocks of 256 in ascending k:
  //     acc = fma(float(sum over subs of s * sum((code - zero) * q)), d * xs, acc)
  //     then, with a minimum: acc = fma(-float(sum over subs of m * sum(q)), dmin * xs, acc)
  // Every product beside the fma is rounded once, on its own.
  void (*gemm_quant)(const QuantMatrix& w, const Activations& x, std::size_t panel_begin,
                     std::size_t panel_end, float* out, std::size_t out_stride) noexcept = nullptr;
  // The same for unquantised weights and float activations x[tokens][x_stride]: one fma chain per
  // output, k ascending from 0.
  void (*gemm_float)(const FloatMatrix& w, const float* x, std::size_t tokens, std::size_t x_stride,
                     std::size_t panel_begin, std::size_t panel_end, float* out,
                     std::size_t out_stride) noexcept = nullptr;
  // Quantises rows [token_begin, token_end) of x[tokens][x_stride] into their places in `out`,
  // whose `tokens` and `cols` (a multiple of out.group) say how it is tiled.
  void (*quantize)(const float* x, std::size_t x_stride, std::size_t token_begin,
                   std::size_t token_end, const Activations& out) noexcept = nullptr;

  // --- vectors ---
  // out[i] = x[i] * (1 / sqrt(sum_squares(x)/n + eps)) * weight[i]; two multiplications in this
  // order. weight may be null (all ones). out may be x.
  void (*rms_norm)(const float* x, const float* weight, std::size_t n, float eps,
                   float* out) noexcept = nullptr;
  // out[i] = (x[i] - mean) * (1 / sqrt(variance + eps)) * weight[i] + bias[i], each step rounded,
  // the variance being the mean of (x[i] - mean)^2. weight and bias may be null. out may be x.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, std::size_t n,
                     float eps, float* out) noexcept = nullptr;
  void (*add)(const float* a, const float* b, std::size_t n, float* out) noexcept = nullptr;
  void (*scale)(const float* x, float by, std::size_t n, float* out) noexcept = nullptr;
  // sum[i] = fma(x[i], by, sum[i]).
  void (*add_scaled)(const float* x, float by, std::size_t n, float* sum) noexcept = nullptr;
  // out = activation(gate) * up. up may be null (all ones). out may be gate.
  void (*silu_mul)(const float* gate, const float* up, std::size_t n,
                   float* out) noexcept = nullptr;
  // tanh form: 0.5 g (1 + tanh(u)) with u = sqrt(2/pi) (g + 0.044715 g^3), computed as the same
  // g / (1 + exp(-2u)), which does not cancel for negative g.
  void (*gelu_tanh_mul)(const float* gate, const float* up, std::size_t n,
                        float* out) noexcept = nullptr;
  // max(0, gate)^2 * up, NaN staying NaN.
  void (*relu_squared_mul)(const float* gate, const float* up, std::size_t n,
                           float* out) noexcept = nullptr;
  // The exact form: x times the part of the standard normal distribution below x. out may be x.
  void (*gelu_erf)(const float* x, std::size_t n, float* out) noexcept = nullptr;
  // gpt-oss's gate. With g = min(gate, limit) and u = up held within -limit and limit:
  //   out = g / (1 + exp(-sharpness * g)) * (u + 1)
  // NaN stays NaN. out may be gate.
  void (*clamped_swiglu)(const float* gate, const float* up, std::size_t n, float sharpness,
                         float limit, float* out) noexcept = nullptr;
  // out[i] = x[i] / (1 + exp(-gate[i])). x may be null (all ones). out may be x or gate.
  void (*sigmoid_mul)(const float* gate, const float* x, std::size_t n,
                      float* out) noexcept = nullptr;
  // out[i] = exp(rate[i] * log(1 + exp(x[i] + bias[i]))). out may be x.
  void (*softplus_decay)(const float* x, const float* bias, const float* rate, std::size_t n,
                         float* out) noexcept = nullptr;
  // A short convolution of each value over `taps` rows, the oldest first:
  //   s = sum over j ascending, by fma from 0, of weights[j * stride + i] * rows[j][i]
  //   out[i] = s / (1 + exp(-s))
  void (*convolve_silu)(const float* const* rows, const float* weights, std::size_t stride,
                        std::size_t taps, std::size_t n, float* out) noexcept = nullptr;
  void (*delta_rule)(const DeltaArgs& args) noexcept = nullptr;
  // xIELU. With p = positive, n = negative and m = min(x, edge), edge being a little below 0:
  //   x > 0: fma(p * x, x, beta * x);  else: fma((exp(m) - 1) - x, n, beta * x)
  // NaN stays NaN. out may be x.
  void (*xielu)(const float* x, std::size_t n, const XieluFactors& factors,
                float* out) noexcept = nullptr;
  // Rotates the first n_rot values of each of `heads` rows of x[heads][head_dim] in place.
  // cos, sin: [n_rot / 2]. Pairs: (2i, 2i+1), or (i, i + n_rot/2) when `halves`.
  //   a' = fma(a, cos, -(b*sin)),  b' = fma(a, sin, b*cos)
  void (*rope)(float* x, std::size_t heads, std::size_t head_dim, std::size_t n_rot,
               const float* cos, const float* sin, bool halves) noexcept = nullptr;
  // Writes one position's K and V (f32, [head_dim]) of one KV head into a page's slot, as f16
  // rounded half to even.
  void (*store_kv)(const float* k, const float* v, std::size_t head_dim, std::size_t slot,
                   std::uint16_t* page_k, std::uint16_t* page_v) noexcept = nullptr;
  // The same for what that rounding takes away.
  void (*store_kv_rest)(const float* k, const float* v, std::size_t head_dim, std::size_t slot,
                        std::uint16_t* rest_k, std::uint16_t* rest_v) noexcept = nullptr;
  void (*attend)(const AttendArgs& args) noexcept = nullptr;
  // out = acc / sum, elementwise.
  void (*divide)(const float* acc, float sum, std::size_t n, float* out) noexcept = nullptr;

  // --- the vocabulary ---
  // Index of the largest of x, the lowest on a tie. NaN never wins.
  std::size_t (*argmax)(const float* x, std::size_t n) noexcept = nullptr;
  // x[i] = exp((x[i] - max) * by), max being the largest of x; returns their sum (16 lanes, tree).
  // by > 0. An x of -inf gives 0.
  float (*exp_sum)(float* x, std::size_t n, float by) noexcept = nullptr;
  // x[i] = cap * tanh(x[i] / cap).
  void (*softcap)(float* x, std::size_t n, float cap) noexcept = nullptr;
};

// The table of an instruction set, or null when this processor cannot run it.
const KernelTable* find_kernels(Isa isa);

// The fastest table that this processor can run.
const KernelTable& best_kernels();

// "scalar", "avx2", "avx512"; nothing else.
bool parse_isa(std::string_view text, Isa& out);

}  // namespace minerva::kernels
