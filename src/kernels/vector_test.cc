// Vector kernels: against double arithmetic with bounds in units of the last place, and the same
// bits on every instruction set, for sizes of 0 to 3 vectors and every tail.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "kernels/test_matrices.h"

namespace minerva::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr std::size_t kSizes = 49;  // 0 .. 3 vectors and every tail

// Distance in floats between got and the true value.
double ulps(float got, double want) {
  if (std::isnan(want)) return std::isnan(got) ? 0 : 1e9;
  const auto near = static_cast<float>(want);
  if (got == near) return 0;
  if (std::isinf(got) || std::isinf(near)) return 1e9;
  const float next = std::nextafter(std::abs(near), kInf);
  return std::abs(static_cast<double>(got) - want) /
         (static_cast<double>(next) - static_cast<double>(std::abs(near)));
}

// Runs `kernel` on every table for every size; the outputs must be equal bit for bit and stay
// within their n values.
void same_everywhere(
    const std::function<std::vector<float>(const KernelTable&, std::size_t)>& kernel) {
  for (std::size_t n = 0; n < kSizes; ++n) {
    std::vector<float> first;
    for (const KernelTable* table : tables_here()) {
      const std::vector<float> out = kernel(*table, n);
      if (first.empty()) first = out;
      ASSERT_EQ(out.size(), first.size());
      for (std::size_t i = 0; i < out.size(); ++i) {
        ASSERT_TRUE(std::bit_cast<std::uint32_t>(out[i]) ==
                        std::bit_cast<std::uint32_t>(first[i]) ||
                    (std::isnan(out[i]) && std::isnan(first[i])))
            << table->name << " n " << n << " at " << i << ": " << out[i] << " and " << first[i];
      }
    }
  }
}

// Values of every size, with the special ones in front.
std::vector<float> mixed_values(std::size_t n, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<float> out = random_floats(n, rng, 3);
  const float special[] = {0.0F, -0.0F, 1e-40F, -1e-45F, 88.9F, -88.9F, 1e30F, -1e30F, -104.5F};
  for (std::size_t i = 0; i < std::size(special) && 5 * i < n; ++i) out[5 * i] = special[i];
  return out;
}

constexpr float kGuard = 77;
// Calls the kernel with room for n values and a guard behind.
template <class Kernel>
std::vector<float> guarded(std::size_t n, const Kernel& kernel) {
  std::vector<float> out(n + 16, kGuard);
  kernel(out.data());
  for (std::size_t i = n; i < out.size(); ++i)
    EXPECT_EQ(out[i], kGuard) << "written past n = " << n;
  return out;
}

TEST(Vector, AddScaleDivideAreExact) {
  const auto a = mixed_values(kSizes, 1);
  const auto b = mixed_values(kSizes, 2);
  same_everywhere([&](const KernelTable& k, std::size_t n) {
    auto sum = guarded(n, [&](float* out) { k.add(a.data(), b.data(), n, out); });
    auto scaled = guarded(n, [&](float* out) { k.scale(a.data(), 0.3F, n, out); });
    auto divided = guarded(n, [&](float* out) { k.divide(a.data(), 0.3F, n, out); });
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_EQ(sum[i], a[i] + b[i]);
      EXPECT_EQ(scaled[i], a[i] * 0.3F);
      EXPECT_EQ(divided[i], a[i] / 0.3F);
    }
    sum.insert(sum.end(), scaled.begin(), scaled.end());
    sum.insert(sum.end(), divided.begin(), divided.end());
    return sum;
  });
}

TEST(Vector, RmsNorm) {
  std::mt19937 rng(3);
  const auto x = random_floats(kSizes, rng);
  const auto weight = random_floats(kSizes, rng);
  same_everywhere([&](const KernelTable& k, std::size_t n) {
    auto out = guarded(n, [&](float* o) { k.rms_norm(x.data(), weight.data(), n, 1e-5F, o); });
    auto plain = guarded(n, [&](float* o) { k.rms_norm(x.data(), nullptr, n, 1e-5F, o); });
    std::vector<float> in_place(x);
    k.rms_norm(in_place.data(), weight.data(), n, 1e-5F, in_place.data());
    double squares = 0;
    for (std::size_t i = 0; i < n; ++i) squares += std::pow(static_cast<double>(x[i]), 2);
    const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
    for (std::size_t i = 0; i < n; ++i) {
      const double want = static_cast<double>(x[i]) * factor;
      EXPECT_LT(ulps(plain[i], want), 8);
      EXPECT_LT(ulps(out[i], want * static_cast<double>(weight[i])), 8);
      EXPECT_EQ(in_place[i], out[i]);
    }
    return n == 0 ? std::vector<float>{} : out;
  });
}

TEST(Vector, LayerNorm) {
  std::mt19937 rng(9);
  auto x = random_floats(kSizes, rng);
  for (float& value : x) value += 3;  // a mean that has to be taken off
  const auto weight = random_floats(kSizes, rng);
  const auto bias = random_floats(kSizes, rng);
  same_everywhere([&](const KernelTable& k, std::size_t n) {
    auto out = guarded(
        n, [&](float* o) { k.layer_norm(x.data(), weight.data(), bias.data(), n, 1e-5F, o); });
    auto plain =
        guarded(n, [&](float* o) { k.layer_norm(x.data(), nullptr, nullptr, n, 1e-5F, o); });
    std::vector<float> in_place(x);
    k.layer_norm(in_place.data(), weight.data(), bias.data(), n, 1e-5F, in_place.data());
    double mean = 0;
    for (std::size_t i = 0; i < n; ++i) mean += static_cast<double>(x[i]);
    mean /= static_cast<double>(n);
    double squares = 0;
    for (std::size_t i = 0; i < n; ++i) squares += std::pow(static_cast<double>(x[i]) - mean, 2);
    const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
    for (std::size_t i = 0; i < n; ++i) {
      const double want = (static_cast<double>(x[i]) - mean) * factor;
      EXPECT_NEAR(static_cast<double>(plain[i]), want, 5e-6);
      EXPECT_NEAR(static_cast<double>(out[i]),
                  want * static_cast<double>(weight[i]) + static_cast<double>(bias[i]), 1e-5);
      EXPECT_EQ(in_place[i], out[i]);
    }
    return n == 0 ? std::vector<float>{} : out;
  });
}

TEST(Vector, GeluErf) {
  const auto x = mixed_values(kSizes, 10);
  same_everywhere([&](const KernelTable& k, std::size_t n) {
    return guarded(n, [&](float* o) { k.gelu_erf(x.data(), n, o); });
  });
  double worst = 0;
  for (const KernelTable* k : tables_here()) {
    std::vector<float> in(16), out(16);
    for (float at = -16; at < 16; at += 0.011F) {
      for (std::size_t i = 0; i < 16; ++i) in[i] = at + 0.0007F * static_cast<float>(i);
      k->gelu_erf(in.data(), 16, out.data());
      for (std::size_t i = 0; i < 16; ++i) {
        const auto g = static_cast<double>(in[i]);
        const double want = 0.5 * g * std::erfc(-g / std::sqrt(2.0));
        if (std::abs(want) < 1e-36) {  // its factors are subnormal
          ASSERT_NEAR(static_cast<double>(out[i]), want, 1e-36) << g;
        } else {
          worst = std::max(worst, ulps(out[i], want));
        }
      }
    }
    const float special[] = {kInf, std::nanf(""), 0.0F, -0.0F, -30.0F, -1e30F};
    k->gelu_erf(special, std::size(special), out.data());
    EXPECT_EQ(out[0], kInf);
    EXPECT_TRUE(std::isnan(out[1]));
    EXPECT_EQ(out[2], 0.0F);
    EXPECT_EQ(out[4], 0.0F);
    EXPECT_EQ(out[5], 0.0F);
  }
  RecordProperty("worst_ulps", std::to_string(worst));
  EXPECT_LT(worst, 6);
}

TEST(Vector, ReluSquared) {
  const auto gate = mixed_values(kSizes, 6);
  const auto up = mixed_values(kSizes, 7);
  same_everywhere([&](const KernelTable& k, std::size_t n) {
    auto alone = guarded(n, [&](float* o) { k.relu_squared_mul(gate.data(), nullptr, n, o); });
    const auto gated =
        guarded(n, [&](float* o) { k.relu_squared_mul(gate.data(), up.data(), n, o); });
    for (std::size_t i = 0; i < n; ++i) {
      const float g = gate[i] > 0 ? gate[i] : 0;
      EXPECT_EQ(alone[i], g * g);
      EXPECT_EQ(gated[i], g * g * up[i]);
    }
    alone.insert(alone.end(), gated.begin(), gated.end());
    return alone;
  });
  for (const KernelTable* k : tables_here()) {
    const float special[] = {kInf, std::nanf(""), -kInf};
    float out[3];
    k->relu_squared_mul(special, nullptr, 3, out);
    EXPECT_EQ(out[0], kInf);
    EXPECT_TRUE(std::isnan(out[1]));
    EXPECT_EQ(out[2], 0.0F);
  }
}

TEST(Vector, SiluAndGelu) {
  const auto gate = mixed_values(kSizes, 4);
  const auto up = mixed_values(kSizes, 5);
  same_everywhere([&](const KernelTable& k, std::size_t n) {
    auto silu = guarded(n, [&](float* o) { k.silu_mul(gate.data(), up.data(), n, o); });
    auto gelu = guarded(n, [&](float* o) { k.gelu_tanh_mul(gate.data(), up.data(), n, o); });
    silu.insert(silu.end(), gelu.begin(), gelu.end());
    return silu;
  });
  const std::vector<float> ones(kSizes, 1);
  same_everywhere([&](const KernelTable& k, std::size_t n) {
    auto silu = guarded(n, [&](float* o) { k.silu_mul(gate.data(), nullptr, n, o); });
    auto gelu = guarded(n, [&](float* o) { k.gelu_tanh_mul(gate.data(), nullptr, n, o); });
    EXPECT_EQ(silu, guarded(n, [&](float* o) { k.silu_mul(gate.data(), ones.data(), n, o); }));
    EXPECT_EQ(gelu, guarded(n, [&](float* o) { k.gelu_tanh_mul(gate.data(), ones.data(), n, o); }));
    silu.insert(silu.end(), gelu.begin(), gelu.end());
    return silu;
  });
  const std::vector<float> one(16, 1);
  for (const KernelTable* k : tables_here()) {
    for (float x = -12; x < 12; x += 0.0007F) {
      const std::vector<float> in(16, x);
      std::vector<float> out(16);
      const auto g = static_cast<double>(x);
      k->silu_mul(in.data(), one.data(), 16, out.data());
      ASSERT_LT(ulps(out[0], g / (1 + std::exp(-g))), 4) << x;
      k->gelu_tanh_mul(in.data(), one.data(), 16, out.data());
      const double u = std::sqrt(2 / 3.14159265358979323846) * (g + 0.044715 * g * g * g);
      const double want = g / (1 + std::exp(-2 * u));
      if (-2 * u > 88) {  // e^-2u overflows: the result is 0 instead of a value below 1e-36
        ASSERT_NEAR(static_cast<double>(out[0]), want, 1e-36) << x;
        continue;
      }
      // 2u carries up to seven half units, and e^-2u multiplies a relative error by |2u|.
      ASSERT_LT(ulps(out[0], want), 6 + 14 * std::abs(u)) << x;
    }
  }
}

TEST(Vector, ClampedSwiglu) {
  const float sharpness = 1.702F;
  const float limit = 7;
  const auto gate = mixed_values(kSizes, 9);
  const auto up = mixed_values(kSizes, 10);
  same_everywhere([&](const KernelTable& k, std::size_t n) {
    auto out = guarded(
        n, [&](float* o) { k.clamped_swiglu(gate.data(), up.data(), n, sharpness, limit, o); });
    std::vector<float> in_place(gate);
    k.clamped_swiglu(in_place.data(), up.data(), n, sharpness, limit, in_place.data());
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(in_place[i], out[i]);
    return out;
  });
  for (const KernelTable* k : tables_here()) {
    const auto at = [&](float g, float u) {
      float out = 0;
      k->clamped_swiglu(&g, &u, 1, sharpness, limit, &out);
      return out;
    };
    for (float x = -20; x < 20; x += 0.013F) {
      const double g = std::min(static_cast<double>(x), 7.0);
      const double gated = g / (1 + std::exp(-static_cast<double>(sharpness) * g));
      for (const float u : {-30.0F, -7.0F, -0.7F, 0.0F, 3.0F, 7.0F, 1e30F}) {
        const double held = std::clamp(static_cast<double>(u), -7.0, 7.0);
        // e^-x multiplies the argument's relative error by |x|, of which one half unit is ours.
        ASSERT_LT(ulps(at(x, u), gated * (held + 1)), 6 + 2 * std::abs(g)) << x << " " << u;
      }
    }
    EXPECT_EQ(at(kInf, 0), at(7, 0));
    EXPECT_TRUE(std::isnan(at(std::nanf(""), 1)));
    EXPECT_TRUE(std::isnan(at(1, std::nanf(""))));
  }
}

TEST(Vector, Xielu) {
  const XieluFactors factors{.positive = 0.8F, .negative = 1.3F, .beta = 0.5F, .edge = -1e-6F};
  const auto in = mixed_values(kSizes, 13);
  same_everywhere([&](const KernelTable& k, std::size_t n) {
    return guarded(n, [&](float* o) { k.xielu(in.data(), n, factors, o); });
  });
  for (const KernelTable* k : tables_here()) {
    const auto at = [&](float x) {
      k->xielu(&x, 1, factors, &x);
      return x;
    };
    for (float x = -20; x < 20; x += 0.013F) {
      const double d = x;
      const double want = x > 0 ? static_cast<double>(factors.positive) * d * d + 0.5 * d
                                : (std::expm1(std::min(d, -1e-6)) - d) * 1.3 + 0.5 * d;
      ASSERT_NEAR(static_cast<double>(at(x)), want, 3e-7 * std::max(1.0, d * d)) << x;
    }
    EXPECT_EQ(at(0), (std::exp(-1e-6F) - 1) * 1.3F);
    EXPECT_TRUE(std::isnan(at(std::nanf(""))));
  }
}

TEST(Vector, AddScaledIsOneFma) {
  const auto x = mixed_values(kSizes, 11);
  const auto start = mixed_values(kSizes, 12);
  same_everywhere([&](const KernelTable& k, std::size_t n) {
    auto sum = guarded(n, [&](float* out) {
      std::copy_n(start.data(), n, out);
      k.add_scaled(x.data(), 0.3F, n, out);
    });
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(sum[i], std::fma(x[i], 0.3F, start[i]));
    return sum;
  });
}

TEST(Vector, Rope) {
  std::mt19937 rng(6);
  const std::size_t heads = 3;
  const std::size_t dim = 100;
  const auto x = random_floats(heads * dim, rng);
  std::vector<float> cos(50), sin(50);
  for (std::size_t i = 0; i < 50; ++i) {
    cos[i] = static_cast<float>(std::cos(0.37 * static_cast<double>(i)));
    sin[i] = static_cast<float>(std::sin(0.37 * static_cast<double>(i)));
  }
  for (const bool halves : {false, true}) {
    same_everywhere([&](const KernelTable& k, std::size_t pairs) {
      std::vector<float> out(x);
      k.rope(out.data(), heads, dim, 2 * pairs, cos.data(), sin.data(), halves);
      for (std::size_t h = 0; h < heads; ++h) {
        for (std::size_t i = 0; i < dim; ++i) {
          float want = x[h * dim + i];
          if (i < 2 * pairs) {
            const std::size_t pair = halves ? i % pairs : i / 2;
            const bool second = halves ? i >= pairs : i % 2 == 1;
            const float a = x[h * dim + (halves ? pair : 2 * pair)];
            const float b = x[h * dim + (halves ? pair + pairs : 2 * pair + 1)];
            want = second ? std::fma(a, sin[pair], b * cos[pair])
                          : std::fma(a, cos[pair], -(b * sin[pair]));
          }
          EXPECT_EQ(out[h * dim + i], want) << "pairs " << pairs << " at " << i;
        }
      }
      return out;
    });
  }
}

TEST(Vector, Argmax) {
  for (const KernelTable* k : tables_here()) {
    std::vector<float> x(3000, -kInf);
    EXPECT_EQ(k->argmax(x.data(), 3000), 0U);
    x[2999] = -1e38F;
    EXPECT_EQ(k->argmax(x.data(), 3000), 2999U);
    EXPECT_EQ(k->argmax(x.data(), 2999), 0U);
    x[1500] = 5;
    x[1400] = 5;
    x[2100] = 5;
    EXPECT_EQ(k->argmax(x.data(), 3000), 1400U) << "the lowest on a tie";
    x[7] = std::nanf("");
    x[1399] = std::nanf("");
    EXPECT_EQ(k->argmax(x.data(), 3000), 1400U) << "NaN never wins";
    std::fill(x.begin(), x.end(), std::nanf(""));
    EXPECT_EQ(k->argmax(x.data(), 3000), 0U);
    x[20] = -kInf;
    EXPECT_EQ(k->argmax(x.data(), 3000), 20U);
    for (std::size_t n = 1; n < kSizes; ++n) {
      std::vector<float> y(n + 16, -2);
      y[n / 2] = -1;
      y[n] = 9;  // behind the end
      EXPECT_EQ(k->argmax(y.data(), n), n / 2);
    }
  }
}

TEST(Vector, ExpSum) {
  std::mt19937 rng(7);
  const auto x = random_floats(kSizes, rng, 5);
  same_everywhere([&](const KernelTable& k, std::size_t n) {
    if (n == 0) return std::vector<float>{};
    auto in = x;
    in[n / 2] = -kInf;
    float sum = 0;
    auto out = guarded(n, [&](float* o) {
      std::copy_n(in.data(), n, o);
      sum = k.exp_sum(o, n, 0.7F);
    });
    const float max = *std::max_element(in.data(), in.data() + n);
    double total = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (max == -kInf) break;  // one value of -inf: NaN, which nobody samples from
      // The argument's two roundings are amplified by its size.
      const double u = static_cast<double>(in[i] - max) * static_cast<double>(0.7F);
      EXPECT_LT(ulps(out[i], std::exp(u)), 2 + std::abs(u)) << in[i];
      total += std::exp(u);
    }
    if (max != -kInf) {
      EXPECT_LT(ulps(sum, total), 20);
    }
    out.push_back(sum);
    return out;
  });
}

TEST(Vector, ExponentialIsWithinAnUlp) {
  double worst = 0;
  for (const KernelTable* k : tables_here()) {
    // x - max with max = 0 is exact. Every 97th float from -2^-30 to -110, through the subnormals.
    std::vector<float> in(16);
    std::uint32_t at = std::bit_cast<std::uint32_t>(-0x1p-30F);
    while (std::bit_cast<float>(at) > -110) {
      in[0] = 0;
      for (std::size_t i = 1; i < 16; ++i, at += 997) in[i] = std::bit_cast<float>(at);
      std::vector<float> out(in);
      k->exp_sum(out.data(), 16, 1);
      for (std::size_t i = 1; i < 16; ++i) {
        worst = std::max(worst, ulps(out[i], std::exp(static_cast<double>(in[i]))));
      }
    }
  }
  RecordProperty("worst_ulps", std::to_string(worst));
  EXPECT_LT(worst, 1.1);
}

TEST(Vector, TanhIsWithinTwoUlps) {
  double worst = 0;
  for (const KernelTable* k : tables_here()) {
    for (std::uint32_t at = std::bit_cast<std::uint32_t>(0x1p-30F);
         std::bit_cast<float>(at) < 20;) {
      std::vector<float> in(16);
      for (std::size_t i = 0; i < 16; ++i, at += 991) {
        in[i] = std::bit_cast<float>(at) * (i % 2 == 0 ? 1.0F : -1.0F);
      }
      std::vector<float> out(in);
      k->softcap(out.data(), 16, 1);
      for (std::size_t i = 0; i < 16; ++i) {
        worst = std::max(worst, ulps(out[i], std::tanh(static_cast<double>(in[i]))));
      }
    }
  }
  RecordProperty("worst_ulps", std::to_string(worst));
  EXPECT_LT(worst, 2.0);
}

TEST(Vector, Softcap) {
  const auto x = mixed_values(kSizes, 8);
  same_everywhere([&](const KernelTable& k, std::size_t n) {
    auto out = guarded(n, [&](float* o) {
      std::copy_n(x.data(), n, o);
      k.softcap(o, n, 30);
    });
    for (std::size_t i = 0; i < n; ++i) {
      if (std::abs(x[i]) < 1e-37F) continue;  // x / 30 is subnormal
      EXPECT_LT(ulps(out[i], 30 * std::tanh(static_cast<double>(x[i]) / 30)), 4);
    }
    return out;
  });
}

TEST(Vector, SpecialValues) {
  for (const KernelTable* k : tables_here()) {
    std::vector<float> x = {0.0F, -0.0F, kInf, -kInf, std::nanf("")};
    k->softcap(x.data(), x.size(), 5);
    EXPECT_EQ(x[0], 0.0F);
    EXPECT_TRUE(std::signbit(x[1]));
    EXPECT_EQ(x[2], 5.0F);
    EXPECT_EQ(x[3], -5.0F);
    EXPECT_TRUE(std::isnan(x[4]));
    std::vector<float> e = {0, -kInf, std::nanf(""), -103.0F};
    k->exp_sum(e.data(), e.size(), 1);
    EXPECT_EQ(e[0], 1.0F);
    EXPECT_EQ(e[1], 0.0F);
    EXPECT_TRUE(std::isnan(e[2]));
    EXPECT_EQ(e[3], 0x1p-149F) << "subnormals are kept";
  }
}

}  // namespace
}  // namespace minerva::kernels
