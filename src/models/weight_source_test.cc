// MLX's quantised weights against its rule, written plainly here: weight = scale * code + bias,
// codes in one stream of bits from the lowest on.
#include "models/weight_source.h"
#include "models/transposed_rows.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "formats/dequantize.h"
#include "formats/half.h"
#include "models/folder_tensors.h"
#include "models/test_files.h"
#include "models/transposed_rows.h"

namespace minerva::models {
namespace {

using formats::DType;
using testing::HasSubstr;

struct Quantized {
  std::vector<std::byte> codes, scales, biases;
  std::vector<float> values;  // dequantised
};

void put_bits(std::vector<std::byte>& bytes, std::size_t bit, unsigned count, unsigned value) {
  for (unsigned i = 0; i < count; ++i, ++bit)
    bytes[bit / 8] |= static_cast<std::byte>(((value >> i) & 1U) << (bit % 8));
}

std::vector<std::byte> stored(DType type, float& value) {
  std::vector<std::byte> out;
  if (type == DType::F32) {
    test::append(out, value);
  } else if (type == DType::F16) {
    const std::uint16_t half = formats::float_to_half(value);
    value = formats::half_to_float(half);
    test::append(out, half);
  } else {
    const auto bits = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
    value = formats::bfloat16_to_float(bits);
    test::append(out, bits);
  }
  return out;
}

Quantized random_quantized(unsigned bits, std::size_t group, DType type, std::size_t rows,
                           std::size_t cols) {
  std::mt19937 rng(bits * 1000 + static_cast<unsigned>(group));
  std::normal_distribution<float> normal(0, 0.01F);
  Quantized out;
  out.codes.resize(rows * cols * bits / 8);
  for (std::size_t g = 0; g < rows * cols / group; ++g) {
    float scale = normal(rng);
    float bias = normal(rng) * 100;
    for (const std::byte b : stored(type, scale)) out.scales.push_back(b);
    for (const std::byte b : stored(type, bias)) out.biases.push_back(b);
    for (std::size_t i = 0; i < group; ++i) {
      const auto code = static_cast<unsigned>(rng() % (1U << bits));
      put_bits(out.codes, (g * group + i) * bits, bits, code);
      out.values.push_back(scale * static_cast<float>(code) + bias);
    }
  }
  return out;
}

TEST(Affine, EveryWidthIsExact) {
  constexpr std::size_t kRows = 3;
  constexpr std::size_t kCols = 256;
  for (const unsigned bits : {2U, 3U, 4U, 5U, 6U, 8U}) {
    for (const std::size_t group : {32U, 64U, 128U}) {
      for (const DType type : {DType::F32, DType::F16, DType::BF16}) {
        SCOPED_TRACE(fmt::format("{} bits, {} {}", bits, group, formats::dtype_info(type).name));
        const Quantized made = random_quantized(bits, group, type, kRows, kCols);
        WeightSource source;
        source.form = WeightSource::Form::Affine;
        source.type = affine_type(bits, type);
        source.rows = kRows;
        source.cols = kCols;
        source.affine = {bits, group, type, made.codes, made.scales, made.biases};
        std::vector<std::byte> row(source.row_bytes());
        std::vector<float> got(kCols);
        for (std::size_t r = 0; r < kRows; ++r) {
          source.read_row(r, row.data());
          formats::dequantize(source.type, row.data(), got.data(), kCols);
          for (std::size_t i = 0; i < kCols; ++i)
            ASSERT_EQ(got[i], made.values[r * kCols + i]) << "row " << r << " col " << i;
        }
      }
    }
  }
}

TEST(Affine, ScalesThatAreHalvesNeedNoWiderOnes) {
  EXPECT_EQ(affine_type(4, DType::F16), DType::Q4_1);
  EXPECT_EQ(affine_type(4, DType::BF16), DType::AFFINE4_BF16);
  EXPECT_EQ(affine_type(4, DType::F32), DType::AFFINE4);
  EXPECT_EQ(affine_type(8, DType::BF16), DType::AFFINE8_BF16);
  EXPECT_EQ(affine_type(8, DType::F16), DType::AFFINE8);
  // Bits a weight: 5 and 9, of which one is the scales'.
  EXPECT_EQ(formats::dtype_info(DType::AFFINE4_BF16).block_bytes, 20U);
  EXPECT_EQ(formats::dtype_info(DType::AFFINE8_BF16).block_bytes, 36U);
}

TEST(Orders, AreOfRows) {
  WeightSource source;
  source.type = DType::F32;
  source.rows = 8;
  source.cols = 1;
  std::vector<float> values = {0, 1, 2, 3, 4, 5, 6, 7};
  source.plain = std::as_bytes(std::span(values));
  const auto read = [&](RowOrder order, std::vector<WeightSource> pieces) {
    const SourceRows rows(std::move(pieces), order);
    std::vector<float> out(order.count(8) * rows.sources().size());
    rows.read(0, std::as_writable_bytes(std::span(out)));
    return out;
  };
  RowOrder interleave{RowOrder::Kind::Interleave, 4, 0, 1};
  EXPECT_EQ(read(interleave, {source}), (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}));
  RowOrder odd{RowOrder::Kind::Every, 0, 1, 2};
  EXPECT_EQ(read(odd, {source}), (std::vector<float>{1, 3, 5, 7}));
  EXPECT_EQ(read(odd, {source, source}), (std::vector<float>{1, 3, 5, 7, 1, 3, 5, 7}));
  // Two matrices, each of two halves.
  RowOrder last{RowOrder::Kind::Half, 0, 2, 4};
  EXPECT_EQ(read(last, {source}), (std::vector<float>{2, 3, 6, 7}));
  last.first = 0;
  EXPECT_EQ(read(last, {source}), (std::vector<float>{0, 1, 4, 5}));
  // From the middle on, over the border of a piece.
  const SourceRows rows({source, source}, {});
  std::vector<float> out(4);
  rows.read(6, std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(out, (std::vector<float>{6, 7, 0, 1}));
}

TEST(Transposed, RowsAreOutputs) {
  // Two matrices of 3 inputs and 70 outputs, each value telling its place: more outputs than are
  // read at once.
  constexpr std::size_t kInputs = 3;
  constexpr std::size_t kOutputs = 70;
  std::vector<float> values(2 * kInputs * kOutputs);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  WeightSource source;
  source.type = DType::F32;
  source.rows = 2 * kInputs;
  source.cols = kOutputs;
  source.shape = {2, kInputs, kOutputs};
  source.plain = std::as_bytes(std::span(values));
  const RowOrder odd{RowOrder::Kind::Every, 0, 1, 2};
  for (const RowOrder& order : {RowOrder{}, odd}) {
    const TransposedRows rows(source, order);
    const std::size_t each = order.count(kOutputs);
    for (const std::size_t first : {std::size_t{0}, each - 2}) {
      const std::size_t count = first == 0 ? 2 * each : 5;  // all, and over a border
      std::vector<float> out(count * kInputs);
      rows.read(first, std::as_writable_bytes(std::span(out)));
      for (std::size_t i = 0; i < out.size(); ++i) {
        const std::size_t row = first + i / kInputs;
        const std::size_t output = order.source_row(row % each);
        const std::size_t at = (row / each * kInputs + i % kInputs) * kOutputs + output;
        ASSERT_EQ(out[i], values[at]) << "row " << row << ", input " << i % kInputs;
      }
    }
  }
}

class MlxFolder : public testing::Test {
 protected:
  // One module of 2 x 64 weights with 4 bits in groups of 32.
  void write(std::vector<std::uint64_t> codes = {2, 8}, std::vector<std::uint64_t> scales = {2, 2},
             std::string_view biases = "F16") {
    const auto size = [](const std::vector<std::uint64_t>& shape, std::size_t each) {
      for (const std::uint64_t dim : shape) each *= dim;
      return std::vector<std::byte>(each);
    };
    write_bytes(folder_.path() / "model.safetensors",
                test::safetensors_file({{"m.weight", "U32", codes, size(codes, 4)},
                                        {"m.scales", "F16", scales, size(scales, 2)},
                                        {"m.biases", std::string(biases), scales,
                                         size(scales, biases == "F32" ? 4 : 2)}},
                                       "mlx"));
  }
  Result<WeightSource> source(std::string_view config) {
    const auto json = nlohmann::json::parse(config);
    const auto folder = ModelFolder::open(folder_.path().string()).value();
    const auto tensors = FolderTensors::open(folder).value();
    auto out = tensors.source("m.weight", ConfigReader(json, "config.json"));
    if (out) out->affine = {};  // its views end here
    return out;
  }
  std::string refusal(std::string_view config = kConfig) {
    const auto made = source(config);
    return made ? "it was read" : made.error().message;
  }

  static constexpr std::string_view kConfig = R"({"quantization":{"bits":4,"group_size":32}})";
  test::TempFolder folder_;
};

TEST_F(MlxFolder, ModulesMayDiffer) {
  write();
  const auto usual = source(kConfig);
  ASSERT_TRUE(usual) << usual.error().message;
  EXPECT_EQ(usual->type, DType::Q4_1);
  EXPECT_EQ(usual->cols, 64U);
  EXPECT_EQ(usual->rows, 2U);
  // The module's own entry counts before that of all.
  const auto own =
      source(R"({"quantization":{"bits":3,"group_size":64,"m":{"bits":8,"group_size":16},)"
             R"("n":{"bits":4,"group_size":32}}})");
  EXPECT_THAT(own ? "read" : own.error().message, HasSubstr("8 bits, mode affine, groups of 16"));
  EXPECT_TRUE(
      source(R"({"quantization":{"bits":8,"group_size":64,"m":{"bits":4,"group_size":32}}})"));
  // As mlx-lm writes gpt_oss: an entry without a mode is affine.
  EXPECT_TRUE(source(R"({"quantization":{"bits":4,"group_size":32,"mode":"mxfp4",)"
                     R"("m":{"bits":4,"group_size":32}}})"));
}

TEST_F(MlxFolder, LiesAreRefused) {
  write();
  EXPECT_THAT(refusal("{}"), HasSubstr("no key quantization"));
  EXPECT_THAT(refusal(R"({"quantization":{"bits":8,"group_size":32}})"),
              HasSubstr("its weights are [2, 8] and its scales [2, 2], which does not fit 8 bits"));
  EXPECT_THAT(refusal(R"({"quantization":{"bits":4}})"), HasSubstr("group_size must be"));
  EXPECT_THAT(refusal(R"({"quantization":{"bits":4,"group_size":32,"mode":"nvfp4"}})"),
              HasSubstr("mode nvfp4"));
  write({3, 8});
  EXPECT_THAT(refusal(), HasSubstr("does not fit"));
  write({2, 8}, {2, 2}, "F32");
  EXPECT_THAT(refusal(), HasSubstr(".biases are missing or unlike its .scales"));
}

}  // namespace
}  // namespace minerva::models
