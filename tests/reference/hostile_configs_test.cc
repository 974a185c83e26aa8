// The tiny model folders with a configuration that lies: every value of every config.json in turn
// becomes something else. A folder is refused with words, or it runs; nothing crashes or hangs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/decoder.h"
#include "models/folder_model.h"
#include "support/all_logits.h"
#include "support/gguf_writer.h"

namespace minerva::engine {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

std::vector<std::string> folders() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(MINERVA_SOURCE_DIR "/tests/data/hf")) {
    if (entry.is_directory()) out.push_back(entry.path().filename());
  }
  std::ranges::sort(out);
  return out;
}

const std::vector<Json>& lies() {
  static const std::vector<Json> kLies = {
      nullptr, true, 0, -1, 3, 4294967295U, 1e18, "", Json::array({1, "a"}), Json::object()};
  return kLies;
}

// Keys that some family reads; whoever lacks one gets it.
constexpr std::array kKeys = {"sliding_window",
                              "rope_scaling",
                              "rope_parameters",
                              "head_dim",
                              "num_key_value_heads",
                              "layer_types",
                              "tie_word_embeddings",
                              "partial_rotary_factor",
                              "rope_theta",
                              "attention_bias",
                              "num_experts",
                              "num_local_experts",
                              "logit_scale",
                              "attention_multiplier",
                              "final_logit_softcapping",
                              "quantization",
                              "quantization_config",
                              "text_config",
                              "model_type",
                              "no_rope_layers"};

// A tiny folder's weights beside a configuration of ours.
class Copy {
 public:
  explicit Copy(const std::string& name) {
    const fs::path source = MINERVA_SOURCE_DIR "/tests/data/hf/" + name;
    for (const auto& entry : fs::directory_iterator(source)) {
      const bool weights = entry.path().extension() == ".safetensors";
      if (weights) fs::copy_file(entry.path(), folder_ / entry.path().filename());
    }
    std::ifstream in(source / "config.json");
    config_ = Json::parse(in);
  }
  const Json& config() const { return config_; }

  Result<std::shared_ptr<const Model>> load(const Json& config) {
    std::ofstream(folder_ / "config.json") << config.dump();
    const auto file = models::open_model_folder(folder_);
    if (!file) return fail(file.error());
    auto model = Model::load(*file, Numerics::F32, pool_);
    if (model) {
      EXPECT_EQ(Model::packed_bytes(**file, Numerics::F32), (*model)->weight_bytes());
    }
    return model;
  }

 private:
  const test::TempFolder temporary_;
  const fs::path folder_ = temporary_.path();
  Json config_;
  ComputePool pool_{1};
};

class HostileConfigs : public testing::TestWithParam<std::string> {};

TEST_P(HostileConfigs, AreRefusedOrRun) {
  Copy copy(GetParam());
  std::vector<Json::json_pointer> places;
  const Json flat = copy.config().flatten();
  for (const auto& [place, value] : flat.items()) places.emplace_back(place);
  for (const auto& [key, value] : copy.config().items()) {
    if (value.is_structured()) places.emplace_back("/" + key);
  }
  for (const char* key : kKeys) places.emplace_back(std::string("/") + key);
  std::size_t refused = 0;
  for (const Json::json_pointer& place : places) {
    for (const Json& lie : lies()) {
      Json config = copy.config();
      config[place] = lie;
      SCOPED_TRACE(place.to_string() + " = " + lie.dump());
      const auto model = copy.load(config);
      if (!model) {
        EXPECT_FALSE(model.error().message.empty());
        ++refused;
        continue;
      }
      const std::array<TokenId, 3> tokens = {1, 2, 3};
      EXPECT_EQ(all_logits(*model, tokens, 2, 64).size(), 3U);
    }
  }
  // Most of what is read is told from the truth; what is not read may be anything.
  EXPECT_GT(refused, places.size() * lies().size() / 4);
}

INSTANTIATE_TEST_SUITE_P(All, HostileConfigs, testing::ValuesIn(folders()),
                         [](const auto& tested) { return tested.param; });

// What asks for another graph than the family's, where the weights would fit both.
struct Unlike {
  const char* folder;
  const char* place;
  Json value;
  const char* said;
};

void PrintTo(const Unlike& unlike, std::ostream* out) {
  *out << unlike.folder << unlike.place << " = " << unlike.value;
}

class UnlikeConfigs : public testing::TestWithParam<Unlike> {};

TEST_P(UnlikeConfigs, AreRefusedByName) {
  const Unlike& unlike = GetParam();
  Copy copy(unlike.folder);
  ASSERT_TRUE(copy.load(copy.config()));
  Json config = copy.config();
  config[Json::json_pointer(unlike.place)] = unlike.value;
  const auto model = copy.load(config);
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, testing::HasSubstr(unlike.said));
}

INSTANTIATE_TEST_SUITE_P(
    All, UnlikeConfigs,
    testing::Values(
        Unlike{"qwen2", "/rope_scaling", "linear", "rope_scaling must be an object"},
        Unlike{"qwen2", "/rope_parameters", 3, "rope_parameters must be an object"},
        Unlike{"qwen2_yarn", "/rope_scaling/truncate", false, "truncate must be true"},
        Unlike{"gpt_oss", "/rope_scaling/truncate", true, "truncate must be false"},
        Unlike{"gpt_oss", "/rope_scaling/truncate", nullptr, "truncate must be false"},
        Unlike{"gpt_oss", "/swiglu_limit", 5, "swiglu_limit must be 7"},
        Unlike{"qwen2_5_vl", "/rope_scaling/mrope_section", Json::array({1, 1, 1, 1, 1}), "four"},
        Unlike{"qwen2_5_vl", "/rope_scaling/mrope_section", Json::array({2.5}), "whole numbers"},
        Unlike{"qwen3_vl_moe", "/text_config/norm_topk_prob", false, "must be true"},
        Unlike{"minicpm", "/sparse_config", Json::object(), "asks for attention to"},
        Unlike{"minicpm", "/num_experts", 8, "must be 0"},
        Unlike{"phimoe", "/router_jitter_noise", 0.02, "must be 0.01"},
        Unlike{"phimoe", "/rope_scaling/short_mscale", 1.0, "must be as long_mscale"},
        Unlike{"minimax_m2", "/attn_type_list", Json::array({1, 0}), "must all be 1"},
        Unlike{"minimax_m2", "/scoring_func", "softmax", "must be sigmoid"},
        Unlike{"apertus", "/post_norm", true, "must be false"},
        Unlike{"apertus", "/hidden_act", "silu", "must be xielu"},
        Unlike{"llama4", "/text_config/use_qk_norm", false, "must be true"},
        Unlike{"llama4", "/text_config/moe_layers", Json::array({1}), "every 2th"},
        Unlike{"llama4", "/text_config/no_rope_layers", Json::array({1, 1, 1, 1}),
               "every fourth layer"},
        Unlike{"llama4", "/text_config/attn_temperature_tuning", false, "must be true"},
        Unlike{"bailing_moe", "/score_function", nullptr, "must be sigmoid"},
        Unlike{"bailing_moe", "/use_qk_norm", false, "must be true"},
        Unlike{"bailing_moe", "/norm_head", true, "must be false"},
        Unlike{"bailing_moe", "/rotary_dim", 16, "must be partial_rotary_factor"},
        Unlike{"gemma4", "/use_bidirectional_attention", "all", "must be vision"},
        Unlike{"gemma4", "/use_bidirectional_attention", true, "must be a text"},
        Unlike{"gemma", "/use_bidirectional_attention", true, "must be false"}));

}  // namespace
}  // namespace minerva::engine
