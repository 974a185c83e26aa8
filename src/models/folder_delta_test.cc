// Folders of models with gated delta rules: GGUF's order of their heads, what mlx-lm does to their
// layout, and heads that do not fit. What the models compute is the reference tests'.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "formats/dequantize.h"
#include "formats/safetensors.h"
#include "models/conversion.h"
#include "models/delta_heads.h"
#include "models/folder_model.h"
#include "models/inspect.h"
#include "models/test_folders.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using formats::GgufTensor;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(DeltaHeads, AreSpreadInGguf) {
  DeltaHeads heads{.key_heads = 2, .value_heads = 6, .key_dim = 1, .value_dim = 2};
  EXPECT_THAT(value_head_order(heads), ElementsAre(0, 1, 2, 3, 4, 5));
  heads.spread = true;
  // The first of each key head, then the second ones, then the third ones.
  EXPECT_THAT(value_head_order(heads), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(value_head_rows(heads, 2), ElementsAre(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11));
  heads.value_heads = 4;
  EXPECT_THAT(mixed_rows(heads), ElementsAre(0, 1, 2, 3, 4, 5, 8, 9, 6, 7, 10, 11));
}

TEST(DeltaHeads, AreTakenOutOfTheMixtureOfEachKeyHead) {
  // A head's query, key, two values of two, and as many gates.
  const DeltaHeads heads{.key_heads = 2, .value_heads = 4, .key_dim = 1, .value_dim = 2};
  EXPECT_THAT(mixed_of_all_rows(heads), ElementsAre(0, 10, 1, 11, 2, 3, 4, 5, 12, 13, 14, 15));
  EXPECT_THAT(gates_of_all_rows(heads), ElementsAre(6, 7, 8, 9, 16, 17, 18, 19));
}

class FolderDelta : public testing::TestWithParam<const char*> {
 protected:
  FolderDelta() : source_(fs::path(MINERVA_SOURCE_DIR) / "tests/data/hf" / GetParam()) {
    config_ = json::parse(std::ifstream(source_ / "config.json"));
    std::ifstream in(source_ / "model.safetensors", std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const auto bytes = std::as_bytes(std::span(text));
    const auto header = formats::parse_safetensors(bytes).value();
    for (const auto& tensor : header.tensors) {
      const auto data = bytes.subspan(tensor.offset, tensor.bytes);
      tensors_.push_back({tensor.name, tensor.dtype, tensor.shape, {data.begin(), data.end()}});
    }
  }
  json& text_config() { return config_.contains("text_config") ? config_["text_config"] : config_; }
  Result<std::shared_ptr<const formats::GgufFile>> open() {
    write_text(path_ / "config.json", config_.dump());
    write_bytes(path_ / "model.safetensors", test::safetensors_file(tensors_));
    return open_model_folder(path_.string());
  }
  std::string refusal() {
    const auto opened = open();
    return opened ? "it was opened" : opened.error().message;
  }

  fs::path source_;
  test::TempFolder temporary_;
  fs::path path_ = temporary_.path() / "model";
  json config_;
  std::vector<test::SafetensorsEntry> tensors_;
};

INSTANTIATE_TEST_SUITE_P(Families, FolderDelta,
                         testing::Values("qwen3_next", "qwen3_5", "qwen3_5_moe"),
                         [](const auto& tested) { return std::string(tested.param); });

bool is_norm_from_zero(const std::string& name) {
  return name.ends_with("norm.weight") && !name.contains("linear_attn.norm");
}

// mlx-lm turns convolutions around, adds 1 to norms and leaves out what guesses at further tokens.
TEST_P(FolderDelta, MlxsLayoutSaysTheSame) {
  const auto wanted = open_model_folder(source_.string()).value();
  std::erase_if(tensors_, [](const auto& tensor) { return tensor.name.starts_with("mtp."); });
  for (test::SafetensorsEntry& tensor : tensors_) {
    if (tensor.name.ends_with("conv1d.weight")) std::swap(tensor.shape[1], tensor.shape[2]);
    if (!is_norm_from_zero(tensor.name)) continue;
    std::vector<float> values(tensor.shape[0]);
    formats::dequantize(formats::DType::BF16, tensor.data.data(), values.data(), values.size());
    for (float& value : values) value += 1;
    const auto bytes = std::as_bytes(std::span(values));
    tensor.dtype = "F32";
    tensor.data.assign(bytes.begin(), bytes.end());
  }
  const auto got = open();
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_EQ((*got)->tensors().size(), wanted->tensors().size());
  for (const GgufTensor& tensor : wanted->tensors()) {
    const GgufTensor* other = (*got)->find_tensor(tensor.name);
    ASSERT_NE(other, nullptr) << tensor.name;
    EXPECT_EQ(other->dims, tensor.dims) << tensor.name;
    const auto a = formats::read_tensor(tensor).value();
    const auto b = formats::read_tensor(*other).value();
    EXPECT_TRUE(std::ranges::equal(a.bytes, b.bytes)) << tensor.name;
  }
}

TEST_P(FolderDelta, HeadsThatDoNotFitAreRefused) {
  const auto with = [&](const char* key, const json& value) {
    const json before = config_;
    text_config()[key] = value;
    const std::string said = refusal();
    config_ = before;
    return said;
  };
  EXPECT_EQ(refusal(), "it was opened");
  EXPECT_THAT(with("linear_num_value_heads", 5), HasSubstr("multiple of linear_num_key_heads"));
  EXPECT_THAT(with("linear_num_value_heads", 2048), HasSubstr("at most 1024"));
  EXPECT_THAT(with("linear_key_head_dim", 4096), HasSubstr("over 1024"));
  EXPECT_THAT(with("linear_key_head_dim", 16), HasSubstr("key heads of 16"));
  EXPECT_THAT(with("linear_num_value_heads", 8), HasSubstr("8 value heads of 32"));
  EXPECT_THAT(with("attn_output_gate", false), HasSubstr("attn_output_gate must be true"));
  EXPECT_THAT(with("output_gate_type", "sigmoid"), HasSubstr("output_gate_type must be swish"));
  EXPECT_THAT(with("layer_types", json::array({"linear_attention"})), HasSubstr("each layer"));
  EXPECT_THAT(with("layer_types", json::array({"conv", "conv", "conv", "conv"})),
              HasSubstr("linear_attention and full_attention"));
}

// As llama.cpp wants them, whatever the type of the others.
TEST_P(FolderDelta, ConvolutionsAreConvertedToFloat32) {
  ASSERT_TRUE(open());
  std::string letters;
  for (int id = 2; id < 75; ++id) letters += fmt::format(R"(,"t{}":{})", id, id);
  write_text(path_ / "tokenizer.json",
             R"({"added_tokens":[],"model":{"type":"BPE","vocab":{"a":0,"aa":1)" + letters +
                 R"(},"merges":["a a"]},"pre_tokenizer":{"type":"ByteLevel",)"
                 R"("add_prefix_space":false,"use_regex":true},"decoder":{"type":"ByteLevel"}})");
  const fs::path out = temporary_.path() / "out.gguf";
  ConversionOptions options;
  options.type = formats::DType::F16;
  const auto converted = convert_model(path_.string(), out.string(), options);
  ASSERT_TRUE(converted) << converted.error().message;
  const auto file = formats::GgufFile::open(out.string()).value();
  EXPECT_EQ(file->find_tensor("blk.0.ssm_conv1d.weight")->type, formats::DType::F32);
  EXPECT_EQ(file->find_tensor("blk.0.ssm_a")->type, formats::DType::F32);
  EXPECT_EQ(file->find_tensor("blk.0.ssm_out.weight")->type, formats::DType::F16);
}

TEST_P(FolderDelta, WhatGuessesAheadIsLeftOut) {
  for (const char* name : {"mtp.fc_more.weight", "model.mtp.fc.weight"}) {
    tensors_.push_back({name, "BF16", {4}, std::vector<std::byte>(8)});
    EXPECT_EQ(refusal(), "it was opened") << name;
  }
  tensors_.push_back({"model.mtpx.weight", "BF16", {4}, std::vector<std::byte>(8)});
  EXPECT_THAT(refusal(), HasSubstr("model.mtpx.weight has no place"));
}

TEST_P(FolderDelta, KeysAndValuesAreThoseOfTheLayersThatAttend) {
  ASSERT_TRUE(open());
  // One layer, one head of 32.
  EXPECT_EQ(inspect_path(path_.string(), {}).kv_bytes_per_token, 2U * 32 * 2);
}

// A_log is a logarithm, and the file's numbers are the negative rates themselves.
TEST_P(FolderDelta, RatesAreNegative) {
  const auto file = open_model_folder(source_.string()).value();
  const GgufTensor* rates = file->find_tensor("blk.0.ssm_a");
  ASSERT_NE(rates, nullptr);
  std::vector<float> values(rates->dims[0]);
  formats::dequantize_row(*rates, 0, values.data());
  const bool spread = std::string_view(GetParam()) != "qwen3_next";
  for (const test::SafetensorsEntry& tensor : tensors_) {
    if (!tensor.name.ends_with("layers.0.linear_attn.A_log")) continue;
    std::vector<float> logs(values.size());
    formats::dequantize(formats::DType::BF16, tensor.data.data(), logs.data(), logs.size());
    const std::size_t own = logs.size() / 2;  // of each of two key heads
    for (std::size_t i = 0; i < logs.size(); ++i) {
      const std::size_t from = spread ? i % 2 * own + i / 2 : i;
      EXPECT_EQ(values[i], -std::exp(logs[from]));
    }
    return;
  }
  FAIL() << "the folder has no A_log";
}

}  // namespace
}  // namespace minerva::models
