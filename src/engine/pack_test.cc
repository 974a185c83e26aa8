// pack + multiply against dequantise + a dot product in double, for every type of the file formats,
// on every instruction set that runs here.
#include "engine/pack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "engine/pack_blocks.h"
#include "formats/dequantize.h"
#include "formats/half.h"
#include "kernels/kernel_table.h"

namespace minerva::engine {
namespace {

using formats::DType;
using kernels::Isa;

// Random weights of a type: random bytes, with each half-precision scale made finite and small.
std::vector<std::byte> random_weights(DType type, std::size_t n, std::mt19937& rng) {
  const formats::DTypeInfo& info = formats::dtype_info(type);
  std::vector<std::byte> out(n / info.block * info.block_bytes);
  std::uniform_int_distribution<int> byte(0, 255);
  for (std::byte& b : out) b = static_cast<std::byte>(byte(rng));
  std::uniform_real_distribution<float> small(-0.01F, 0.01F);
  const auto put_half = [&](std::size_t at, float value) {
    const std::uint16_t half = formats::float_to_half(value);
    std::memcpy(out.data() + at, &half, 2);
  };
  for (std::size_t at = 0; at < out.size(); at += info.block_bytes) {
    switch (type) {
      case DType::F32: {
        const float value = small(rng);
        std::memcpy(out.data() + at, &value, 4);
        break;
      }
      case DType::BF16:
        out[at + 1] = static_cast<std::byte>(0x3b | (byte(rng) & 0x80));
        break;
      case DType::Q4_1:
      case DType::Q5_1:
      case DType::Q4_K:
      case DType::Q5_K:
        put_half(at + 2, small(rng));
        put_half(at, small(rng));
        break;
      case DType::Q2_K:
        put_half(at + 80, small(rng));
        put_half(at + 82, small(rng));
        break;
      case DType::Q3_K:
        put_half(at + 108, small(rng));
        break;
      case DType::Q6_K:
        put_half(at + 208, small(rng));
        break;
      case DType::AFFINE4:
      case DType::AFFINE8: {
        // A minimum of about half of all codes away, as quantisers choose it.
        const float pair[2] = {small(rng), small(rng) * 100};
        std::memcpy(out.data() + at, pair, sizeof pair);
        break;
      }
      case DType::AFFINE4_BF16:
      case DType::AFFINE8_BF16:
        for (const std::size_t high : {at + 1, at + 3})
          out[high] = static_cast<std::byte>(0x3b | (byte(rng) & 0x80));
        break;
      case DType::MXFP4:
        out[at] = static_cast<std::byte>(118 + byte(rng) % 6);
        break;
      default:
        put_half(at, small(rng));
    }
    // Some scales are subnormal halves.
    if (type == DType::Q4_0 && at % 5 == 0) put_half(at, 0x1.8p-20F);
  }
  return out;
}

struct Quantized {
  std::vector<std::int8_t> q;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;
  kernels::Activations view;

  Quantized(const kernels::KernelTable& k, const std::vector<float>& x, std::size_t tokens,
            std::size_t cols, std::size_t group)
      : q(tokens * cols), scales(tokens * cols / group), sums(tokens * cols / 16) {
    view = {tokens, cols, group, q.data(), scales.data(), sums.data()};
    k.quantize(x.data(), cols, 0, tokens, view);
  }
  // The activation that the kernel works with, as a double.
  double at(std::size_t token, std::size_t k) const {
    const std::size_t tile = token / kernels::kTokenTile * kernels::kTokenTile;
    const std::size_t width = std::min(kernels::kTokenTile, view.tokens - tile);
    const std::size_t lane = token - tile;
    const std::size_t groups = view.cols / view.group;
    return static_cast<double>(q[tile * view.cols + k / 4 * 4 * width + 4 * lane + k % 4]) *
           static_cast<double>(scales[tile * groups + k / view.group * width + lane]);
  }
};

std::vector<float> random_activations(std::size_t n, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& v : x) v = normal(rng);
  return x;
}

class PackTypes : public testing::TestWithParam<DType> {};

TEST_P(PackTypes, MultiplyEqualsDequantizedDot) {
  const DType type = GetParam();
  std::mt19937 rng(7);
  const std::size_t rows = 37;
  const std::size_t tokens = 9;
  const std::size_t cols = formats::dtype_info(type).block == 256 ? 768 : 608;
  const auto bytes = random_weights(type, rows * cols, rng);
  const auto x = random_activations(tokens * cols, rng);
  std::vector<float> w(rows * cols);
  formats::dequantize(type, bytes.data(), w.data(), w.size());
  for (const PackMode mode : {PackMode::Native, PackMode::Float32}) {
    auto packed = PackedWeight::pack(type, bytes, rows, cols, mode);
    ASSERT_TRUE(packed) << packed.error().message;
    ASSERT_EQ(packed->rows_padded(), 48U);
    std::vector<float> expected;
    for (const Isa isa : {Isa::Scalar, Isa::Avx2, Isa::Avx512}) {
      const kernels::KernelTable* k = kernels::find_kernels(isa);
      if (k == nullptr) continue;
      SCOPED_TRACE(k->name);
      std::vector<float> out(tokens * 48, -1);
      const std::size_t group = packed->activation_group();
      const Quantized a(*k, x, tokens, cols, group == 0 ? 32 : group);
      if (group != 0) {
        k->gemm_quant(packed->quant(), a.view, 0, packed->panels(), out.data(), 48);
      } else {
        k->gemm_float(packed->floats(), x.data(), tokens, cols, 0, packed->panels(), out.data(),
                      48);
      }
      for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t r = 0; r < rows; ++r) {
          double exact = 0;    // with the activations as the kernel has them
          double real = 0;     // with the float activations
          double bound = 0;    // what rounding activations to 8 bits can cost
          double largest = 0;  // for the float rounding of the sum
          double mass = 0;
          for (std::size_t i = 0; i < cols; ++i) {
            const auto weight = static_cast<double>(w[r * cols + i]);
            const auto value = static_cast<double>(x[t * cols + i]);
            const double seen = group == 0 ? value : a.at(t, i);
            exact += weight * seen;
            real += weight * value;
            bound += std::abs(weight) * std::abs(value - seen);
            largest = std::max(largest, std::abs(weight));
            mass += std::abs(seen);
          }
          // One rounding of 2^-24 a step and a few in scales and weights.
          const double rounding = largest * mass * 0x1p-21;
          const auto got = static_cast<double>(out[t * 48 + r]);
          ASSERT_NEAR(got, exact, rounding) << "token " << t << " row " << r;
          ASSERT_NEAR(got, real, bound + rounding) << "token " << t << " row " << r;
        }
        for (std::size_t r = rows; r < 48; ++r) ASSERT_EQ(out[t * 48 + r], 0.0F);
      }
      // The same bits on every instruction set.
      if (expected.empty()) expected = out;
      ASSERT_EQ(std::memcmp(expected.data(), out.data(), out.size() * 4), 0);
    }
  }
}

std::vector<DType> decodable_types() {
  std::vector<DType> out;
  for (const formats::DTypeInfo& info : formats::all_dtypes()) {
    if (info.decodable) out.push_back(info.type);
  }
  for (const formats::DTypeInfo& info : formats::own_dtypes()) out.push_back(info.type);
  return out;
}
INSTANTIATE_TEST_SUITE_P(All, PackTypes, testing::ValuesIn(decodable_types()),
                         [](const auto& info) {
                           return std::string(formats::dtype_info(info.param).name);
                         });

TEST(Pack, ParallelPiecesEqualTheWhole) {
  std::mt19937 rng(9);
  const auto bytes = random_weights(DType::Q6_K, 50 * 256, rng);
  auto whole = PackedWeight::pack(DType::Q6_K, bytes, 50, 256, PackMode::Native);
  auto pieces = PackedWeight::prepare(DType::Q6_K, bytes, 50, 256, PackMode::Native);
  ASSERT_TRUE(whole && pieces);
  pieces->pack_panels(bytes, 2, 4);
  pieces->pack_panels(bytes, 0, 2);
  ASSERT_EQ(whole->bytes(), pieces->bytes());
  EXPECT_EQ(std::memcmp(whole->quant().codes, pieces->quant().codes, whole->bytes()), 0);
}

// The two smallest exponents of MXFP4 are subnormal floats, and 255 is a number to the reference.
TEST(Pack, Mxfp4ScalesAreTheReferenceDecoders) {
  for (const int e : {0, 1, 2, 127, 254, 255}) {
    std::vector<std::byte> block(17, static_cast<std::byte>(0x22));
    block[0] = static_cast<std::byte>(e);
    float decoded[32];
    formats::dequantize(DType::MXFP4, block.data(), decoded, 32);
    auto packed = PackedWeight::pack(DType::MXFP4, block, 1, 32, PackMode::Native);
    ASSERT_TRUE(packed);
    const float d = *static_cast<const float*>(packed->quant().scales);
    EXPECT_EQ(d * 2, decoded[0]) << "exponent " << e;  // code 2 stands for 2
  }
}

TEST(Pack, RefusesShapesThatLie) {
  const std::vector<std::byte> bytes(18 * 4);
  const auto refuse = [&](DType type, std::size_t rows, std::size_t cols, ErrorCode code,
                          std::string_view text) {
    const auto packed = PackedWeight::pack(type, bytes, rows, cols, PackMode::Native);
    ASSERT_FALSE(packed);
    EXPECT_EQ(packed.error().code, code);
    EXPECT_NE(packed.error().message.find(text), std::string::npos) << packed.error().message;
  };
  refuse(DType::Q4_0, 5, 32, ErrorCode::InvalidModel, "takes 90 bytes, but 72 are there");
  refuse(DType::Q4_0, 4, 33, ErrorCode::InvalidModel, "multiple of 32");
  refuse(DType::Q4_0, 0, 32, ErrorCode::InvalidModel, "0 x 32");
  refuse(DType::Q4_0, std::size_t{1} << 62, 32, ErrorCode::InvalidModel, "takes");
  refuse(DType::IQ2_XXS, 4, 256, ErrorCode::Unsupported, "IQ2_XXS");
}

}  // namespace
}  // namespace minerva::engine
