// Folders with weights as GPTQ, AWQ and compressed-tensors pack them, packed here anew from what is
// known of each: a weight is scale * (code - zero).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "formats/dequantize.h"
#include "formats/float8.h"
#include "formats/half.h"
#include "models/folder_model.h"
#include "models/inspect.h"
#include "models/test_folders.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using formats::DType;
using formats::GgufFile;
using formats::GgufTensor;
using testing::HasSubstr;

constexpr std::size_t kOut = 64, kIn = 96, kGroup = 32, kGroups = kIn / kGroup;
const std::string kModule = "model.layers.1.mlp.down_proj";

struct Numbers {
  unsigned bits = 4;
  std::vector<unsigned> codes;  // [output][input]
  std::vector<unsigned> zeros;  // [output][group]
  std::vector<float> scales;    // the same; exact in F16 and in BF16

  Numbers(unsigned bits, bool symmetric, unsigned seed = 1) : bits(bits) {
    std::mt19937 random(seed);
    for (std::size_t i = 0; i < kOut * kIn; ++i)
      codes.push_back(static_cast<unsigned>(random() % (1U << bits)));
    for (std::size_t i = 0; i < kOut * kGroups; ++i) {
      // From 1 on: GPTQ's first format cannot say 0.
      const unsigned zero = 1 + static_cast<unsigned>(random() % ((1U << bits) - 1));
      zeros.push_back(symmetric ? 1U << (bits - 1) : zero);
      scales.push_back(static_cast<float>(1 + random() % 127) / 4096);
    }
  }
  float weight(std::size_t out, std::size_t in) const {
    const std::size_t at = out * kGroups + in / kGroup;
    const auto code = static_cast<int>(codes[out * kIn + in]);
    return scales[at] * static_cast<float>(code - static_cast<int>(zeros[at]));
  }
};

using At = std::function<unsigned(std::size_t row, std::size_t col)>;

// [rows][cols] of words of `per` numbers from the lowest bits on: value(row, i-th of the row).
std::vector<std::byte> words(std::size_t rows, std::size_t cols, unsigned bits, const At& value) {
  std::vector<std::byte> out;
  const unsigned per = 32 / bits;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) {
      std::uint32_t word = 0;
      for (unsigned i = 0; i < per; ++i) word |= value(r, c * per + i) << (i * bits);
      test::append(out, word);
    }
  }
  return out;
}

std::vector<std::byte> halves(std::size_t rows, std::size_t cols,
                              const std::function<float(std::size_t, std::size_t)>& value) {
  std::vector<std::byte> out;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) test::append(out, formats::float_to_half(value(r, c)));
  }
  return out;
}

// The words' numbers run along the other dimension of a matrix [rows][cols].
std::vector<std::byte> words_down(std::size_t rows, std::size_t cols, unsigned bits,
                                  const At& value) {
  std::vector<std::byte> out;
  const unsigned per = 32 / bits;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) {
      std::uint32_t word = 0;
      for (unsigned i = 0; i < per; ++i) word |= value(r * per + i, c) << (i * bits);
      test::append(out, word);
    }
  }
  return out;
}

class FolderPacked : public testing::Test {
 protected:
  FolderPacked() : original_(GgufFile::parse(test::tiny_model(tiny_llama()).bytes()).value()) {
    tensors_ = folder_tensors(*original_, 32);
    std::erase_if(tensors_, [](const auto& t) { return t.name == kModule + ".weight"; });
    plain_ = tensors_;
  }
  void add(const std::string& ending, std::string dtype, std::vector<std::uint64_t> shape,
           std::vector<std::byte> data) {
    tensors_.push_back({kModule + ending, std::move(dtype), std::move(shape), std::move(data)});
  }
  void gptq(const Numbers& n, bool first_format) {
    tensors_ = plain_;
    const unsigned per = 32 / n.bits, less = first_format ? 1 : 0;
    add(".qweight", "I32", {kIn / per, kOut},
        words_down(kIn / per, kOut, n.bits,
                   [&](std::size_t in, std::size_t out) { return n.codes[out * kIn + in]; }));
    add(".qzeros", "I32", {kGroups, kOut / per},
        words(kGroups, kOut / per, n.bits, [&](std::size_t group, std::size_t out) {
          return n.zeros[out * kGroups + group] - less;
        }));
    add_scales(n);
    std::vector<std::byte> index;
    for (std::uint32_t i = 0; i < kIn; ++i) test::append(index, i / std::uint32_t{kGroup});
    add(".g_idx", "I32", {kIn}, std::move(index));
  }
  void awq(const Numbers& n) {
    tensors_ = plain_;
    static constexpr std::size_t kOrder[] = {0, 2, 4, 6, 1, 3, 5, 7};
    const auto shuffled = [](std::size_t i) { return i / 8 * 8 + kOrder[i % 8]; };
    add(".qweight", "I32", {kIn, kOut / 8},
        words(kIn, kOut / 8, 4,
              [&](std::size_t in, std::size_t out) { return n.codes[shuffled(out) * kIn + in]; }));
    add(".qzeros", "I32", {kGroups, kOut / 8},
        words(kGroups, kOut / 8, 4, [&](std::size_t group, std::size_t out) {
          return n.zeros[shuffled(out) * kGroups + group];
        }));
    add_scales(n);
  }
  void compressed(const Numbers& n, bool symmetric) {
    tensors_ = plain_;
    const unsigned per = 32 / n.bits;
    add(".weight_packed", "I32", {kOut, kIn / per},
        words(kOut, kIn / per, n.bits,
              [&](std::size_t out, std::size_t in) { return n.codes[out * kIn + in]; }));
    std::vector<std::byte> scales;
    for (const float scale : n.scales)
      test::append(scales, static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(scale) >> 16));
    add(".weight_scale", "BF16", {kOut, kGroups}, std::move(scales));
    std::vector<std::byte> shape;
    for (const std::uint64_t size : {kOut, kIn}) test::append(shape, size);
    add(".weight_shape", "I64", {2}, std::move(shape));
    if (symmetric) return;
    add(".weight_zero_point", "I32", {kOut / per, kGroups},
        words_down(kOut / per, kGroups, n.bits, [&](std::size_t out, std::size_t group) {
          return n.zeros[out * kGroups + group];
        }));
  }
  Result<std::shared_ptr<const GgufFile>> open(std::string_view quantization) {
    write_text(path_ / "config.json",
               tiny_llama_config(fmt::format(R"(,"quantization_config":{})", quantization)));
    write_bytes(path_ / "model.safetensors", test::safetensors_file(tensors_));
    return open_model_folder(path_.string());
  }
  std::string refusal(std::string_view quantization) {
    const auto opened = open(quantization);
    return opened ? "it was opened" : opened.error().message;
  }
  // Of configurations that are refused before the weights are looked at.
  std::string judged(std::string_view quantization) {
    EXPECT_NE(refusal(quantization), "it was opened");
    write_text(path_ / "config.json",
               tiny_llama_config(fmt::format(R"(,"quantization_config":{})", quantization)));
    return inspect_path(path_.string(), {}).folder_objection;
  }
  void expect_weights(const Numbers& n, std::string_view quantization, DType type) {
    SCOPED_TRACE(quantization);
    const auto made = open(quantization);
    ASSERT_TRUE(made) << made.error().message;
    const GgufTensor* tensor = (*made)->find_tensor("blk.1.ffn_down.weight");
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->type, type);
    EXPECT_EQ((*made)->tensors().size(), plain_.size() + 1) << "no part of it is left over";
    std::vector<float> row(kIn);
    for (std::size_t out = 0; out < kOut; ++out) {
      formats::dequantize_row(*tensor, out, row.data());
      for (std::size_t in = 0; in < kIn; ++in) ASSERT_EQ(row[in], n.weight(out, in)) << out;
    }
    const ModelEntry entry = inspect_path(path_.string(), {});
    EXPECT_EQ(entry.problem, "");
    EXPECT_EQ(entry.folder_objection, "");
    EXPECT_EQ(entry.format, backend::ModelFormat::Gptq);
  }

  test::TempFolder temporary_;
  fs::path path_ = temporary_.path() / "tiny";
  std::shared_ptr<const GgufFile> original_;
  std::vector<test::SafetensorsEntry> tensors_, plain_;

 private:
  void add_scales(const Numbers& n) {
    add(".scales", "F16", {kGroups, kOut},
        halves(kGroups, kOut, [&](std::size_t group, std::size_t out) {
          return n.scales[out * kGroups + group];
        }));
  }
};

std::string gptq_config(unsigned bits, std::string_view more = {}) {
  return fmt::format(R"({{"quant_method":"gptq","bits":{},"group_size":32{}}})", bits, more);
}
std::string compressed_config(unsigned bits, std::string_view more = {}) {
  return fmt::format(R"({{"quant_method":"compressed-tensors","format":"pack-quantized",)"
                     R"("config_groups":{{"group_0":{{"weights":{{"num_bits":{},"type":"int",)"
                     R"("strategy":"group","group_size":32}}{}}}}}}})",
                     bits, more);
}
constexpr std::string_view kAwq =
    R"({"quant_method":"awq","bits":4,"group_size":32,"version":"gemm"})";

TEST_F(FolderPacked, OfGptq) {
  for (const unsigned bits : {2U, 4U, 8U}) {
    const Numbers odd(bits, false);
    gptq(odd, true);
    const DType wide = bits == 8 ? DType::AFFINE8 : DType::AFFINE4;
    expect_weights(odd, gptq_config(bits), wide);
    gptq(odd, false);
    expect_weights(odd, gptq_config(bits, R"(,"checkpoint_format":"gptq_v2")"), wide);
    const Numbers even(bits, true);
    gptq(even, true);
    // A scale and a bias in half precision do.
    expect_weights(even, gptq_config(bits), bits == 8 ? DType::AFFINE8 : DType::Q4_1);
  }
}

TEST_F(FolderPacked, OfAwq) {
  const Numbers odd(4, false);
  awq(odd);
  expect_weights(odd, kAwq, DType::AFFINE4);
}

TEST_F(FolderPacked, OfCompressedTensors) {
  for (const unsigned bits : {4U, 8U}) {
    const Numbers even(bits, true);
    compressed(even, true);
    expect_weights(even, compressed_config(bits),
                   bits == 8 ? DType::AFFINE8_BF16 : DType::AFFINE4_BF16);
    const Numbers odd(bits, false);
    compressed(odd, false);
    expect_weights(odd, compressed_config(bits), bits == 8 ? DType::AFFINE8 : DType::AFFINE4);
  }
}

// Its 8-bit floats have a scale for each row, or one for all.
TEST_F(FolderPacked, EightBitFloatsOfCompressedTensors) {
  constexpr std::string_view kConfig =
      R"({"quant_method":"compressed-tensors","format":"float-quantized",)"
      R"("config_groups":{"group_0":{"input_activations":{"dynamic":true},)"
      R"("weights":{"num_bits":8,"strategy":"channel"}}}})";
  for (const bool each : {true, false}) {
    tensors_ = plain_;
    std::vector<std::byte> codes, scales;
    for (std::size_t i = 0; i < kOut * kIn; ++i)
      codes.push_back(static_cast<std::byte>(i * 7 % 127 + i % 2 * 128));
    for (std::size_t i = 0; i < (each ? kOut : 1); ++i)
      test::append(scales, std::ldexp(1.0F, -static_cast<int>(i % 5)));
    add(".weight", "F8_E4M3", {kOut, kIn}, codes);
    add(".weight_scale", "F32",
        each ? std::vector<std::uint64_t>{kOut, 1} : std::vector<std::uint64_t>{1}, scales);
    const auto made = open(kConfig);
    ASSERT_TRUE(made) << made.error().message;
    const GgufTensor* tensor = (*made)->find_tensor("blk.1.ffn_down.weight");
    ASSERT_NE(tensor, nullptr);
    std::vector<float> row(kIn);
    for (std::size_t out = 0; out < kOut; ++out) {
      formats::dequantize_row(*tensor, out, row.data());
      const float scale = each ? std::ldexp(1.0F, -static_cast<int>(out % 5)) : 1.0F;
      for (std::size_t in = 0; in < kIn; ++in) {
        const auto bits = std::to_integer<std::uint8_t>(codes[out * kIn + in]);
        ASSERT_EQ(row[in], formats::e4m3_to_float(bits) * scale);
      }
    }
  }
  std::string fixed(kConfig);
  fixed.replace(fixed.find("true"), 4, "false");
  EXPECT_THAT(judged(fixed), HasSubstr("input_activations must be dynamic"));
}

TEST_F(FolderPacked, WhatHasNoPlaceIsRefusedByName) {
  gptq(Numbers(4, false), true);
  const auto changed = [&](const std::string& ending, std::vector<std::uint64_t> shape) {
    auto whole = tensors_;
    for (auto& tensor : tensors_) {
      if (tensor.name == kModule + ending) tensor.shape = shape;
    }
    const std::string said = refusal(gptq_config(4));
    tensors_ = std::move(whole);
    return said;
  };
  EXPECT_THAT(changed(".scales", {kOut, kGroups}), HasSubstr("wanted are scales of [3, 64]"));
  EXPECT_THAT(changed(".qzeros", {8, kGroups}), HasSubstr("wanted are zeros of I32 [3, 8]"));
  EXPECT_THAT(changed(".qweight", {kOut, 12}), HasSubstr("wanted are scales of [16, 12]"));
  EXPECT_THAT(changed(".qweight", {kOut * 12}), HasSubstr("of two dimensions"));
  EXPECT_THAT(refusal(gptq_config(8)), HasSubstr("48 inputs in groups of 32"));
  EXPECT_THAT(refusal(R"({"quant_method":"gptq","bits":4,"group_size":48})"),
              HasSubstr("96 inputs in groups of 48"));
  EXPECT_THAT(refusal(R"({"quant_method":"mxfp4"})"),
              HasSubstr("no quantization_config of the methods gptq, awq"));
  for (auto& tensor : tensors_) {
    if (tensor.name == kModule + ".g_idx") tensor.data[4 * 40] = std::byte{2};
  }
  EXPECT_THAT(refusal(gptq_config(4)), HasSubstr("input 40 is not of the group of its neighbours"));
  std::erase_if(tensors_, [](const auto& t) { return t.name.ends_with(".qzeros"); });
  EXPECT_THAT(refusal(gptq_config(4)), HasSubstr("its scales or zeros are missing"));

  gptq(Numbers(4, false), true);
  EXPECT_THAT(judged(gptq_config(3)), HasSubstr("bits must be 2, 4 or 8"));
  EXPECT_THAT(judged(gptq_config(4, R"(,"checkpoint_format":"marlin")")),
              HasSubstr("checkpoint_format must be gptq or gptq_v2"));
  EXPECT_THAT(judged(gptq_config(4, R"(,"dynamic":{"+:.*":{"bits":8}})")),
              HasSubstr("dynamic must be empty"));
  EXPECT_THAT(judged(R"({"quant_method":"awq","bits":4,"version":"gemv"})"),
              HasSubstr("version must be gemm"));
  EXPECT_THAT(judged(R"({"quant_method":"compressed-tensors","format":"nvfp4-pack-quantized"})"),
              HasSubstr("format is nvfp4-pack-quantized"));
  EXPECT_THAT(judged(compressed_config(4, R"(,"input_activations":{"dynamic":false})")),
              HasSubstr("input_activations must be dynamic"));
  EXPECT_THAT(judged(compressed_config(3)), HasSubstr("num_bits must be 4 or 8"));
}

}  // namespace
}  // namespace minerva::models
