// The quantised product and its activations against the rule as kernel_table.h and packed.h state
// it, written plainly here: every instruction set must give exactly these bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/test_matrices.h"

namespace minerva::kernels {
namespace {

float half_value(std::uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const double mantissa = half & 1023;
  const double value = exponent == 0    ? std::ldexp(mantissa, -24)
                       : exponent == 31 ? std::numeric_limits<double>::infinity()
                                        : std::ldexp(1024 + mantissa, exponent - 25);
  return static_cast<float>((half & 0x8000) != 0 ? -value : value);
}

// Element access by the layout's formulas.
struct Reader {
  const QuantMatrix& m;
  KindTraits k = traits(m.kind);

  std::int32_t code(std::size_t row, std::size_t col) const {
    const std::size_t block = row / 16 * (m.cols / 32) + col / 32;
    const std::size_t i = col % 32;
    if (k.wide_codes) return m.codes[block * 512 + i / 4 * 64 + row % 16 * 4 + i % 4];
    const int byte = m.codes[block * 256 + i / 8 * 64 + row % 16 * 4 + i % 4];
    const int nibble = i % 8 < 4 ? byte & 15 : byte >> 4;
    return k.table ? m.table[nibble] : nibble;
  }
  float scale(std::size_t row, std::size_t group) const {
    const std::size_t at = at_group(row, group);
    return value(m.scales, at);
  }
  float minimum(std::size_t row, std::size_t group) const {
    const std::size_t at = at_group(row, group);
    return value(m.minimum, at);
  }
  std::int32_t sub_scale(std::size_t row, std::size_t sub) const {
    const std::size_t at = at_sub(row, sub);
    return k.minimum ? static_cast<const std::uint8_t*>(m.sub_scales)[at]
                     : static_cast<const std::int8_t*>(m.sub_scales)[at];
  }
  std::int32_t sub_minimum(std::size_t row, std::size_t sub) const {
    return m.sub_minimum[at_sub(row, sub)];
  }

 private:
  float value(const void* plane, std::size_t at) const {
    if (k.scales == ScaleType::F32) return static_cast<const float*>(plane)[at];
    const std::uint16_t bits = static_cast<const std::uint16_t*>(plane)[at];
    if (k.scales == ScaleType::Bf16) return std::bit_cast<float>(std::uint32_t{bits} << 16);
    return half_value(bits);
  }
  std::size_t at_group(std::size_t row, std::size_t group) const {
    return (row / 16 * (m.cols / (k.super ? 256 : 32)) + group) * 16 + row % 16;
  }
  std::size_t at_sub(std::size_t row, std::size_t sub) const {
    return (row / 16 * (m.cols / k.sub) + sub) * 16 + row % 16;
  }
};

struct Row {
  std::vector<std::int32_t> q;
  std::vector<float> scales;
};
Row row_of(const Activations& x, std::size_t token) {
  const std::size_t tile = token / 8 * 8;
  const std::size_t width = std::min<std::size_t>(8, x.tokens - tile);
  Row out;
  for (std::size_t k = 0; k < x.cols; ++k) {
    out.q.push_back(x.q[tile * x.cols + k / 4 * 4 * width + 4 * (token - tile) + k % 4]);
  }
  for (std::size_t g = 0; g < x.cols / x.group; ++g) {
    out.scales.push_back(x.scales[tile * (x.cols / x.group) + g * width + (token - tile)]);
  }
  return out;
}

float expected(const Reader& w, const Row& x, std::size_t row) {
  const auto zero = static_cast<std::int32_t>(w.m.zero);
  float acc = 0;
  if (!w.k.super) {
    for (std::size_t b = 0; b < w.m.cols / 32; ++b) {
      std::int32_t dot = 0;
      std::int32_t sum = 0;
      for (std::size_t k = 32 * b; k < 32 * b + 32; ++k) {
        dot += (w.code(row, k) - zero) * x.q[k];
        sum += x.q[k];
      }
      acc = std::fma(static_cast<float>(dot), w.scale(row, b) * x.scales[b], acc);
      if (w.k.minimum) {
        acc = std::fma(static_cast<float>(sum) * x.scales[b], w.minimum(row, b), acc);
      }
    }
    return acc;
  }
  for (std::size_t s = 0; s < w.m.cols / 256; ++s) {
    std::int32_t scaled = 0;
    std::int32_t minimum = 0;
    for (std::size_t sub = 256 / w.k.sub * s; sub < 256 / w.k.sub * (s + 1); ++sub) {
      std::int32_t dot = 0;
      std::int32_t sum = 0;
      for (std::size_t k = w.k.sub * sub; k < w.k.sub * (sub + 1); ++k) {
        dot += (w.code(row, k) - zero) * x.q[k];
        sum += x.q[k];
      }
      scaled += w.sub_scale(row, sub) * dot;
      if (w.k.minimum) minimum += w.sub_minimum(row, sub) * sum;
    }
    acc = std::fma(static_cast<float>(scaled), w.scale(row, s) * x.scales[s], acc);
    if (w.k.minimum) {
      acc = std::fma(-static_cast<float>(minimum), w.minimum(row, s) * x.scales[s], acc);
    }
  }
  return acc;
}

std::uint32_t bits(float a) { return std::bit_cast<std::uint32_t>(a); }
// Two NaNs are equal: their payloads are nobody's promise.
bool same(float a, float b) { return bits(a) == bits(b) || (std::isnan(a) && std::isnan(b)); }

constexpr float kUntouched = -12345;

void check_product(const QuantMatrix& m, const std::vector<float>& values, std::size_t tokens,
                   std::size_t panel_begin, std::size_t panel_end) {
  const std::size_t stride = m.rows_padded + 3;
  for (const KernelTable* table : tables_here()) {
    OwnedActivations x(tokens, m.cols, traits(m.kind).super ? kSuperBlock : kBlock);
    table->quantize(values.data(), m.cols, 0, tokens, x.view);
    std::vector<float> out(tokens * stride, kUntouched);
    table->gemm_quant(m, x.view, panel_begin, panel_end, out.data(), stride);
    const Reader reader{m};
    for (std::size_t t = 0; t < tokens; ++t) {
      const Row row = row_of(x.view, t);
      for (std::size_t r = 0; r < stride; ++r) {
        const bool inside = r >= panel_begin * 16 && r < panel_end * 16;
        const float want = inside ? expected(reader, row, r) : kUntouched;
        ASSERT_TRUE(same(out[t * stride + r], want))
            << table->name << " " << kind_name(m.kind) << ": token " << t << " of " << tokens
            << ", row " << r << ": " << out[t * stride + r] << ", expected " << want;
      }
    }
  }
}

class EveryKind : public testing::TestWithParam<PackedKind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, EveryKind, testing::ValuesIn(kPackedKinds),
                         [](const auto& info) { return std::string(kind_name(info.param)); });

TEST_P(EveryKind, EqualsTheRuleForEveryNumberOfTokens) {
  std::mt19937 rng(11);
  const std::size_t step = traits(GetParam()).super ? 256 : 32;
  for (std::size_t tokens = 1; tokens <= 9; ++tokens) {
    const RandomQuantMatrix w(GetParam(), 16 * (1 + tokens % 5), step * (1 + tokens % 3), rng);
    const auto x = random_floats(tokens * w.m.cols, rng);
    check_product(w.m, x, tokens, 0, w.m.rows_padded / 16);
  }
}

TEST_P(EveryKind, EqualsTheRuleForManyTokensAndLongRows) {
  std::mt19937 rng(12);
  const RandomQuantMatrix w(GetParam(), 48, 4096, rng);
  check_product(w.m, random_floats(37 * 4096, rng), 37, 0, 3);
}

TEST_P(EveryKind, WritesOnlyItsPanels) {
  std::mt19937 rng(13);
  const RandomQuantMatrix w(GetParam(), 100, 256, rng);  // 7 panels
  const auto x = random_floats(5 * 256, rng);
  for (const auto& [begin, end] :
       std::vector<std::pair<std::size_t, std::size_t>>{{0, 1}, {3, 4}, {2, 5}, {1, 7}, {4, 4}}) {
    check_product(w.m, x, 5, begin, end);
  }
}

// The largest codes, scales and activations: no integer may wrap or saturate.
TEST_P(EveryKind, ExtremesStayExact) {
  std::mt19937 rng(14);
  const KindTraits k = traits(GetParam());
  RandomQuantMatrix w(GetParam(), 32, 512, rng);
  const std::size_t code_bytes = 32 * 512 / (k.wide_codes ? 1 : 2);
  const bool any = k.wide_codes && !k.super && GetParam() != PackedKind::Block8Min;
  const int largest = any || !k.wide_codes ? 255 : 63;
  std::fill_n(w.codes.data(), code_bytes / 2, static_cast<std::uint8_t>(largest));
  std::fill_n(w.codes.data() + code_bytes / 2, code_bytes / 2, std::uint8_t{0});
  const std::uint16_t halves[] = {0x7bff, 0xfbff, 0x0001, 0x8001, 0x03ff, 0x8000, 0x0000, 0x0400};
  const std::uint16_t bfloats[] = {0x7f00, 0xff00, 0x0001, 0x8001, 0x007f, 0x8000, 0x0000, 0x0080};
  const auto* scales = k.scales == ScaleType::Bf16 ? bfloats : halves;
  for (std::size_t i = 0; i < 32 * 512 / (k.super ? 256U : 32U); ++i) {
    w.scales.data()[i] = scales[i % 8];
    w.minimum.data()[i] = scales[(i + 3) % 8];
    w.wide_minimum.data()[i] = i % 3 == 0 ? -0x1p127F : i % 3 == 1 ? 0.0F : 0x1p-140F;
    w.wide_scales.data()[i] = i % 3 == 0 ? 0x1p-128F : i % 3 == 1 ? 0x1p127F : -0.0F;
  }
  if (k.super) {
    for (std::size_t i = 0; i < 32 * 512 / k.sub; ++i) {
      w.sub_scales.data()[i] = k.minimum ? 63 : 0x80;
      w.sub_minimum.data()[i] = 63;
    }
  }
  const float inf = std::numeric_limits<float>::infinity();
  for (const float value : {1.0F, -1.0F, 0.0F, -0.0F, 3e38F, 1e-37F, 1e-45F, inf, std::nanf("")}) {
    std::vector<float> x(3 * 512, value);
    check_product(w.m, x, 3, 0, 2);
    for (std::size_t i = 0; i < x.size(); i += 2) x[i] = -x[i];
    check_product(w.m, x, 3, 0, 2);
    x[100] = 1;
    check_product(w.m, x, 3, 0, 2);
  }
}

// --- quantisation ---

void check_quantized(const std::vector<float>& values, const Activations& x) {
  for (std::size_t t = 0; t < x.tokens; ++t) {
    const Row row = row_of(x, t);
    const std::size_t tile = t / 8 * 8;
    const std::size_t width = std::min<std::size_t>(8, x.tokens - tile);
    for (std::size_t g = 0; g < x.cols / x.group; ++g) {
      const float* from = values.data() + t * x.cols + g * x.group;
      float amax = 0;
      bool finite = true;
      for (std::size_t i = 0; i < x.group; ++i) {
        finite = finite && std::isfinite(from[i]);
        amax = std::max(amax, std::abs(from[i]));
      }
      const bool blank = !finite || amax < 0x1p-100F;
      const float scale = !finite ? std::nanf("") : blank ? 0 : amax / 127;
      ASSERT_TRUE(same(row.scales[g], scale)) << row.scales[g] << " " << scale;
      for (std::size_t i = 0; i < x.group; ++i) {
        const auto q =
            blank ? 0 : static_cast<std::int32_t>(std::nearbyint(from[i] * (127.0F / amax)));
        ASSERT_EQ(row.q[g * x.group + i], q);
      }
    }
    for (std::size_t k = 0; k < x.cols; k += 16) {
      std::int32_t sum = 0;
      for (std::size_t i = k; i < k + 16; ++i) sum += row.q[i];
      ASSERT_EQ(x.sums16[tile * (x.cols / 16) + k / 16 * width + (t - tile)], sum);
    }
  }
}

TEST(Quantize, FollowsTheRuleForEveryNumberOfTokens) {
  std::mt19937 rng(15);
  for (const KernelTable* table : tables_here()) {
    for (const std::size_t group : {kBlock, kSuperBlock}) {
      for (std::size_t tokens = 1; tokens <= 19; ++tokens) {
        auto values = random_floats(tokens * 512, rng);
        values[3] = 0.5F / 127 * 4;  // halves round to even
        values[rng() % values.size()] = std::nanf("");
        values[rng() % values.size()] = 1e30F;
        std::fill_n(values.data() + 256, 256, 0.0F);
        OwnedActivations x(tokens, 512, group);
        // In pieces and out of order: each row's place depends on the whole only.
        table->quantize(values.data(), 512, tokens / 2, tokens, x.view);
        table->quantize(values.data(), 512, 0, tokens / 2, x.view);
        check_quantized(values, x.view);
      }
    }
  }
}

TEST(Quantize, HalvesRoundToEven) {
  std::vector<float> values(32);
  values[0] = 127;  // the scale is 1
  for (std::size_t i = 1; i < 32; ++i) values[i] = static_cast<float>(i) - 16.5F;
  for (const KernelTable* table : tables_here()) {
    OwnedActivations x(1, 32, kBlock);
    table->quantize(values.data(), 32, 0, 1, x.view);
    EXPECT_EQ(x.q[1], -16);  // -15.5
    EXPECT_EQ(x.q[2], -14);  // -14.5
    EXPECT_EQ(x.q[17], 0);   // 0.5
    EXPECT_EQ(x.q[18], 2);   // 1.5
  }
}

}  // namespace
}  // namespace minerva::kernels
