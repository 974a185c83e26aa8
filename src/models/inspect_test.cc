#include "models/inspect.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "models/test_files.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using backend::ModelFormat;
using ::minerva::test::TempFolder;

// 30 layers x 3 heads x (64 + 64) numbers of 2 bytes.
constexpr std::uint64_t kLlamaKvBytes = 23040;

ModelEntry look(const fs::path& path) { return inspect_path(path.string(), {}); }

bool says(const ModelEntry& entry, std::string_view words) {
  return std::ranges::any_of(entry.evidence,
                             [&](const std::string& line) { return line.contains(words); });
}

void expect_problem(const fs::path& path, std::string_view words) {
  const ModelEntry entry = look(path);
  EXPECT_TRUE(entry.problem.contains(words)) << path << "\n" << entry.problem;
  EXPECT_TRUE(entry.problem.contains(path.filename().string())) << entry.problem;
}

TEST(InspectFile, AGgufSaysWhatItIs) {
  const TempFolder folder;
  write_bytes(folder.path() / "m.gguf", small_gguf().bytes());
  const ModelEntry entry = look(folder.path() / "m.gguf");
  EXPECT_EQ(entry.problem, "");
  EXPECT_EQ(entry.format, ModelFormat::Gguf);
  EXPECT_EQ(entry.kind, ModelKind::Model);
  EXPECT_EQ(entry.architecture, "llama");
  EXPECT_EQ(entry.context_length, 4096U);
  EXPECT_EQ(entry.kv_bytes_per_token, kLlamaKvBytes);
  EXPECT_EQ(entry.width, 576U);
  EXPECT_TRUE(says(entry, "general.architecture is \"llama\""));
}

TEST(InspectFile, KeysAndValuesByTheModelsOwnFigures) {
  const TempFolder folder;
  const auto kv = [&](test::GgufWriter writer) {
    write_bytes(folder.path() / "m.gguf", writer.bytes());
    return look(folder.path() / "m.gguf").kv_bytes_per_token;
  };
  test::GgufWriter lengths = small_gguf();
  lengths.add_u32("llama.attention.key_length", 256).add_u32("llama.attention.value_length", 128);
  EXPECT_EQ(kv(lengths), 30U * 3 * (256 + 128) * 2);
  test::GgufWriter array = small_gguf();
  array.remove("llama.attention.head_count_kv");
  const std::vector<std::int32_t> heads = {1, 0, 4};
  array.add_i32s("llama.attention.head_count_kv", heads);
  EXPECT_EQ(kv(array), 5U * 128 * 2);
  test::GgufWriter states = small_gguf();  // in three of four layers
  states.add_u32("llama.full_attention_interval", 4);
  EXPECT_EQ(kv(states), 7U * 3 * 128 * 2);
  states.add_bools("llama.attention.recurrent_layers", {true, false, true});
  EXPECT_EQ(kv(states), 28U * 3 * 128 * 2);
  test::GgufWriter none = small_gguf();
  none.remove("llama.attention.head_count_kv");
  EXPECT_EQ(kv(none), 30U * 9 * 128 * 2) << "without its own number, as many as heads";
  test::GgufWriter huge = small_gguf();
  huge.remove("llama.block_count").add_u64("llama.block_count", ~0ULL);
  EXPECT_EQ(kv(huge), 0U);
  EXPECT_EQ(kv(test::byte_vocab()), 0U);
}

TEST(InspectFile, AdaptersAndProjectorsAreNoModels) {
  const TempFolder folder;
  write_bytes(folder.path() / "lora.gguf", small_adapter().bytes());
  write_bytes(folder.path() / "mmproj.gguf", small_projector(576).bytes());
  EXPECT_EQ(look(folder.path() / "lora.gguf").kind, ModelKind::Adapter);
  expect_problem(folder.path() / "lora.gguf", "lora adapter for llama models");
  EXPECT_EQ(look(folder.path() / "mmproj.gguf").kind, ModelKind::Projector);
  expect_problem(folder.path() / "mmproj.gguf", "a projector");
  test::GgufWriter matrix;
  matrix.add_string("general.architecture", "llama").add_string("general.type", "imatrix");
  write_bytes(folder.path() / "imatrix.gguf", matrix.bytes());
  expect_problem(folder.path() / "imatrix.gguf", "holds no model");
}

TEST(InspectFile, AnotherNameIsNamed) {
  const TempFolder folder;
  for (const char* name : {"m.bin", "m.safetensors", "m.pt"}) {
    write_bytes(folder.path() / name, small_gguf().bytes());
    const ModelEntry entry = look(folder.path() / name);
    EXPECT_EQ(entry.problem, "") << name;
    EXPECT_EQ(entry.format, ModelFormat::Gguf);
    EXPECT_TRUE(says(entry, "its content is GGUF")) << name;
  }
  write_bytes(folder.path() / "x.gguf", test::small_safetensors());
  expect_problem(folder.path() / "x.gguf", "a safetensors file under another name");
  write_bytes(folder.path() / "x.safetensors", test::small_safetensors());
  expect_problem(folder.path() / "x.safetensors", "give the folder");
}

// S06: what runs code when it is loaded is refused by its content, whatever its name.
TEST(InspectFile, PicklesAreRefused) {
  const TempFolder folder;
  const std::string zip = std::string("PK\x03\x04", 4) + std::string(26, '\0') +
                          "archive/data.pkl" + std::string(100, 'x');
  for (const char* name :
       {"m.pt", "m.pth", "m.bin", "m.ckpt", "m.pkl", "m.gguf", "m.safetensors"}) {
    write_text(folder.path() / name, zip);
    expect_problem(folder.path() / name, "a pickle");
    for (const char protocol : {'\x02', '\x03', '\x04', '\x05'}) {
      write_text(folder.path() / name, std::string("\x80") + protocol + "ctorch._utils");
      expect_problem(folder.path() / name, "a pickle");
    }
  }
}

TEST(InspectFile, WhatElsePeopleDownload) {
  const TempFolder folder;
  const auto expect_words = [&](std::string_view content, std::string_view words) {
    write_text(folder.path() / "m.gguf", content);
    expect_problem(folder.path() / "m.gguf", words);
  };
  expect_words("", "empty");
  expect_words("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 98362432\n",
               "Git LFS pointer, not the model (98362432 bytes)");
  expect_words("<!DOCTYPE html><html>", "web page");
  expect_words("\n<html><body>404", "web page");
  expect_words(R"({"error":"not found"})", "JSON");
  for (const char* old : {"lmgg", "fmgg", "tjgg"}) expect_words(old, "before GGUF");
  expect_words(std::string("\x1f\x8b\x08", 3), "gzip");
  expect_words(std::string("PK\x03\x04", 4) + "model.gguf", "zip");
  expect_words("\x89HDF\r\n", "HDF5");
  expect_words(std::string("\x1c\0\0\0TFL3", 8), "TensorFlow Lite");
  expect_words(
      "\x7f"
      "ELF",
      "a program");
  expect_words(std::string(64, '\0'), "zeros");
  expect_words("hello world", "instead of \"GGUF\"");
  write_text(folder.path() / "m.onnx", "\x08\x07\x12\x07pytorch");
  expect_problem(folder.path() / "m.onnx", "genai_config.json");
}

TEST(InspectFile, HalfADownloadIsNamed) {
  const TempFolder folder;
  const std::vector<float> values(4096, 1.0F);
  const std::vector<std::uint64_t> dims = {4096};
  test::GgufWriter writer = small_gguf();
  auto whole = writer.add_f32_tensor("t", dims, values).bytes();
  whole.resize(whole.size() - 4000);
  write_bytes(folder.path() / "cut.gguf", whole);
  EXPECT_NE(look(folder.path() / "cut.gguf").problem, "");
  for (const char* name : {"m.gguf.part", "m.gguf.incomplete", "m.gguf.crdownload"}) {
    write_bytes(folder.path() / name, small_gguf().bytes());
    expect_problem(folder.path() / name, "not finished");
  }
  fs::remove(folder.path() / "m.gguf.part");
  write_bytes(folder.path() / "m.gguf", small_gguf().bytes());
  EXPECT_EQ(look(folder.path() / "m.gguf").problem, "");
  write_text(folder.path() / "m.gguf.aria2", "");
  expect_problem(folder.path() / "m.gguf", "not finished");
}

TEST(InspectFile, AMissingShardIsNamed) {
  const TempFolder folder;
  test::GgufWriter writer = small_gguf();
  const std::vector<float> values(32, 1.0F);
  const std::vector<std::uint64_t> dims = {32};
  for (const char* name : {"a", "b", "c"}) writer.add_f32_tensor(name, dims, values);
  const auto parts = writer.shards(3);
  for (const unsigned part : {1U, 2U})
    write_bytes(test::shard_path(folder.path(), "m", part, 3), parts[part - 1]);
  const ModelEntry entry = look(folder.path() / "m-00001-of-00003.gguf");
  EXPECT_TRUE(entry.problem.contains("m-00003-of-00003.gguf")) << entry.problem;
  write_bytes(test::shard_path(folder.path(), "m", 3, 3), parts[2]);
  const ModelEntry all = look(folder.path() / "m-00001-of-00003.gguf");
  EXPECT_EQ(all.problem, "");
  EXPECT_TRUE(says(all, "3 parts"));
}

TEST(InspectFile, ProjectorsFindTheirModel) {
  const TempFolder folder;
  const auto entries_of = [&](const std::vector<std::pair<std::string, test::GgufWriter>>& files) {
    std::vector<ModelEntry> entries;
    for (const auto& [name, writer] : files) {
      write_bytes(folder.path() / name, writer.bytes());
      entries.push_back(look(folder.path() / name));
    }
    return entries;
  };
  const std::string eyes = (folder.path() / "mmproj-gemma-3-f16.gguf").string();
  auto entries = entries_of({{"gemma-3-Q4.gguf", small_gguf()},
                             {"other.gguf", test::byte_vocab({.architecture = "gemma3"})},
                             {"mmproj-gemma-3-f16.gguf", small_projector(576)}});
  EXPECT_EQ(projector_for(entries[0], entries), eyes);
  EXPECT_EQ(projector_for(entries[1], entries), "") << "another model beside it stays blind";
  EXPECT_EQ(projector_for(entries[2], entries), "");
  entries = entries_of(
      {{"gemma-3-Q4.gguf", small_gguf()}, {"mmproj-gemma-3-f16.gguf", small_projector(1024)}});
  EXPECT_EQ(projector_for(entries[0], entries), "") << "1024 wide does not fit 576";
  entries = entries_of({{"a-Q4.gguf", small_gguf()},
                        {"a-Q8.gguf", small_gguf()},
                        {"mmproj-model-f16.gguf", small_projector(576)}});
  EXPECT_NE(projector_for(entries[1], entries), "") << "versions of one model share it";
}

// What llama.cpp, transformers and mlx-lm wrote, and not our own tests.
struct Sample {
  const char* variable;
  ModelFormat format;
  const char* architecture;
  const char* weight_type;
  std::uint64_t context_length;
  std::uint64_t kv_bytes_per_token;
};

class InspectSample : public ::testing::TestWithParam<Sample> {};

TEST_P(InspectSample, IsWhatItIs) {
  const Sample& sample = GetParam();
  const char* path = std::getenv(sample.variable);
  if (path == nullptr || *path == '\0')
    GTEST_SKIP() << "NOT RUN: " << sample.variable << " is not set";
  const ModelEntry entry = look(path);
  EXPECT_EQ(entry.problem, "");
  EXPECT_EQ(entry.format, sample.format);
  EXPECT_EQ(entry.architecture, sample.architecture);
  EXPECT_EQ(entry.weight_type, sample.weight_type);
  EXPECT_EQ(entry.context_length, sample.context_length);
  EXPECT_EQ(entry.kv_bytes_per_token, sample.kv_bytes_per_token);
  EXPECT_GT(entry.size_bytes, 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Models, InspectSample,
    ::testing::Values(
        Sample{"MINERVA_SAMPLE_SMOLLM2", ModelFormat::Gguf, "llama", "Q4_1", 8192, kLlamaKvBytes},
        // 18 layers x 1 head x (256 + 256) numbers of 2 bytes.
        Sample{"MINERVA_SAMPLE_GEMMA3", ModelFormat::Gguf, "gemma3", "Q8_0", 32768, 18432},
        Sample{"MINERVA_SAMPLE_SMOLLM2_HF", ModelFormat::Safetensors, "llama", "BF16", 8192,
               kLlamaKvBytes},
        Sample{"MINERVA_SAMPLE_SMOLLM2_MLX", ModelFormat::Mlx, "llama", "8-bit", 8192,
               kLlamaKvBytes}),
    [](const auto& param) {
      return std::string(param.param.variable).substr(std::string("MINERVA_SAMPLE_").size());
    });

}  // namespace
}  // namespace minerva::models
