// Metadata is from outside: every lie is refused by name, before anything is allocated for it
// (S02).
#include "engine/model_config.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "engine/model.h"
#include "support/tiny_arch.h"
#include "support/tiny_model.h"

namespace minerva::engine {
namespace {

using test::GgufWriter;

// The tiny model's metadata with one key's value replaced, or left out.
std::vector<std::byte> with(const std::string& key, const std::function<void(GgufWriter&)>& put,
                            const std::string& architecture = "llama") {
  GgufWriter writer = test::tiny_model({.architecture = architecture, .layers = 1, .window = 32});
  writer.remove(key);
  if (put) put(writer);
  return writer.bytes();
}

Result<ModelConfig> read(std::vector<std::byte> bytes) {
  auto file = formats::GgufFile::parse(std::move(bytes));
  if (!file) return fail(file.error());
  return read_config(**file);
}

TEST(ModelConfig, ReadsLlama) {
  const auto config = read(test::tiny_model({.layers = 3}).bytes()).value();
  EXPECT_EQ(config.architecture, "llama");
  EXPECT_EQ(config.layers.size(), 3u);
  EXPECT_EQ(config.head_dim, 64u);
  EXPECT_EQ(config.vocabulary, test::kTinyVocabulary);
  EXPECT_FALSE(config.ropes[0].halves);
  EXPECT_FLOAT_EQ(config.attention_scale, 0.125F);
}

TEST(ModelConfig, ReadsGemma3) {
  const auto config =
      read(test::tiny_model({.architecture = "gemma3", .layers = 12, .window = 32}).bytes())
          .value();
  EXPECT_TRUE(config.qk_norm == QkNorm::Head && config.post_norms && config.ropes[0].halves);
  EXPECT_FLOAT_EQ(config.embedding_scale, 16);
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(config.layers[i].window, i == 5 || i == 11 ? 0u : 32u) << i;
    EXPECT_EQ(config.layers[i].rope, i == 5 || i == 11 ? 0u : 1u) << i;
  }
}

TEST(ModelConfig, Gemma3FollowsAFileThatSaysMore) {
  GgufWriter writer = test::tiny_model({.architecture = "gemma3", .layers = 4, .window = 32});
  writer.add_u32("gemma3.attention.sliding_window_pattern", 2)
      .add_f32("gemma3.rope.freq_base_swa", 500);
  const auto config = read(writer.bytes()).value();
  EXPECT_EQ(config.layers[0].window, 32u);
  EXPECT_EQ(config.layers[1].window, 0u);
  EXPECT_EQ(config.ropes[1].base, 500);
}

// As llama.cpp writes them for OLMo 3 and EXAONE 4.
TEST(ModelConfig, AFileMaySayOfEachLayerWhetherItHasAWindow) {
  GgufWriter writer = test::tiny_arch("olmo2", formats::DType::F32);
  const std::string key = "olmo2.attention.sliding_window_pattern";
  writer.add_bools(key, {false, true, false, true});
  const auto config = read(writer.bytes()).value();
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(config.layers[i].window != 0, i % 2 == 1) << i;
    EXPECT_EQ(config.layers[i].rope, i % 2) << i;
  }
  writer.remove(key);
  writer.add_bools(key, {false, true});
  const auto refused = read(writer.bytes());
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("2 values; the model has 4 layers"), std::string::npos);
}

TEST(ModelConfig, WhatMinicpmsFilesLeaveOut) {
  GgufWriter writer = test::tiny_arch("minicpm", formats::DType::F32);
  for (const char* key : {"embedding_scale", "residual_scale", "logit_scale"}) {
    writer.remove(std::string("minicpm.") + key);
  }
  const std::array<std::uint64_t, 1> dims = {16};
  writer.add_f32_tensor("rope_factors_short.weight", dims, std::vector<float>(16, 1));
  writer.add_f32_tensor("rope_factors_long.weight", dims, std::vector<float>(16, 2));
  const auto config = read(writer.bytes()).value();
  EXPECT_FLOAT_EQ(config.embedding_scale, 12);
  EXPECT_FLOAT_EQ(config.residual_scale, 0.7F);  // 1.4 / sqrt(4)
  EXPECT_FLOAT_EQ(config.logit_scale, 4);        // 256 / 64
  EXPECT_EQ(config.ropes[0].original_context, config.trained_context);
}

struct Lie {
  std::string key;
  std::function<void(GgufWriter&)> put;
};

TEST(ModelConfig, RefusesLiesByName) {
  std::vector<Lie> lies;
  for (const char* count :
       {"block_count", "context_length", "embedding_length", "feed_forward_length",
        "attention.head_count", "attention.head_count_kv", "attention.key_length",
        "attention.value_length", "rope.dimension_count"}) {
    const std::string key = std::string("llama.") + count;
    for (const std::uint64_t value :
         {std::uint64_t{0}, std::uint64_t{1} << 33, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
      lies.push_back({key, [=](GgufWriter& w) { w.add_u64(key, value); }});
    }
    lies.push_back({key, [=](GgufWriter& w) { w.add_i64(key, -1); }});
    lies.push_back({key, [=](GgufWriter& w) { w.add_string(key, "4"); }});
    lies.push_back({key, [=](GgufWriter& w) { w.add_f32(key, 4); }});
  }
  for (const char* count : {"block_count", "context_length", "embedding_length",
                            "feed_forward_length", "attention.head_count"}) {
    lies.push_back({std::string("llama.") + count, nullptr});  // missing
  }
  for (const char* number : {"rope.freq_base", "attention.layer_norm_rms_epsilon"}) {
    const std::string key = std::string("llama.") + number;
    for (const float value : {0.0F, -1.0F, std::numeric_limits<float>::quiet_NaN(),
                              std::numeric_limits<float>::infinity()}) {
      lies.push_back({key, [=](GgufWriter& w) { w.add_f32(key, value); }});
    }
  }
  for (const Lie& lie : lies) {
    const auto config = read(with(lie.key, lie.put));
    ASSERT_FALSE(config.has_value()) << lie.key;
    const std::string& message = config.error().message;
    EXPECT_TRUE(message.find(lie.key.substr(6)) != std::string::npos ||
                message.find("head") != std::string::npos)
        << lie.key << ": " << message;
  }
}

TEST(ModelConfig, RefusesWhatDoesNotFitTogether) {
  const std::pair<const char*, std::uint32_t> cases[] = {
      {"llama.attention.head_count_kv", 3},  // 4 heads
      {"llama.attention.key_length", 24},    // not a multiple of 16
      {"llama.rope.dimension_count", 63},    // odd
      {"llama.rope.dimension_count", 66},    // more than the head has
      {"llama.expert_count", 8},
  };
  for (const auto& [key, value] : cases) {
    EXPECT_FALSE(read(with(key, [&](GgufWriter& w) { w.add_u32(key, value); })).has_value()) << key;
  }
}

TEST(ModelConfig, ADecoderMadeToSeeTheWholeTextIsRefused) {
  const std::string key = "llama.attention.causal";
  EXPECT_TRUE(read(with(key, [&](GgufWriter& w) { w.add_bool(key, true); })).has_value());
  const auto config = read(with(key, [&](GgufWriter& w) { w.add_bool(key, false); }));
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().code, ErrorCode::Unsupported);
  EXPECT_EQ(config.error().param, key);
}

TEST(ModelConfig, NamesAnUnknownArchitectureAndTheKnownOnes) {
  const auto config = read(with("general.architecture", [](GgufWriter& w) {
    w.add_string("general.architecture", "rwkv7");
  }));
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().code, ErrorCode::Unsupported);
  EXPECT_NE(config.error().message.find("rwkv7"), std::string::npos);
  EXPECT_NE(config.error().message.find("llama, mistral3, qwen2"), std::string::npos);
}

// The rope of a llama with these keys after "llama.rope.".
Result<ModelConfig> with_rope(const std::function<void(GgufWriter&, const std::string&)>& put) {
  GgufWriter writer = test::tiny_model({.layers = 1});
  writer.remove("llama.rope.freq_base");
  put(writer, "llama.rope.");
  return read(writer.bytes());
}

TEST(ModelConfig, ReadsYarn) {
  const auto config = with_rope([](GgufWriter& w, const std::string& rope) {
    w.add_string(rope + "scaling.type", "yarn").add_f32(rope + "scaling.factor", 8);
    w.add_u32(rope + "scaling.original_context_length", 512);
    w.add_f32(rope + "scaling.yarn_beta_fast", 16);
    w.add_f32(rope + "scaling.attn_factor", 0.5F);
  });
  ASSERT_TRUE(config.has_value()) << config.error().message;
  const RopeConfig& rope = config->ropes[0];
  ASSERT_TRUE(rope.yarn.has_value());
  EXPECT_EQ(rope.yarn->factor, 8);
  EXPECT_EQ(rope.yarn->original_context, 512);
  EXPECT_EQ(rope.yarn->beta_fast, 16);
  EXPECT_EQ(rope.yarn->beta_slow, 1);
  EXPECT_DOUBLE_EQ(rope.magnitude, 0.5 * (0.1 * std::log(8.0) + 1));
}

TEST(ModelConfig, YarnsMagnitudeIsTheFilesWhereItHasOne) {
  const auto magnitude = [](const char* key, float value) {
    const auto config = with_rope([&](GgufWriter& w, const std::string& rope) {
      w.add_string(rope + "scaling.type", "yarn").add_f32(rope + "scaling.factor", 8);
      w.add_u32(rope + "scaling.original_context_length", 512);
      w.add_f32(rope + "scaling." + key, value);
    });
    return config.value().ropes[0].magnitude;
  };
  const double usual = 0.1 * std::log(8.0) + 1;
  EXPECT_DOUBLE_EQ(magnitude("yarn_attn_factor", 1.5F), 1.5);
  EXPECT_DOUBLE_EQ(magnitude("yarn_log_multiplier", 1), 1);
  EXPECT_DOUBLE_EQ(magnitude("yarn_log_multiplier", 0.5F), usual / (0.05 * std::log(8.0) + 1));
}

TEST(ModelConfig, RefusesARopeScalingItDoesNotRun) {
  using Put = std::function<void(GgufWriter&, const std::string&)>;
  const std::pair<Put, const char*> cases[] = {
      {[](GgufWriter& w, const std::string& rope) { w.add_string(rope + "scaling.type", "ntk"); },
       "ntk"},
      {[](GgufWriter& w, const std::string& rope) { w.add_string(rope + "scaling.type", "yarn"); },
       "original_context_length"},
      {[](GgufWriter& w, const std::string& rope) {
         w.add_string(rope + "scaling.type", "longrope");
       },
       "rope_factors_short"},
      {[](GgufWriter& w, const std::string& rope) {
         w.add_string(rope + "scaling.type", "yarn")
             .add_f32(rope + "scaling.yarn_ext_factor", 0.5F);
         w.add_u32(rope + "scaling.original_context_length", 512);
       },
       "yarn_ext_factor"},
      {[](GgufWriter& w, const std::string& rope) {
         w.add_string(rope + "scaling.type", "yarn").add_f32(rope + "freq_base", 1);
         w.add_u32(rope + "scaling.original_context_length", 512);
       },
       "freq_base"},
      {[](GgufWriter& w, const std::string& rope) { w.add_f32(rope + "freq_base", 1e-10F); },
       "radians"},
      {[](GgufWriter& w, const std::string& rope) {
         w.add_string(rope + "scaling.type", "linear").add_f32(rope + "scaling.factor", 1e-10F);
       },
       "radians"},
  };
  for (const auto& [put, named] : cases) {
    const auto config = with_rope(put);
    ASSERT_FALSE(config.has_value()) << named;
    EXPECT_NE(config.error().message.find(named), std::string::npos) << config.error().message;
  }
}

Result<std::shared_ptr<const Model>> load(std::vector<std::byte> bytes) {
  ComputePool pool(1);
  MINERVA_ASSIGN(auto file, formats::GgufFile::parse(std::move(bytes)));
  return Model::load(std::move(file), Numerics::Exact, pool);
}

TEST(Model, RefusesShapesThatDoNotMatchTheMetadata) {
  for (const char* key :
       {"llama.embedding_length", "llama.feed_forward_length", "llama.attention.head_count"}) {
    const auto model = load(with(key, [&](GgufWriter& w) { w.add_u32(key, 512); }));
    ASSERT_FALSE(model.has_value()) << key;
    EXPECT_NE(model.error().message.find(".weight"), std::string::npos) << model.error().message;
  }
  const auto more_layers =
      load(with("llama.block_count", [](GgufWriter& w) { w.add_u32("llama.block_count", 2); }));
  ASSERT_FALSE(more_layers.has_value());
  EXPECT_NE(more_layers.error().message.find("blk.1."), std::string::npos);
}

TEST(Model, RefusesATensorThatItWouldIgnore) {
  GgufWriter writer = test::tiny_model({.layers = 1});
  const std::array<std::uint64_t, 1> dims = {256};
  writer.add_f32_tensor("blk.0.attn_q_norm.weight", dims, std::vector<float>(256));
  const auto model = load(writer.bytes());
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().code, ErrorCode::Unsupported);
  EXPECT_NE(model.error().message.find("attn_q_norm"), std::string::npos);
}

}  // namespace
}  // namespace minerva::engine
