#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "models/inspect.h"
#include "models/test_files.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using backend::ModelFormat;
using ::minerva::test::TempFolder;

class InspectFolder : public ::testing::Test {
 protected:
  ModelEntry look() const { return inspect_path(model().string(), {}); }
  fs::path model() const { return folder_.path() / "model"; }
  void expect_problem(std::string_view words) const {
    const ModelEntry entry = look();
    EXPECT_TRUE(entry.problem.contains(words)) << entry.problem;
    EXPECT_TRUE(entry.problem.contains(model().string())) << entry.problem;
  }
  void write_config(std::string_view more) const {
    std::string config(kLlamaConfig);
    config.insert(config.size() - 1, "," + std::string(more));
    write_hf_folder(model(), config);
  }
  TempFolder folder_;
};

TEST_F(InspectFolder, HuggingFace) {
  write_hf_folder(model());
  const ModelEntry entry = look();
  EXPECT_EQ(entry.problem, "");
  EXPECT_EQ(entry.format, ModelFormat::Safetensors);
  EXPECT_EQ(entry.architecture, "llama");
  EXPECT_EQ(entry.context_length, 8192U);
  EXPECT_EQ(entry.kv_bytes_per_token, 30U * 3 * 128 * 2);
  EXPECT_EQ(entry.weight_type, "BF16");
  EXPECT_EQ(entry.size_bytes, fs::file_size(model() / "model.safetensors"));
  EXPECT_FALSE(entry.sees);
  EXPECT_GT(entry.modified_ns, 0);
}

TEST_F(InspectFolder, MlxQuantisedByItsConfiguration) {
  write_config(R"("quantization":{"group_size":64,"bits":4},)"
               R"("quantization_config":{"group_size":64,"bits":4})");
  write_bytes(model() / "model.safetensors", test::small_mlx_safetensors());
  const ModelEntry entry = look();
  EXPECT_EQ(entry.problem, "");
  EXPECT_EQ(entry.format, ModelFormat::Mlx);
  EXPECT_EQ(entry.weight_type, "4-bit");
}

TEST_F(InspectFolder, MlxNotQuantisedByItsWeights) {
  write_hf_folder(model());
  write_bytes(model() / "model.safetensors", test::small_safetensors("mlx"));
  EXPECT_EQ(look().format, ModelFormat::Mlx);
  EXPECT_EQ(look().weight_type, "BF16");
}

TEST_F(InspectFolder, GptqAndAwqAreNamedAndOthersRefused) {
  write_config(R"("quantization_config":{"quant_method":"mxfp4"})");
  EXPECT_EQ(look().format, ModelFormat::Safetensors);
  EXPECT_EQ(look().problem, "");
  for (const std::string method : {"gptq", "awq", "compressed-tensors"}) {
    write_config(R"("quantization_config":{"quant_method":")" + method + "\"}");
    EXPECT_EQ(look().format, ModelFormat::Gptq) << method;
    EXPECT_EQ(look().problem, "");
  }
  for (const std::string method : {"bitsandbytes", "hqq", "aqlm"}) {
    write_config(R"("quantization_config":{"quant_method":")" + method + "\"}");
    expect_problem("quantised by " + method);
  }
  write_hf_folder(model());
  write_text(model() / "quantize_config.json", R"({"bits":4})");
  EXPECT_EQ(look().format, ModelFormat::Gptq);
}

TEST_F(InspectFolder, FiguresOfTheTextPart) {
  write_hf_folder(model(), R"({"model_type":"gemma3","vision_config":{"num_hidden_layers":99},)"
                           R"("text_config":{"num_hidden_layers":2,"num_attention_heads":4,)"
                           R"("num_key_value_heads":1,"head_dim":256,"hidden_size":640,)"
                           R"("max_position_embeddings":131072}})");
  const ModelEntry entry = look();
  EXPECT_EQ(entry.architecture, "gemma3");
  EXPECT_EQ(entry.context_length, 131072U);
  EXPECT_EQ(entry.kv_bytes_per_token, 2U * 512 * 2);
  EXPECT_TRUE(entry.sees);
}

TEST_F(InspectFolder, FiguresThatLieStayUnknown) {
  for (const char* config :
       {R"({"model_type":7,"num_hidden_layers":"many","max_position_embeddings":-1})",
        R"({"num_hidden_layers":18446744073709551615,"num_key_value_heads":18446744073709551615,)"
        R"("num_attention_heads":1,"hidden_size":18446744073709551615})",
        R"({"num_hidden_layers":2,"num_key_value_heads":[1,-1]})", "{}"}) {
    write_hf_folder(model(), config);
    EXPECT_EQ(look().problem, "") << config;
    EXPECT_EQ(look().kv_bytes_per_token, 0U) << config;
  }
}

TEST_F(InspectFolder, ShardsByTheIndex) {
  write_hf_folder(model());
  fs::rename(model() / "model.safetensors", model() / "model-00001-of-00002.safetensors");
  expect_problem("model-00002-of-00002.safetensors is missing");
  const std::string index = R"({"weight_map":{"a":"model-00001-of-00002.safetensors",)"
                            R"("b":"model-00002-of-00002.safetensors"}})";
  write_text(model() / "model.safetensors.index.json", index);
  expect_problem("model-00002-of-00002.safetensors is missing");
  write_text(model() / "model-00002-of-00002.safetensors.incomplete", "");
  expect_problem("1 unfinished downloads");
  write_bytes(model() / "model-00002-of-00002.safetensors", test::small_safetensors());
  EXPECT_EQ(look().problem, "");
  EXPECT_EQ(look().size_bytes, 2 * fs::file_size(model() / "model-00001-of-00002.safetensors"));
  write_text(model() / "model.safetensors.index.json",
             R"({"weight_map":{"a":"../model.safetensors"}})");
  expect_problem("is not the name of a .safetensors file beside it");
}

TEST_F(InspectFolder, TheSameWeightsUnderAnotherNameAreNoPart) {
  write_hf_folder(model());
  const ModelEntry alone = look();
  write_bytes(model() / "consolidated.safetensors", test::small_safetensors());
  EXPECT_EQ(look().problem, "");
  EXPECT_EQ(look().size_bytes, alone.size_bytes);
  fs::rename(model() / "model.safetensors", model() / "weights.safetensors");
  EXPECT_EQ(look().size_bytes, 2 * alone.size_bytes);
}

TEST_F(InspectFolder, WeightsThatAreNotWhole) {
  write_hf_folder(model());
  auto bytes = test::small_safetensors();
  bytes.resize(bytes.size() - 1);
  write_bytes(model() / "model.safetensors", bytes);
  expect_problem("not finished");
  write_text(model() / "model.safetensors",
             "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 98362432\n");
  EXPECT_NE(look().problem, "");
  write_hf_folder(model());
  write_text(model() / "model.safetensors.aria2", "");
  expect_problem("not finished");
}

TEST_F(InspectFolder, OnnxGenAi) {
  write_text(model() / "genai_config.json",
             R"({"model":{"type":"phi3","context_length":4096,"decoder":{"filename":"model.onnx",)"
             R"("num_hidden_layers":2,"num_key_value_heads":4,"head_size":64}}})");
  expect_problem("model.decoder.filename is \"model.onnx\"");
  write_text(model() / "model.onnx", "12345");
  write_text(model() / "model.onnx.data", "12345");
  const ModelEntry entry = look();
  EXPECT_EQ(entry.problem, "");
  EXPECT_EQ(entry.format, ModelFormat::OnnxGenAi);
  EXPECT_EQ(entry.architecture, "phi3");
  EXPECT_EQ(entry.size_bytes, 10U);
  EXPECT_EQ(entry.kv_bytes_per_token, 2U * 4 * 128 * 2);
  for (const char* name : {"../model.onnx", "/etc/passwd", ""}) {
    write_text(model() / "genai_config.json",
               R"({"model":{"decoder":{"filename":")" + std::string(name) + "\"}}}");
    expect_problem("no such file");
  }
}

TEST_F(InspectFolder, TensorRtEngines) {
  write_text(model() / "config.json",
             R"({"pretrained_config":{"architecture":"LlamaForCausalLM","dtype":"float16",)"
             R"("mapping":{"world_size":2}},"build_config":{"max_seq_len":2048}})");
  write_text(model() / "rank0.engine", "123");
  expect_problem("rank1.engine is missing");
  write_text(model() / "rank1.engine", "1234");
  const ModelEntry entry = look();
  EXPECT_EQ(entry.problem, "");
  EXPECT_EQ(entry.format, ModelFormat::TensorRt);
  EXPECT_EQ(entry.context_length, 2048U);
  EXPECT_EQ(entry.size_bytes, 7U);
}

// S06
TEST_F(InspectFolder, OnlyPicklesAreRefused) {
  for (const char* name : {"pytorch_model.bin", "consolidated.00.pth", "model.ckpt", "m.pkl"}) {
    fs::remove_all(model());
    write_text(model() / "config.json", kLlamaConfig);
    write_text(model() / name, "x");
    expect_problem("pickle");
    fs::remove(model() / "config.json");
    expect_problem("pickle");
  }
  write_hf_folder(model());
  EXPECT_EQ(look().problem, "") << "beside safetensors they are not read";
}

TEST_F(InspectFolder, AFolderOfGgufFiles) {
  fs::create_directory(model());
  expect_problem("no model in it");
  write_bytes(model() / "a-Q4.gguf", small_gguf().bytes());
  write_bytes(model() / "mmproj-a.gguf", small_projector(576).bytes());
  const ModelEntry entry = look();
  EXPECT_EQ(entry.problem, "");
  EXPECT_EQ(entry.path, (model() / "a-Q4.gguf").string());
  EXPECT_EQ(entry.mmproj_path, (model() / "mmproj-a.gguf").string());
  EXPECT_TRUE(entry.sees);
  write_bytes(model() / "b.gguf", small_gguf().bytes());
  expect_problem("2 GGUF models");
}

TEST_F(InspectFolder, AdaptersAreNoModels) {
  write_text(model() / "adapter_config.json", R"({"peft_type":"LORA"})");
  write_bytes(model() / "adapter_model.safetensors", test::small_safetensors());
  EXPECT_EQ(look().kind, ModelKind::Adapter);
  expect_problem("LoRA adapter");
}

TEST_F(InspectFolder, BrokenConfigurations) {
  for (const char* config : {"", "nope", "[]", R"({"a":1,"a":2})", "\xff"}) {
    write_hf_folder(model(), config);
    expect_problem("config.json");
  }
  fs::remove(model() / "config.json");
  expect_problem("config.json is missing");
}

TEST_F(InspectFolder, LinksOutOfTheFolderAreRefused) {
  write_hf_folder(model());
  const TempFolder elsewhere;
  write_text(elsewhere.path() / "secret.json", "{}");
  for (const fs::path& target :
       {elsewhere.path() / "secret.json", fs::path("../outside.json"), fs::path("/etc/passwd"),
        fs::path("../../blobs/../x"), fs::path("../../blobs/XYZ"), fs::path("../blobs/abc")}) {
    fs::remove(model() / "more.json");
    fs::create_symlink(target, model() / "more.json");
    expect_problem("symbolic link out of the model's folder");
  }
  fs::remove(model() / "more.json");
  fs::create_symlink("config.json", model() / "more.json");
  EXPECT_EQ(look().problem, "") << "a link beside itself stays";
  fs::create_directory_symlink(elsewhere.path(), model() / "sub");
  expect_problem("symbolic link");
}

}  // namespace
}  // namespace minerva::models
