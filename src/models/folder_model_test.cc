// Folders in the terms of GGUF: against the GGUF file that a folder was made of, and with lies.
#include "models/folder_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "models/family.h"
#include "models/test_folders.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using formats::DType;
using formats::GgufFile;
using formats::GgufTensor;
using testing::HasSubstr;

std::vector<std::byte> bytes_of(const GgufTensor& tensor) {
  const auto read = formats::read_tensor(tensor).value();
  return {read.bytes.begin(), read.bytes.end()};
}

class Folder : public testing::Test {
 protected:
  Folder() : original_(GgufFile::parse(test::tiny_model(tiny_llama()).bytes()).value()) {
    tensors_ = folder_tensors(*original_, 32);
    config(tiny_llama_config());
  }
  void config(std::string_view text) { write_text(path_ / "config.json", text); }
  void write() { write_bytes(path_ / "model.safetensors", test::safetensors_file(tensors_)); }
  test::SafetensorsEntry& tensor(std::string_view name) {
    for (auto& entry : tensors_)
      if (entry.name == name) return entry;
    throw std::runtime_error("no such tensor");
  }
  Result<std::shared_ptr<const GgufFile>> open() { return open_model_folder(path_.string()); }
  std::string refusal() {
    write();
    const auto opened = open();
    return opened ? "it was opened" : opened.error().message;
  }

  test::TempFolder temporary_;
  fs::path path_ = temporary_.path() / "tiny";
  std::shared_ptr<const GgufFile> original_;
  std::vector<test::SafetensorsEntry> tensors_;
};

TEST_F(Folder, IsTheFileItWasMadeOf) {
  write();
  const auto made = open();
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ((*made)->tensors().size(), original_->tensors().size());
  for (const GgufTensor& wanted : original_->tensors()) {
    SCOPED_TRACE(wanted.name);
    const GgufTensor* got = (*made)->find_tensor(wanted.name);
    ASSERT_NE(got, nullptr);
    EXPECT_EQ(got->dims, wanted.dims);
    EXPECT_EQ(got->n_dims, wanted.n_dims);
    EXPECT_EQ(got->type, wanted.type);
    EXPECT_EQ(bytes_of(*got), bytes_of(wanted));
    // Only what must be put in order is made; a norm is in memory.
    const bool rotary = wanted.name.contains("attn_q.") || wanted.name.contains("attn_k.");
    EXPECT_EQ(got->rows != nullptr, rotary);
    EXPECT_EQ(got->data.empty(), rotary);
    std::vector<float> row(wanted.dims[0]);
    std::vector<float> same(wanted.dims[0]);
    formats::dequantize_row(*got, got->row_count() - 1, row.data());
    formats::dequantize_row(wanted, got->row_count() - 1, same.data());
    EXPECT_EQ(row, same);
  }
  for (const formats::GgufKeyValue& wanted : original_->metadata()) {
    if (wanted.key.starts_with("tokenizer.") || wanted.key == "general.name") continue;
    SCOPED_TRACE(wanted.key);
    const formats::GgufValue* got = (*made)->find(wanted.key);
    ASSERT_NE(got, nullptr);
    EXPECT_EQ(got->describe(), wanted.value.describe());
  }
  EXPECT_EQ((*made)->get_string("general.name").value(), "tiny");
  EXPECT_EQ((*made)->path(), path_.string());
  EXPECT_EQ((*made)->total_bytes(), fs::file_size(path_ / "model.safetensors"));
}

TEST_F(Folder, SeveralFilesAreOne) {
  const std::size_t half = tensors_.size() / 2;
  std::string map;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    map += fmt::format(R"({}"{}":"model-0000{}-of-00002.safetensors")", i == 0 ? "" : ",",
                       tensors_[i].name, i < half ? 1 : 2);
  }
  write_text(path_ / "model.safetensors.index.json", R"({"weight_map":{)" + map + "}}");
  const auto middle = tensors_.begin() + static_cast<std::ptrdiff_t>(half);
  write_bytes(path_ / "model-00001-of-00002.safetensors",
              test::safetensors_file({tensors_.begin(), middle}));
  write_bytes(path_ / "model-00002-of-00002.safetensors",
              test::safetensors_file({middle, tensors_.end()}));
  const auto made = open();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ((*made)->tensors().size(), tensors_.size());
  EXPECT_EQ((*made)->shard_paths().size(), 2U);

  // A file that holds less than the index says, and a tensor that two files have.
  write_bytes(path_ / "model-00002-of-00002.safetensors",
              test::safetensors_file({middle + 1, tensors_.end()}));
  const auto less = open();
  ASSERT_FALSE(less);
  EXPECT_THAT(less.error().message,
              HasSubstr(fmt::format("its index names {} tensors, its 2 files hold {}",
                                    tensors_.size(), tensors_.size() - 1)));
  write_bytes(path_ / "model-00002-of-00002.safetensors",
              test::safetensors_file({middle - 1, tensors_.end()}));
  const auto twice = open();
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().message, HasSubstr("is in two of its 2 files"));
}

TEST_F(Folder, WhatIsCutOffWhileItIsOpenIsNoticed) {
  write();
  const auto made = open();
  ASSERT_TRUE(made);
  EXPECT_TRUE((*made)->intact());
  fs::resize_file(path_ / "model.safetensors", 4096);
  for (const GgufTensor& tensor : (*made)->tensors()) bytes_of(tensor);
  EXPECT_FALSE((*made)->intact());
}

TEST_F(Folder, ATensorWithoutAPlaceIsRefusedByName) {
  tensors_.push_back(
      {"model.layers.0.self_attn.surprise.weight", "F32", {4}, std::vector<std::byte>(16)});
  EXPECT_THAT(refusal(),
              HasSubstr("tensor model.layers.0.self_attn.surprise.weight has no place in "
                        "a model of the family llama"));
  // What no one computes with is no surprise.
  tensors_.back().name = "model.layers.0.self_attn.rotary_emb.inv_freq";
  EXPECT_EQ(refusal(), "it was opened");
  // Nor is a copy of the embedding where the two are tied.
  config(tiny_llama_config("").replace(tiny_llama_config().find("embeddings\":false"), 17,
                                       "embeddings\":true"));
  write();
  const auto tied = open();
  ASSERT_TRUE(tied) << tied.error().message;
  EXPECT_EQ((*tied)->find_tensor("output.weight"), nullptr);
}

TEST_F(Folder, BiasesAreFoundAndPermuted) {
  std::vector<float> values(128);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const auto bytes = std::as_bytes(std::span(values));
  tensors_.push_back(
      {"model.layers.1.self_attn.q_proj.bias", "F32", {128}, {bytes.begin(), bytes.end()}});
  write();
  const auto made = open();
  ASSERT_TRUE(made) << made.error().message;
  const GgufTensor* bias = (*made)->find_tensor("blk.1.attn_q.bias");
  ASSERT_NE(bias, nullptr);
  std::vector<float> got(128);
  formats::dequantize_row(*bias, 0, got.data());
  EXPECT_EQ(got[0], 0.0F);
  EXPECT_EQ(got[1], 16.0F);  // the other half of head 0
  EXPECT_EQ(got[2], 1.0F);
  EXPECT_EQ(got[33], 48.0F);  // and of head 1
}

TEST_F(Folder, Llama3ScalingBecomesATensor) {
  config(tiny_llama_config(
      R"(,"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,)"
      R"("high_freq_factor":4.0,"original_max_position_embeddings":256})"));
  write();
  const auto made = open();
  ASSERT_TRUE(made) << made.error().message;
  const GgufTensor* freqs = (*made)->find_tensor("rope_freqs.weight");
  ASSERT_NE(freqs, nullptr);
  ASSERT_EQ(freqs->elements(), 16U);
  std::vector<float> factors(16);
  formats::dequantize_row(*freqs, 0, factors.data());
  // Pair 0 turns 256 / 2 pi = 40.7 times in the old context: kept. The last one 0.007 times.
  EXPECT_EQ(factors[0], 1.0F);
  EXPECT_EQ(factors[15], 8.0F);
  // Pair 5 turns 256 * 10000^(-10/32) / 2 pi = 2.2912 times: 0.4304 of it is kept.
  EXPECT_NEAR(factors[5], 1 / ((1 - 0.43041) / 8 + 0.43041), 1e-3);

  config(tiny_llama_config(R"(,"rope_parameters":{"rope_type":"dynamic","factor":2.0})"));
  EXPECT_THAT(refusal(), HasSubstr("rope_scaling is of type \"dynamic\""));
  config(tiny_llama_config(R"(,"rope_scaling":{"type":"linear","factor":2.0,"wobble":1})"));
  EXPECT_THAT(refusal(), HasSubstr("has the member wobble"));
  config(tiny_llama_config(R"(,"rope_scaling":{"type":"linear","factor":2.0})"));
  write();
  EXPECT_EQ(open().value()->get_float("llama.rope.scaling.factor").value(), 2.0);
}

TEST_F(Folder, ShapesAndTypesThatLieAreRefused) {
  auto& q = tensor("model.layers.0.self_attn.q_proj.weight");
  const test::SafetensorsEntry good = q;
  q.shape = {64, 128};
  EXPECT_THAT(refusal(), HasSubstr("has 64 rows, and 4 heads of 32 are 128"));
  q = good;
  q.dtype = "I32";
  EXPECT_THAT(refusal(), HasSubstr("is of type I32; F32, F16 and BF16 are supported"));
  q.dtype = "U32";
  EXPECT_THAT(refusal(), HasSubstr("config.json has no key quantization"));
  q = good;
  q.shape = {2, 2, 2, 16, 64};
  EXPECT_THAT(refusal(), HasSubstr("one to four dimensions"));
  q = good;
  q.name = "model.layers.0.self_attn.q_proj.weights";
  EXPECT_THAT(refusal(), HasSubstr("has no place"));
}

TEST_F(Folder, AConfigurationThatLiesIsRefused) {
  const auto with = [&](std::string_view key, std::string_view value) {
    std::string text = tiny_llama_config();
    const std::size_t at = text.find(fmt::format("\"{}\":", key));
    const std::size_t from = at + key.size() + 3;
    text.replace(from, text.find_first_of(",}", from) - from, value);
    config(text);
    return refusal();
  };
  EXPECT_THAT(with("hidden_size", "0"), HasSubstr("hidden_size must be a whole number from 1 to"));
  EXPECT_THAT(with("hidden_size", "-64"), HasSubstr("it is -64"));
  EXPECT_THAT(with("hidden_size", "99999999999"), HasSubstr("it is 99999999999"));
  EXPECT_THAT(with("num_hidden_layers", "null"), HasSubstr("and it is missing"));
  EXPECT_THAT(with("rope_theta", "\"x\""), HasSubstr("rope_theta must be a number"));
  EXPECT_THAT(with("hidden_act", "\"relu\""), HasSubstr("hidden_act must be silu"));
  EXPECT_THAT(with("tie_word_embeddings", "1"), HasSubstr("must be true or false"));
  EXPECT_THAT(with("model_type", "\"mamba\""), HasSubstr("this one's model_type is \"mamba\""));
  EXPECT_THAT(with("model_type", "3"), HasSubstr("model_type is \"\""));
}

TEST(Families, AreKnownByTheirModelTypes) {
  for (const auto& [type, architecture] :
       std::initializer_list<std::pair<const char*, const char*>>{{"llama", "llama"},
                                                                  {"mistral", "llama"},
                                                                  {"mixtral", "llama"},
                                                                  {"qwen2", "qwen2"},
                                                                  {"qwen3_moe", "qwen3moe"},
                                                                  {"gemma3_text", "gemma3"},
                                                                  {"cohere", "command-r"},
                                                                  {"gpt_oss", "gpt-oss"}}) {
    ASSERT_NE(find_family(type), nullptr) << type;
    EXPECT_EQ(find_family(type)->architecture, architecture);
  }
  EXPECT_EQ(find_family(""), nullptr);
  EXPECT_EQ(find_family("mamba"), nullptr);
}

TEST(Verdict, NamesWhatIsNotSupported) {
  const auto judge = [](const char* text) {
    return judge_folder_model(nlohmann::json::parse(text));
  };
  const auto mlx = judge(R"({"model_type":"qwen3","quantization":{"group_size":64,"bits":7}})");
  EXPECT_EQ(mlx.architecture, "qwen3");
  EXPECT_THAT(mlx.objection.value_or(""), HasSubstr("quantization of 7 bits, mode affine"));
  EXPECT_FALSE(
      judge(R"({"model_type":"qwen3","quantization":{"group_size":64,"bits":4}})").objection);
  EXPECT_THAT(judge(R"({"model_type":"rwkv"})").objection.value_or(""), HasSubstr("\"rwkv\""));
}

}  // namespace
}  // namespace minerva::models
