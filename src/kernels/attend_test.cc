// Attention over a range: against double arithmetic, equal on every instruction set, and blind to
// whatever lies outside the visible positions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/test_matrices.h"

namespace minerva::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr std::uint16_t kHalfNan = 0x7e01;

struct Cache {
  Cache(std::size_t dim, std::size_t positions, unsigned seed) : head_dim(dim) {
    std::mt19937 rng(seed);
    k = random_floats(positions * dim, rng);
    v = random_floats(positions * dim, rng);
    const std::size_t count = (positions + kPagePositions - 1) / kPagePositions;
    pages.assign(count, std::vector<std::uint16_t>(2 * kPagePositions * dim, kHalfNan));
    rests = pages;
    for (std::size_t t = 0; t < positions; ++t) {
      std::uint16_t* page = pages[t / kPagePositions].data();
      find_kernels(Isa::Scalar)
          ->store_kv(k.data() + t * dim, v.data() + t * dim, dim, t % kPagePositions, page,
                     page + kPagePositions * dim);
      std::uint16_t* rest = rests[t / kPagePositions].data();
      find_kernels(Isa::Scalar)
          ->store_kv_rest(k.data() + t * dim, v.data() + t * dim, dim, t % kPagePositions, rest,
                          rest + kPagePositions * dim);
    }
  }
  // The values as stored: rounded to f16. With what that took away they are the values themselves.
  double key(std::size_t t, std::size_t d, bool exact) const {
    if (exact) return static_cast<double>(k[t * head_dim + d]);
    return half(pages[t / 32][d * 32 + t % 32]);
  }
  double value(std::size_t t, std::size_t d, bool exact) const {
    if (exact) return static_cast<double>(v[t * head_dim + d]);
    return half(pages[t / 32][32 * head_dim + t % 32 * head_dim + d]);
  }
  static double half(std::uint16_t bits) {
    const int exponent = bits >> 10 & 31;
    const double size = exponent == 0 ? std::ldexp(bits & 1023, -24)
                                      : std::ldexp(1024 + (bits & 1023), exponent - 25);
    return (bits & 0x8000) != 0 ? -size : size;
  }

  std::size_t head_dim;
  std::vector<float> k, v;
  std::vector<std::vector<std::uint16_t>> pages, rests;
};

struct State {
  std::vector<float> max, sum, acc;
};

// Visits the ranges of [first, end) as the engine does; pages without a visible position are null.
State run(const KernelTable& table, const Cache& cache, const std::vector<float>& q,
          std::size_t heads, std::size_t first, std::size_t end, float softcap,
          bool exact = false) {
  State s{std::vector<float>(heads, -kInf), std::vector<float>(heads, 0),
          std::vector<float>(heads * cache.head_dim, std::nanf(""))};
  for (std::size_t range = first / 256; range * 256 < end; ++range) {
    KvPage pages[8];
    const std::size_t from = std::max(first, range * 256);
    const std::size_t to = std::min(end, range * 256 + 256);
    for (std::size_t i = 0; i < 8; ++i) {
      const std::size_t page = range * 8 + i;
      if (page * 32 + 32 <= from || page * 32 >= to) continue;
      pages[i] = {.k = cache.pages[page].data(),
                  .v = cache.pages[page].data() + 32 * cache.head_dim};
      if (!exact) continue;
      pages[i].k_rest = cache.rests[page].data();
      pages[i].v_rest = cache.rests[page].data() + 32 * cache.head_dim;
    }
    table.attend({q.data(), heads, cache.head_dim, pages, from - range * 256, to - range * 256,
                  0.125F, softcap, s.max.data(), s.sum.data(), s.acc.data(), exact});
  }
  return s;
}

void expect_near_double(const State& s, const Cache& cache, const std::vector<float>& q,
                        std::size_t heads, std::size_t first, std::size_t end, double softcap,
                        bool exact) {
  for (std::size_t h = 0; h < heads; ++h) {
    std::vector<double> p;
    double max = -std::numeric_limits<double>::infinity();
    for (std::size_t t = first; t < end; ++t) {
      double score = 0;
      for (std::size_t d = 0; d < cache.head_dim; ++d) {
        score += static_cast<double>(q[h * cache.head_dim + d]) * cache.key(t, d, exact);
      }
      score *= 0.125;
      if (softcap != 0) score = softcap * std::tanh(score / softcap);
      p.push_back(score);
      max = std::max(max, score);
    }
    double sum = 0;
    for (double& score : p) sum += score = std::exp(score - max);
    ASSERT_NEAR(static_cast<double>(s.max[h]), max, 1e-5);
    for (std::size_t d = 0; d < cache.head_dim; ++d) {
      double acc = 0;
      for (std::size_t t = first; t < end; ++t) acc += p[t - first] * cache.value(t, d, exact);
      // Scores are sums of head_dim products of size ~1: an error of about 1e-5 in the exponent.
      ASSERT_NEAR(static_cast<double>(s.acc[h * cache.head_dim + d] / s.sum[h]), acc / sum, 3e-5);
    }
  }
}

bool equal(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

TEST(Attend, EqualsDoubleArithmeticAndEveryIsa) {
  std::mt19937 rng(31);
  for (const std::size_t dim : {16U, 64U, 80U, 128U}) {
    const Cache cache(dim, 600, 32);
    for (std::size_t heads = 1; heads <= 9; heads += dim == 64 ? 1 : 4) {
      const auto q = random_floats(heads * dim, rng);
      for (const auto& [first, end] : std::vector<std::pair<std::size_t, std::size_t>>{
               {0, 1}, {0, 33}, {0, 256}, {5, 6}, {31, 97}, {200, 300}, {40, 600}, {256, 512}}) {
        for (const auto& [softcap, exact] :
             {std::pair{0.0F, false}, {2.0F, false}, {0.0F, true}, {2.0F, true}}) {
          const State expected =
              run(*find_kernels(Isa::Scalar), cache, q, heads, first, end, softcap, exact);
          expect_near_double(expected, cache, q, heads, first, end, static_cast<double>(softcap),
                             exact);
          for (const KernelTable* table : tables_here()) {
            const State s = run(*table, cache, q, heads, first, end, softcap, exact);
            ASSERT_TRUE(equal(s.max, expected.max) && equal(s.sum, expected.sum) &&
                        equal(s.acc, expected.acc))
                << table->name << " heads " << heads << " dim " << dim << " [" << first << ", "
                << end << ") exact " << exact;
          }
        }
      }
    }
  }
}

// A head's result does not depend on the heads beside it.
TEST(Attend, HeadsAreIndependent) {
  std::mt19937 rng(33);
  const Cache cache(64, 300, 34);
  const auto q = random_floats(7 * 64, rng);
  for (const KernelTable* table : tables_here()) {
    const State all = run(*table, cache, q, 7, 3, 300, 0);
    for (std::size_t h = 0; h < 7; ++h) {
      const std::vector<float> one(q.begin() + static_cast<std::ptrdiff_t>(64 * h),
                                   q.begin() + static_cast<std::ptrdiff_t>(64 * (h + 1)));
      const State single = run(*table, cache, one, 1, 3, 300, 0);
      EXPECT_EQ(single.sum[0], all.sum[h]);
      EXPECT_EQ(std::memcmp(single.acc.data(), all.acc.data() + 64 * h, 64 * 4), 0);
    }
  }
}

// Positions outside [first, end) hold NaN here, in keys and in values.
TEST(Attend, SeesOnlyVisiblePositions) {
  std::mt19937 rng(35);
  const auto q = random_floats(3 * 64, rng);
  const Cache clean(64, 256, 36);
  for (const auto& [first, end] :
       std::vector<std::pair<std::size_t, std::size_t>>{{0, 40}, {37, 41}, {100, 256}}) {
    Cache poisoned(64, 256, 36);
    for (std::size_t t = 0; t < 256; ++t) {
      if (t >= first && t < end) continue;
      std::vector<std::uint16_t>& page = poisoned.pages[t / 32];
      for (std::size_t d = 0; d < 64; ++d) {
        page[d * 32 + t % 32] = kHalfNan;
        page[32 * 64 + t % 32 * 64 + d] = kHalfNan;
      }
    }
    for (const KernelTable* table : tables_here()) {
      const State a = run(*table, clean, q, 3, first, end, 0);
      const State b = run(*table, poisoned, q, 3, first, end, 0);
      EXPECT_TRUE(equal(a.acc, b.acc) && equal(a.sum, b.sum) && equal(a.max, b.max)) << table->name;
    }
  }
}

TEST(StoreKv, RoundsHalfToEvenIntoItsSlot) {
  std::vector<float> k(32), v(32);
  const float tricky[] = {1.00048828125F, 1.00146484375F, 65519, 65520, -65520, 6e-8F,   2.9e-8F,
                          3.1e-8F,        0x1.fffp-15F,   -0.0F, kInf,  -kInf,  6.1e-5F, 1e-30F};
  const std::uint16_t expected[] = {0x3c00, 0x3c02, 0x7bff, 0x7c00, 0xfc00, 0x0001, 0x0000,
                                    0x0001, 0x0400, 0x8000, 0x7c00, 0xfc00, 0x03ff, 0x0000};
  std::copy(std::begin(tricky), std::end(tricky), k.begin());
  std::copy(std::begin(tricky), std::end(tricky), v.begin());
  for (const KernelTable* table : tables_here()) {
    std::vector<std::uint16_t> page_k(32 * 32, 0xaaaa), page_v(32 * 32, 0xaaaa);
    table->store_kv(k.data(), v.data(), 32, 5, page_k.data(), page_v.data());
    for (std::size_t i = 0; i < std::size(tricky); ++i) {
      EXPECT_EQ(page_k[i * 32 + 5], expected[i]) << table->name << " " << tricky[i];
      EXPECT_EQ(page_v[5 * 32 + i], expected[i]) << table->name << " " << tricky[i];
    }
    std::size_t untouched = 0;
    for (const std::uint16_t value : page_k) untouched += value == 0xaaaa;
    EXPECT_EQ(untouched, 31U * 32U);
  }
}

// A value and its rest, each with eleven bits, are the value to its last bit or nearly.
TEST(StoreKv, TheRestIsWhatRoundingTook) {
  std::mt19937 rng(37);
  const std::vector<float> k = random_floats(32, rng), v = random_floats(32, rng);
  for (const KernelTable* table : tables_here()) {
    std::vector<std::uint16_t> page(2 * 32 * 32, 0xaaaa), rest = page;
    table->store_kv(k.data(), v.data(), 32, 9, page.data(), page.data() + 32 * 32);
    table->store_kv_rest(k.data(), v.data(), 32, 9, rest.data(), rest.data() + 32 * 32);
    for (std::size_t d = 0; d < 32; ++d) {
      const auto expect = [&](std::size_t at, float whole) {
        const auto value = static_cast<double>(whole);
        const double unit = std::max(std::ldexp(std::abs(value), -22), std::ldexp(1, -24));
        EXPECT_NEAR(Cache::half(page[at]) + Cache::half(rest[at]), value, unit / 2) << table->name;
      };
      expect(d * 32 + 9, k[d]);
      expect(32 * 32 + 9 * 32 + d, v[d]);
    }
    EXPECT_EQ(std::ranges::count(rest, 0xaaaa), 2 * 31 * 32);
  }
}

}  // namespace
}  // namespace minerva::kernels
