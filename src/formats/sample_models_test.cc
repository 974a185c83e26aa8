// The two sample models, where they are: everything in them is read, and every weight is compared
// (by checksum) with what the `gguf` Python package makes of it.
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "formats/dequantize.h"
#include "formats/gguf.h"

namespace minerva::formats {
namespace {

struct Sample {
  const char* variable;  // names the file
  const char* sums;      // tests/data/formats/, made by tools/make_dequant_goldens.py
  const char* architecture;
  std::uint64_t blocks;
  std::uint64_t vocabulary;
  std::size_t tensors;
};

class SampleModel : public ::testing::TestWithParam<Sample> {
 protected:
  void SetUp() override {
    const char* path = std::getenv(GetParam().variable);
    if (path == nullptr || *path == '\0') {
      std::printf("NOT RUN: %s does not name a model file\n", GetParam().variable);
      GTEST_SKIP() << "NOT RUN: " << GetParam().variable << " does not name a model file";
    }
    auto opened = GgufFile::open(path);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    file_ = *std::move(opened);
  }
  std::shared_ptr<const GgufFile> file_;
};

TEST_P(SampleModel, MetadataIsWhatTheModelSays) {
  const std::string architecture = GetParam().architecture;
  EXPECT_EQ(file_->get_string("general.architecture"), architecture);
  EXPECT_EQ(file_->get_uint(architecture + ".block_count"), GetParam().blocks);
  const auto tokens = file_->get_strings("tokenizer.ggml.tokens");
  ASSERT_TRUE(tokens.has_value()) << tokens.error().message;
  EXPECT_EQ(tokens->size(), GetParam().vocabulary);
  const auto types = file_->get_ints("tokenizer.ggml.token_type");
  ASSERT_TRUE(types.has_value()) << types.error().message;
  EXPECT_EQ(types->size(), GetParam().vocabulary);
  EXPECT_EQ(file_->tensors().size(), GetParam().tensors);
  EXPECT_TRUE(file_->warnings().empty());
  ASSERT_NE(file_->find_tensor("token_embd.weight"), nullptr);
  EXPECT_EQ(file_->find_tensor("token_embd.weight")->dims[1], GetParam().vocabulary);
  for (const GgufKeyValue& entry : file_->metadata()) EXPECT_FALSE(entry.value.describe().empty());
}

// The sum of weight i's bits times 1 + i mod 65521, modulo 2^64: sees values and their places.
std::uint64_t checksum(const GgufTensor& tensor) {
  const DTypeInfo& info = dtype_info(tensor.type);
  constexpr std::size_t kStep = 1u << 15;  // a multiple of every block
  std::vector<float> out(kStep);
  std::uint64_t sum = 0;
  const std::uint64_t n = tensor.elements();
  for (std::uint64_t at = 0; at < n; at += kStep) {
    const std::size_t count = std::min<std::uint64_t>(kStep, n - at);
    dequantize(tensor.type, tensor.data.data() + at / info.block * info.block_bytes, out.data(),
               count);
    for (std::size_t i = 0; i < count; ++i) {
      sum += std::bit_cast<std::uint32_t>(out[i]) * (1 + (at + i) % 65521);
    }
  }
  return sum;
}

TEST_P(SampleModel, EveryWeightIsThePythonPackages) {
  const std::string path =
      std::string(MINERVA_SOURCE_DIR) + "/tests/data/formats/" + GetParam().sums;
  std::ifstream in(path);
  std::string name;
  std::uint64_t expected = 0;
  std::size_t compared = 0;
  while (in >> name >> expected) {
    const GgufTensor* tensor = file_->find_tensor(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(checksum(*tensor), expected) << name << " " << dtype_info(tensor->type).name;
    ++compared;
  }
  EXPECT_EQ(compared, GetParam().tensors) << path;
}

INSTANTIATE_TEST_SUITE_P(Models, SampleModel,
                         ::testing::Values(Sample{"MINERVA_SAMPLE_SMOLLM2", "smollm2_sums.txt",
                                                  "llama", 30, 49152, 272},
                                           Sample{"MINERVA_SAMPLE_GEMMA3", "gemma3_sums.txt",
                                                  "gemma3", 18, 262144, 236}),
                         [](const auto& info) { return std::string(info.param.architecture); });

}  // namespace
}  // namespace minerva::formats
