// The float product: one fma chain in ascending k for each output, on every instruction set.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/test_matrices.h"

namespace minerva::kernels {
namespace {

struct RandomFloatMatrix {
  RandomFloatMatrix(FloatKind kind, std::size_t rows, std::size_t cols, std::mt19937& rng)
      : values(rows * cols), bytes(rows * cols * 4) {
    for (std::size_t i = 0; i < rows * cols; ++i) {
      // f16 patterns, subnormals among them: exact in all three types but bf16, which gets its own.
      const auto half = static_cast<std::uint16_t>(rng() % 0x5000 | (rng() % 2 << 15));
      const int exponent = half >> 10 & 31;
      const double size = exponent == 0 ? std::ldexp(half & 1023, -24)
                                        : std::ldexp(1024 + (half & 1023), exponent - 25);
      values[i] = static_cast<float>((half & 0x8000) != 0 ? -size : size);
      if (kind == FloatKind::F16) std::memcpy(bytes.data() + 2 * i, &half, 2);
      if (kind == FloatKind::F32) std::memcpy(bytes.data() + 4 * i, &values[i], 4);
      if (kind == FloatKind::BF16) {
        const auto top = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(values[i]) >> 16);
        values[i] = std::bit_cast<float>(static_cast<std::uint32_t>(top) << 16);
        std::memcpy(bytes.data() + 2 * i, &top, 2);
      }
    }
    m = {kind, rows, rows, cols, bytes.data()};
  }
  std::vector<float> values;  // [panel][cols][16]
  std::vector<std::uint8_t> bytes;
  FloatMatrix m;
};

TEST(GemmFloat, EqualsTheChainForEveryShape) {
  std::mt19937 rng(21);
  for (const FloatKind kind : {FloatKind::F32, FloatKind::F16, FloatKind::BF16}) {
    for (std::size_t tokens = 1; tokens <= 9; ++tokens) {
      for (const std::size_t cols : {1U, 7U, 64U}) {
        const std::size_t panels = 1 + tokens % 6;
        const RandomFloatMatrix w(kind, 16 * panels, cols, rng);
        const std::size_t x_stride = cols + 2;
        const auto x = random_floats(tokens * x_stride, rng);
        const std::size_t stride = 16 * panels + 1;
        const std::size_t begin = tokens % 2 == 0 && panels > 1 ? 1 : 0;
        for (const KernelTable* table : tables_here()) {
          std::vector<float> out(tokens * stride, -5);
          table->gemm_float(w.m, x.data(), tokens, x_stride, begin, panels, out.data(), stride);
          for (std::size_t t = 0; t < tokens; ++t) {
            for (std::size_t r = 0; r < stride; ++r) {
              float want = -5;
              if (r >= 16 * begin && r < 16 * panels) {
                want = 0;
                for (std::size_t k = 0; k < cols; ++k) {
                  want = std::fma(w.values[(r / 16 * cols + k) * 16 + r % 16], x[t * x_stride + k],
                                  want);
                }
              }
              ASSERT_EQ(std::bit_cast<std::uint32_t>(out[t * stride + r]),
                        std::bit_cast<std::uint32_t>(want))
                  << table->name << " kind " << static_cast<int>(kind) << " tokens " << tokens
                  << " token " << t << " row " << r;
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace minerva::kernels
