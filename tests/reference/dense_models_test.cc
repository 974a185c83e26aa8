// The engine's float32 mode against Hugging Face transformers on tiny seeded models of every
// architecture (tools/make_*_goldens.py made tests/data/hf): the reading of their folders and the
// graph can be what differs, and nothing else.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "engine/decoder.h"
#include "models/folder_model.h"
#include "support/all_logits.h"

namespace minerva::engine {
namespace {

// Of the case's largest |logit|. The first is docs/numerics.md's bound; nearly all of what is left
// there is the KV cache's half precision. Against a reference that rounds keys and values the same
// way only those count that lie between two halves and went the other way.
constexpr double kTolerance = 1e-3;
constexpr double kHalfKvMedianTolerance = 1e-4;

// A file of expected logits: what make_hf_goldens.py says of it.
struct Golden {
  std::vector<TokenId> tokens;
  std::size_t vocabulary = 0;
  std::size_t context = 0;
  std::vector<std::int32_t> positions;
  std::vector<float> logits;          // [positions][vocabulary], transformers in float32
  std::vector<float> half_kv_logits;  // the same with half-precision keys and values
};

std::string folder_of(const std::string& name) {
  return std::string(MINERVA_SOURCE_DIR) + "/tests/data/hf/" + name;
}

template <class T>
void read(std::ifstream& in, std::vector<T>& out, std::size_t count) {
  out.resize(count);
  in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(count * sizeof(T)));
}

Golden read_golden(const std::string& path) {
  Golden golden;
  std::ifstream in(path, std::ios::binary);
  std::vector<std::uint32_t> header;
  read(in, header, 4);
  golden.vocabulary = header[1];
  golden.context = header[2];
  read(in, golden.tokens, header[0]);
  read(in, golden.positions, header[3]);
  read(in, golden.logits, std::size_t{header[3]} * header[1]);
  read(in, golden.half_kv_logits, golden.logits.size());
  EXPECT_TRUE(in.good()) << path << " is missing or cut short";
  return golden;
}

struct Case {
  std::string folder;
  std::string logits = "logits.bin";
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* name : {"llama_bias",     "llama_llama3",
                           "mistral_window", "ministral3",
                           "qwen2",          "qwen2_yarn",
                           "qwen3",          "gemma2",
                           "gemma3",         "phi3_window",
                           "phi3_longrope",  "granite",
                           "command_r",      "command_r_qk_norm",
                           "cohere2",        "olmo2",
                           "olmo3",          "smollm3",
                           "stablelm",       "stablelm_parallel",
                           "starcoder2",     "glm4",
                           "mixtral",        "qwen2_moe",
                           "qwen3_moe",      "gpt_oss",
                           "gpt_oss_mxfp4",  "gemma",
                           "seed_oss",       "arcee",
                           "nemotron",       "exaone4",
                           "exaone4_full",   "hunyuan_dense",
                           "ernie4_5",       "granite_hybrid",
                           "olmoe",          "granitemoe",
                           "glm4_moe",       "dots1",
                           "ernie4_5_moe",   "hunyuan_moe",
                           "deepseek_v2",    "deepseek_v2_groups",
                           "deepseek_v3",    "glm4_moe_lite",
                           "gemma4",         "gemma4_moe",
                           "lfm2",           "lfm2_moe",
                           "qwen2_5_vl",     "qwen3_vl",
                           "qwen3_vl_moe",   "exaone",
                           "internlm2",      "internlm3",
                           "minicpm",        "minicpm3",
                           "bailing_moe",    "qwen3_next",
                           "qwen3_5",        "qwen3_5_moe",
                           "minimax_m2",     "phimoe",
                           "apertus",        "llama4"}) {
    all.push_back({name});
  }
  all.push_back({"phi3_longrope", "logits_short.bin"});
  all.push_back({"minicpm", "logits_short.bin"});
  return all;
}

std::shared_ptr<const Model> load(const std::string& folder, ComputePool& pool) {
  const auto file = models::open_model_folder(folder);
  EXPECT_TRUE(file.has_value()) << file.error().message;
  if (!file) return nullptr;
  auto model = Model::load(*file, Numerics::F32, pool);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return model ? *model : nullptr;
}

// All logits, computed in chunks of `chunk` tokens.
std::vector<std::vector<float>> run(const std::string& folder, const Golden& golden,
                                    std::size_t chunk) {
  ComputePool pool(1);
  const auto model = load(folder, pool);
  if (model == nullptr) return {};
  return all_logits(model, golden.tokens, chunk, golden.context);
}

double largest_of(const Golden& golden) {
  double largest = 0;
  for (const float l : golden.logits) largest = std::max(largest, std::abs(double{l}));
  return largest;
}

// Errors of the golden's positions relative to its largest |logit|. NaN is infinitely wrong.
struct Errors {
  double worst = 0;
  double median = 0;  // of the positions' worst
};

Errors errors(const std::vector<std::vector<float>>& logits, const Golden& golden,
              std::span<const float> expected) {
  std::vector<double> of_position;
  for (std::size_t i = 0; i < golden.positions.size(); ++i) {
    const auto& row = logits[static_cast<std::size_t>(golden.positions[i])];
    double worst = 0;
    for (std::size_t v = 0; v < golden.vocabulary; ++v) {
      const double error = std::abs(double{row[v]} - double{expected[i * golden.vocabulary + v]});
      worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    }
    of_position.push_back(worst / largest_of(golden));
  }
  std::sort(of_position.begin(), of_position.end());
  return {of_position.back(), of_position[of_position.size() / 2]};
}

class DenseModel : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Folders, DenseModel, testing::ValuesIn(cases()), [](const auto& info) {
  return info.param.folder + (info.param.logits == "logits.bin" ? "" : "_short");
});

TEST_P(DenseModel, HasTheMakersLogits) {
  const std::string folder = folder_of(GetParam().folder);
  const Golden golden = read_golden(folder + "/" + GetParam().logits);
  for (const std::size_t chunk : {golden.tokens.size(), std::size_t{1}}) {
    const auto logits = run(folder, golden, chunk);
    ASSERT_EQ(logits.size(), golden.tokens.size());
    ASSERT_EQ(logits[0].size(), golden.vocabulary);
    const double error = errors(logits, golden, golden.logits).worst;
    const double median = errors(logits, golden, golden.half_kv_logits).median;
    std::printf(
        "%s, %zu tokens a step: worst %.1e of the largest |logit|; median %.1e from the "
        "reference with the same KV cache\n",
        GetParam().folder.c_str(), chunk, error, median);
    EXPECT_LE(error, kTolerance);
    EXPECT_LE(median, kHalfKvMedianTolerance);
    for (std::size_t i = 0; i < golden.positions.size(); ++i) {
      const auto expected =
          std::span(golden.logits).subspan(i * golden.vocabulary, golden.vocabulary);
      const std::size_t first = argmax(expected);
      const std::size_t ours = argmax(logits[static_cast<std::size_t>(golden.positions[i])]);
      // A tie is what the tolerance cannot tell apart.
      EXPECT_LE(double{expected[first]} - double{expected[ours]},
                2 * kTolerance * largest_of(golden))
          << "position " << golden.positions[i] << ": the reference's first choice is " << first
          << ", ours " << ours;
    }
  }
}

TEST_P(DenseModel, ItsMemoryIsKnownBeforeItIsLoaded) {
  ComputePool pool(1);
  const auto file = models::open_model_folder(folder_of(GetParam().folder)).value();
  for (const Numerics numerics : {Numerics::Exact, Numerics::F32}) {
    const auto model = Model::load(file, numerics, pool).value();
    EXPECT_EQ(Model::packed_bytes(*file, numerics), model->weight_bytes());
  }
}

}  // namespace
}  // namespace minerva::engine
