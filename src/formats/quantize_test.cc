#include "formats/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "formats/dequantize.h"
#include "formats/half.h"

namespace minerva::formats {
namespace {

std::vector<float> back(DType type, const std::vector<float>& in) {
  const DTypeInfo& info = dtype_info(type);
  std::vector<std::byte> blocks(in.size() / info.block * info.block_bytes);
  quantize(type, in.data(), blocks.data(), in.size());
  std::vector<float> out(in.size());
  dequantize(type, blocks.data(), out.data(), out.size());
  return out;
}

std::vector<float> some_floats(std::size_t n) {
  std::mt19937 rng(3);
  std::normal_distribution<float> normal(0, 0.1F);
  std::vector<float> out(n);
  for (float& value : out) value = normal(rng);
  return out;
}

TEST(Quantize, FloatsAreRoundedToTheNearest) {
  const auto in = some_floats(4096);
  EXPECT_EQ(back(DType::F32, in), in);
  const auto half = back(DType::F16, in);
  const auto brain = back(DType::BF16, in);
  for (std::size_t i = 0; i < in.size(); ++i) {
    EXPECT_LE(std::abs(half[i] - in[i]), std::abs(in[i]) * 0x1p-11F + 0x1p-25F);
    EXPECT_LE(std::abs(brain[i] - in[i]), std::abs(in[i]) * 0x1p-8F);
  }
  // Ties go to even.
  EXPECT_EQ(back(DType::BF16, {1 + 0x1p-8F, 1 + 0x3p-8F})[0], 1.0F);
  EXPECT_EQ(back(DType::BF16, {1 + 0x1p-8F, 1 + 0x3p-8F})[1], 1 + 0x4p-8F);
  EXPECT_TRUE(std::isnan(back(DType::BF16, {std::nanf("")})[0]));
}

TEST(Quantize, BlocksStayWithinHalfAStep) {
  const auto in = some_floats(4096);
  for (const DType type : {DType::Q8_0, DType::Q4_0}) {
    const auto out = back(type, in);
    for (std::size_t b = 0; b < in.size(); b += 32) {
      float largest = 0;
      for (std::size_t i = b; i < b + 32; ++i) largest = std::max(largest, std::abs(in[i]));
      // Q4_0's codes end at 7 steps on one side: what lies beyond them is a step off at most. The
      // scale itself is rounded to a half.
      const float step = type == DType::Q8_0 ? largest / 127 : largest / 8;
      const float bound = (type == DType::Q8_0 ? 0.5F : 1.0F) * step + largest * 0x1p-10F;
      for (std::size_t i = b; i < b + 32; ++i) EXPECT_NEAR(out[i], in[i], bound) << i;
    }
  }
}

// What the value of the largest magnitude becomes, by hand.
TEST(Quantize, TheLargestValueIsTheLastCode) {
  std::vector<float> in(64, 0.0F);
  in[3] = 2.0F;
  in[35] = -2.0F;
  std::vector<std::byte> blocks(2 * 18);
  quantize(DType::Q4_0, in.data(), blocks.data(), in.size());
  std::uint16_t d = 0;
  std::memcpy(&d, blocks.data(), 2);
  EXPECT_EQ(half_to_float(d), -0.25F);
  EXPECT_EQ(std::to_integer<int>(blocks[2 + 3]) & 15, 0);
  std::memcpy(&d, blocks.data() + 18, 2);
  EXPECT_EQ(half_to_float(d), 0.25F);
  EXPECT_EQ(back(DType::Q4_0, in)[3], 2.0F);
  EXPECT_EQ(back(DType::Q8_0, std::vector<float>(32, -12.7F))[0],
            half_to_float(float_to_half(0.1F)) * -127);
}

TEST(Quantize, WhatIsNoNumberShows) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    for (const DType type : {DType::Q8_0, DType::Q4_0}) {
      std::vector<float> in(64, 1.0F);
      in[7] = bad;
      const auto out = back(type, in);
      EXPECT_TRUE(std::isnan(out[0]));
      EXPECT_NEAR(out[40], 1.0F, 0.01F);
    }
  }
  EXPECT_EQ(back(DType::Q8_0, std::vector<float>(32, 0.0F)), std::vector<float>(32, 0.0F));
}

}  // namespace
}  // namespace minerva::formats
