#include "formats/dequantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "formats/byte_reader.h"

namespace minerva::formats {
namespace {

struct Golden {
  std::vector<std::byte> blocks;
  std::vector<float> weights;
};

// tools/make_dequant_goldens.py draws the layout.
Golden read_golden(const DTypeInfo& info) {
  std::string name(info.name);
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const std::string path = std::string(MINERVA_SOURCE_DIR) + "/tests/data/formats/" + name + ".bin";
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  const std::string file((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  ByteReader reader(std::as_bytes(std::span(file)));
  std::uint32_t count = 0;
  std::uint32_t block_bytes = 0;
  std::span<const std::byte> blocks;
  std::span<const std::byte> weights;
  EXPECT_TRUE(reader.read(count) && reader.read(block_bytes) &&
              reader.read_bytes(block_bytes, blocks) && reader.read_bytes(count * 4ull, weights) &&
              reader.left() == 0)
      << path;
  Golden golden{{blocks.begin(), blocks.end()}, std::vector<float>(weights.size() / 4)};
  if (!weights.empty()) std::memcpy(golden.weights.data(), weights.data(), weights.size());
  return golden;
}

class Dequantize : public ::testing::TestWithParam<DTypeInfo> {};

TEST_P(Dequantize, IsBitForBitThePythonPackages) {
  const DTypeInfo& info = GetParam();
  const Golden golden = read_golden(info);
  const std::size_t n = golden.weights.size();
  ASSERT_GE(n, 64u);
  ASSERT_EQ(n / info.block * info.block_bytes, golden.blocks.size());
  // One byte off any alignment: blocks lie where the file puts them.
  std::vector<std::byte> shifted(golden.blocks.size() + 1);
  std::ranges::copy(golden.blocks, shifted.begin() + 1);
  std::vector<float> out(n + 1, 12345.0f);
  dequantize(info.type, shifted.data() + 1, out.data(), n);
  for (std::size_t i = 0; i < n; ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(out[i]), std::bit_cast<std::uint32_t>(golden.weights[i]))
        << "weight " << i << ": " << out[i] << ", expected " << golden.weights[i];
  }
  EXPECT_EQ(out[n], 12345.0f) << "wrote past the end";
}

std::vector<DTypeInfo> decodable() {
  std::vector<DTypeInfo> out;
  std::ranges::copy_if(all_dtypes(), std::back_inserter(out), &DTypeInfo::decodable);
  return out;
}

INSTANTIATE_TEST_SUITE_P(Types, Dequantize, ::testing::ValuesIn(decodable()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(DType, EveryTypeOfTheSampleModelsAndOfTheIssueIsDecodable) {
  EXPECT_EQ(decodable().size(), 16u);
  EXPECT_EQ(find_dtype(4), nullptr);  // dead ids of older files
  EXPECT_EQ(find_dtype(31), nullptr);
  EXPECT_EQ(find_dtype(0xffffffffu), nullptr);
  EXPECT_EQ(dtype_info(DType::Q4_K).block_bytes, 144u);
}

TEST(Half, EveryHalfSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = half_to_float(half);
    const bool nan = (half & 0x7fffu) > 0x7c00u;
    ASSERT_EQ(std::isnan(value), nan);
    ASSERT_EQ(float_to_half(value), nan ? (half | 0x0200u) : half) << bits;
  }
}

// In a half's last place 2^-24 (subnormals) to 2^5: values come from arithmetic, not from bits.
TEST(Half, IsTheNumberItStandsFor) {
  for (std::uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const std::uint32_t exponent = bits >> 10;
    const std::uint32_t mantissa = bits & 0x3ff;
    const double expected = exponent == 0
                                ? std::ldexp(mantissa, -24)
                                : std::ldexp(1024 + mantissa, static_cast<int>(exponent) - 25);
    ASSERT_EQ(half_to_float(static_cast<std::uint16_t>(bits)), expected);
    ASSERT_EQ(half_to_float(static_cast<std::uint16_t>(bits | 0x8000)), -expected);
  }
  EXPECT_EQ(half_to_float(0x7c00), std::numeric_limits<float>::infinity());
  EXPECT_EQ(bfloat16_to_float(0x3fc0), 1.5f);
}

TEST(Half, RoundsToNearestAndTiesToEven) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (std::uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const auto low = static_cast<std::uint16_t>(bits);
    const auto high = static_cast<std::uint16_t>(bits + 1);
    const float middle = (half_to_float(low) + half_to_float(high)) / 2;  // exact in a float
    ASSERT_EQ(float_to_half(middle), bits % 2 == 0 ? low : high) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0f)), low) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, kInfinity)), high) << bits;
    ASSERT_EQ(float_to_half(-middle), (bits % 2 == 0 ? low : high) | 0x8000) << bits;
  }
  EXPECT_EQ(float_to_half(65519.996f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(-kInfinity), 0xfc00);
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::denorm_min()), 0);
}

}  // namespace
}  // namespace minerva::formats
