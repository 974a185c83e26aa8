// Kernels of layers with states: against their rules written plainly, and the same bits on every
// instruction set.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/test_matrices.h"

namespace minerva::kernels {
namespace {

constexpr float kGuard = 77;

void expect_same_bits(const std::vector<float>& a, const std::vector<float>& b,
                      std::string_view what) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_TRUE(std::bit_cast<std::uint32_t>(a[i]) == std::bit_cast<std::uint32_t>(b[i]) ||
                (std::isnan(a[i]) && std::isnan(b[i])))
        << what << " at " << i << ": " << a[i] << " and " << b[i];
  }
}

TEST(Recurrent, SigmoidMul) {
  std::mt19937 rng(1);
  for (std::size_t n = 0; n < 49; ++n) {
    auto gate = random_floats(n, rng, 4);
    if (n > 3) gate[1] = 200, gate[2] = -200, gate[3] = std::nanf("");
    const auto x = random_floats(n, rng);
    std::vector<float> first;
    for (const KernelTable* k : tables_here()) {
      std::vector<float> out(n + 16, kGuard);
      k->sigmoid_mul(gate.data(), x.data(), n, out.data());
      std::vector<float> ones(n + 16, kGuard);
      k->sigmoid_mul(gate.data(), nullptr, n, ones.data());
      auto in_place = x;
      k->sigmoid_mul(gate.data(), in_place.data(), n, in_place.data());
      for (std::size_t i = 0; i < n; ++i) {
        if (std::isnan(gate[i])) {
          EXPECT_TRUE(std::isnan(out[i]));
          continue;
        }
        const double sigmoid = 1 / (1 + std::exp(-double{gate[i]}));
        EXPECT_NEAR(ones[i], sigmoid, 3e-7 * sigmoid + 1e-38);
        EXPECT_NEAR(out[i], sigmoid * double{x[i]},
                    3e-7 * std::abs(sigmoid * double{x[i]}) + 1e-38);
        EXPECT_EQ(in_place[i], out[i]);
      }
      for (std::size_t i = n; i < out.size(); ++i) EXPECT_EQ(out[i], kGuard);
      out.insert(out.end(), ones.begin(), ones.end());
      if (first.empty()) first = out;
      expect_same_bits(first, out, k->name);
    }
  }
}

// softplus itself through a rate of -1: the logarithm of what comes out.
TEST(Recurrent, SoftplusDecay) {
  std::vector<float> x;
  for (double v = -110; v < 100; v += 0.0371) x.push_back(static_cast<float>(v));
  x.push_back(std::numeric_limits<float>::infinity());
  x.push_back(-std::numeric_limits<float>::infinity());
  x.push_back(std::nanf(""));
  const std::size_t n = x.size();
  std::vector<float> bias(n);
  for (const float rate : {-1.0F, -0.03F, -14.0F, 0.0F}) {
    const std::vector<float> rates(n, rate);
    std::vector<float> first;
    for (const KernelTable* k : tables_here()) {
      std::vector<float> out(n + 16, kGuard);
      k->softplus_decay(x.data(), bias.data(), rates.data(), n, out.data());
      for (std::size_t i = 0; i + 3 < n; ++i) {
        const double v = double{x[i]};
        const double softplus = std::max(v, 0.0) + std::log1p(std::exp(-std::abs(v)));
        const double want = std::exp(double{rate} * softplus);
        // An ulp of the exponent is as many of the result as the exponent is large.
        const double bound = (3e-7 + 4e-7 * std::abs(double{rate}) * softplus) * want + 2e-45;
        EXPECT_NEAR(out[i], want, bound) << x[i] << " rate " << rate;
      }
      EXPECT_EQ(out[n - 2], 1.0F);  // of minus infinity
      EXPECT_TRUE(std::isnan(out[n - 1]));
      for (std::size_t i = n; i < out.size(); ++i) EXPECT_EQ(out[i], kGuard);
      if (first.empty()) first = out;
      expect_same_bits(first, out, k->name);
    }
  }
  // The bias is added first, and tails are within bounds.
  for (std::size_t count = 0; count < 20; ++count) {
    for (const KernelTable* k : tables_here()) {
      const std::vector<float> zeros(count), threes(count, 3.0F), rates(count, -1.0F);
      std::vector<float> a(count + 16, kGuard);
      std::vector<float> b(count + 16, kGuard);
      k->softplus_decay(threes.data(), zeros.data(), rates.data(), count, a.data());
      k->softplus_decay(zeros.data(), threes.data(), rates.data(), count, b.data());
      EXPECT_EQ(a, b);
    }
  }
}

TEST(Recurrent, ConvolveSilu) {
  std::mt19937 rng(2);
  for (const std::size_t taps : {1U, 2U, 4U, 16U}) {
    for (const std::size_t n : {1U, 15U, 16U, 17U, 48U, 61U}) {
      const std::size_t stride = n + 5;
      const auto weights = random_floats(stride * taps, rng);
      const auto values = random_floats(n * taps, rng);
      std::vector<const float*> rows;
      for (std::size_t j = 0; j < taps; ++j) rows.push_back(values.data() + j * n);
      std::vector<float> first;
      for (const KernelTable* k : tables_here()) {
        std::vector<float> out(n + 16, kGuard);
        k->convolve_silu(rows.data(), weights.data(), stride, taps, n, out.data());
        for (std::size_t i = 0; i < n; ++i) {
          float sum = 0;
          for (std::size_t j = 0; j < taps; ++j) {
            sum = std::fma(weights[j * stride + i], rows[j][i], sum);
          }
          const double want = double{sum} / (1 + std::exp(-double{sum}));
          EXPECT_NEAR(out[i], want, 4e-7 * std::abs(want));
        }
        for (std::size_t i = n; i < out.size(); ++i) EXPECT_EQ(out[i], kGuard);
        if (first.empty()) first = out;
        expect_same_bits(first, out, k->name);
      }
    }
  }
}

TEST(Recurrent, DeltaRule) {
  std::mt19937 rng(3);
  for (const std::size_t key_dim : {1U, 16U, 33U}) {
    for (const std::size_t value_dim : {1U, 16U, 24U, 64U, 80U, 131U}) {
      const auto before = random_floats(key_dim * value_dim, rng);
      const auto q = random_floats(key_dim, rng);
      const auto key = random_floats(key_dim, rng);
      const auto v = random_floats(value_dim, rng);
      const float decay = 0.83F;
      const float beta = 0.41F;
      std::vector<float> state = before;
      std::vector<float> want(value_dim);
      for (std::size_t j = 0; j < value_dim; ++j) {
        float seen = 0;
        for (std::size_t i = 0; i < key_dim; ++i) {
          seen = std::fma(before[i * value_dim + j] * decay, key[i], seen);
        }
        const float change = (v[j] - seen) * beta;
        for (std::size_t i = 0; i < key_dim; ++i) {
          float& s = state[i * value_dim + j];
          s = std::fma(key[i], change, s * decay);
          want[j] = std::fma(s, q[i], want[j]);
        }
      }
      for (const KernelTable* k : tables_here()) {
        std::vector<float> changed = before;
        changed.resize(before.size() + 16, kGuard);
        std::vector<float> out(value_dim + 16, kGuard);
        k->delta_rule({.state = changed.data(),
                       .key_dim = key_dim,
                       .value_dim = value_dim,
                       .q = q.data(),
                       .k = key.data(),
                       .v = v.data(),
                       .decay = decay,
                       .beta = beta,
                       .out = out.data()});
        for (std::size_t i = 0; i < 16; ++i) {
          EXPECT_EQ(changed[before.size() + i], kGuard);
          EXPECT_EQ(out[value_dim + i], kGuard);
        }
        changed.resize(before.size());
        out.resize(value_dim);
        expect_same_bits(state, changed, k->name);
        expect_same_bits(want, out, k->name);
      }
    }
  }
}

}  // namespace
}  // namespace minerva::kernels
