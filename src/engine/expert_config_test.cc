// What a file says of its experts is read, or refused by name before anything is allocated for it.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/model.h"
#include "engine/model_config.h"
#include "support/tiny_model.h"

namespace minerva::engine {
namespace {

using formats::DType;
using test::GgufWriter;
using Change = std::function<void(GgufWriter&)>;

test::TinyModel settings(const std::string& architecture) {
  return {.architecture = architecture,
          .layers = 2,
          .width = 32,
          .heads = 2,
          .kv_heads = 1,
          .head_dim = 16,
          .window = architecture == "gpt-oss" ? 8U : 0U,
          .experts = 4,
          .experts_used = 2,
          .expert_ff_width = 32,
          .shared_ff_width = architecture == "qwen2moe" ? 48U : 0U};
}

GgufWriter changed(const std::string& architecture, const std::string& key, const Change& put) {
  GgufWriter writer = test::tiny_model(settings(architecture));
  writer.remove(key);
  if (put) put(writer);
  return writer;
}

Result<ModelConfig> read(GgufWriter writer) {
  MINERVA_ASSIGN(const auto file, formats::GgufFile::parse(writer.bytes()));
  return read_config(*file);
}

Result<std::shared_ptr<const Model>> load(GgufWriter writer) {
  ComputePool pool(1);
  MINERVA_ASSIGN(auto file, formats::GgufFile::parse(writer.bytes()));
  return Model::load(std::move(file), Numerics::Exact, pool);
}

TEST(ExpertConfig, EachArchitectureHasItsRouter) {
  for (const char* name : {"llama", "qwen2moe", "qwen3moe", "gpt-oss"}) {
    const ModelConfig config = read(test::tiny_model(settings(name))).value();
    EXPECT_EQ(config.experts.count, 4u) << name;
    EXPECT_EQ(config.experts.used, 2u) << name;
    EXPECT_EQ(config.experts.ff_width, 32u) << name;
    EXPECT_EQ(config.experts.shared_ff_width, name == std::string("qwen2moe") ? 48u : 0u);
    EXPECT_EQ(config.experts.normalize_chosen, name != std::string("qwen2moe"));
    EXPECT_EQ(config.ff_width, 0u) << "nothing is planned for dense layers";
    EXPECT_EQ(config.attention_sinks, name == std::string("gpt-oss"));
  }
  const ModelConfig oss = read(test::tiny_model(settings("gpt-oss"))).value();
  EXPECT_EQ(oss.layers[0].window, 8u);
  EXPECT_EQ(oss.layers[1].window, 0u);
}

test::TinyModel routed(const std::string& architecture) {
  test::TinyModel s = settings(architecture);
  s.head_dim = 32;
  s.layers = 3;
  s.experts = 8;
  s.shared_ff_width = 48;
  s.dense_layers = 1;
  s.groups = 4;
  return s;
}

TEST(ExpertConfig, ReadsDenseLayersGroupsAndTheBiasOfTheChoice) {
  for (const char* name : {"glm4moe", "deepseek2"}) {
    const auto model = load(test::tiny_model(routed(name)));
    ASSERT_TRUE(model.has_value()) << model.error().message;
    const ModelConfig& config = (*model)->config();
    EXPECT_TRUE(config.layers[0].dense && !config.layers[1].dense && !config.layers[2].dense);
    EXPECT_EQ(config.ff_width, 256u) << "of the dense layer";
    EXPECT_EQ(config.experts.gate, Gate::Sigmoid);
    EXPECT_EQ(config.experts.groups, 4u);
    EXPECT_EQ(config.experts.groups_used, 2u);
    EXPECT_EQ(config.experts.group_best, 2u);
    EXPECT_EQ(config.experts.shared_ff_width, 48u);
    EXPECT_FALSE(config.experts.shared_gate);
    EXPECT_EQ((*model)->layer(1).experts.choice_bias.size(), 8u);
    EXPECT_EQ(config.experts.normalize_chosen, name == std::string("deepseek2"));
  }
  // The shared experts' number stands for their width.
  GgufWriter writer = test::tiny_model(routed("deepseek2"));
  writer.remove("deepseek2.expert_shared_feed_forward_length")
      .remove("deepseek2.expert_gating_func")
      .add_u32("deepseek2.expert_shared_count", 3);
  const ModelConfig config = read(std::move(writer)).value();
  EXPECT_EQ(config.experts.shared_ff_width, 96u);
  EXPECT_EQ(config.experts.gate, Gate::Softmax);
  EXPECT_EQ(config.experts.group_best, 1u) << "DeepSeek V2's groups have the score of one expert";
}

TEST(ExpertConfig, GroupsAndDenseLayersThatMakeNoSenseAreRefused) {
  const std::pair<const char*, std::uint32_t> lies[] = {
      {"expert_group_count", 3},        {"expert_group_count", 8'000},
      {"expert_group_used_count", 5},   {"expert_group_used_count", 0},
      {"leading_dense_block_count", 3}, {"nextn_predict_layers", 3},
      {"expert_shared_count", 5'000},   {"expert_gating_func", 4},
  };
  for (const auto& [name, value] : lies) {
    const std::string key = std::string("deepseek2.") + name;
    GgufWriter writer = test::tiny_model(routed("deepseek2"));
    writer.remove(key).remove("deepseek2.expert_shared_feed_forward_length").add_u32(key, value);
    const auto config = read(std::move(writer));
    ASSERT_FALSE(config.has_value()) << key << " " << value;
    const bool groups = key.find("group") != std::string::npos && value != 0;
    EXPECT_NE(config.error().message.find(groups ? "expert_group_count" : name), std::string::npos)
        << config.error().message;
  }
}

TEST(ExpertConfig, LayersThatGuessAreNotRead) {
  GgufWriter writer = test::tiny_model(routed("glm4moe"));
  writer.remove("glm4moe.block_count")
      .add_u32("glm4moe.block_count", 4)
      .add_u32("glm4moe.nextn_predict_layers", 1);
  const std::array<std::uint64_t, 1> dims = {7};
  writer.add_f32_tensor("blk.3.nextn.enorm.weight", dims, std::vector<float>(7, 1));
  const auto model = load(writer);
  ASSERT_TRUE(model.has_value()) << model.error().message;
  EXPECT_EQ((*model)->config().layers.size(), 3u);
  writer.add_f32_tensor("blk.4.nextn.enorm.weight", dims, std::vector<float>(7, 1));
  const auto refused = load(writer);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("blk.4.nextn"), std::string::npos);
}

TEST(ExpertConfig, FollowsAFileThatSaysMore) {
  GgufWriter writer = test::tiny_model(settings("qwen3moe"));
  writer.add_bool("qwen3moe.expert_weights_norm", false)
      .add_f32("qwen3moe.expert_weights_scale", 2.5F)
      .add_u32("qwen3moe.expert_gating_func", 1);
  const ModelConfig config = read(std::move(writer)).value();
  EXPECT_FALSE(config.experts.normalize_chosen);
  EXPECT_FLOAT_EQ(config.experts.weight_scale, 2.5F);
  // Mixtral's files have no width of their own for experts.
  GgufWriter mixtral = changed("llama", "llama.expert_feed_forward_length", nullptr);
  EXPECT_EQ(read(std::move(mixtral)).value().experts.ff_width, 256u);
}

TEST(ExpertConfig, RefusesLiesByName) {
  const std::string arch = "qwen2moe";
  struct Lie {
    std::string key;
    Change put;
  };
  std::vector<Lie> lies;
  for (const char* count : {"expert_count", "expert_used_count", "expert_feed_forward_length",
                            "expert_shared_feed_forward_length"}) {
    const std::string key = arch + "." + count;
    lies.push_back({key, nullptr});
    for (const std::uint64_t value :
         {std::uint64_t{0}, std::uint64_t{1} << 31, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
      lies.push_back({key, [=](GgufWriter& w) { w.add_u64(key, value); }});
    }
    lies.push_back({key, [=](GgufWriter& w) { w.add_i64(key, -1); }});
    lies.push_back({key, [=](GgufWriter& w) { w.add_string(key, "4"); }});
  }
  const auto u32 = [&](const char* name, std::uint32_t value) {
    const std::string key = arch + "." + name;
    lies.push_back({key, [=](GgufWriter& w) { w.add_u32(key, value); }});
  };
  u32("expert_used_count", 5);   // of 4
  u32("expert_gating_func", 2);  // a sigmoid
  u32("expert_gating_func", 3);  // a softmax over the chosen, which qwen2moe's is not
  u32("expert_group_count", 2);
  for (const float value : {-1.0F, std::numeric_limits<float>::quiet_NaN()}) {
    const std::string key = arch + ".expert_weights_scale";
    lies.push_back({key, [=](GgufWriter& w) { w.add_f32(key, value); }});
  }
  const GgufWriter honest = test::tiny_model(settings(arch));
  for (const Lie& lie : lies) {
    GgufWriter writer = honest;
    writer.remove(lie.key);
    if (lie.put) lie.put(writer);
    // Without its own width an expert has the feed-forward's, which the tensors then contradict.
    const auto model = load(std::move(writer));
    ASSERT_FALSE(model.has_value()) << lie.key;
    const std::string& message = model.error().message;
    const bool width = lie.put == nullptr && lie.key == arch + ".expert_feed_forward_length";
    EXPECT_NE(message.find(width ? "ffn_gate_exps" : lie.key), std::string::npos)
        << lie.key << ": " << message;
  }
}

TEST(ExpertConfig, TooManyForATokenAreRefused) {
  GgufWriter writer = test::tiny_model(settings("llama"));
  writer.remove("llama.expert_count")
      .remove("llama.expert_used_count")
      .add_u32("llama.expert_count", 128)
      .add_u32("llama.expert_used_count", 65);
  const auto config = read(std::move(writer));
  ASSERT_FALSE(config.has_value());
  EXPECT_NE(config.error().message.find("65"), std::string::npos);
}

TEST(ExpertConfig, ShapesThatAreNotTheMetadatasAreRefused) {
  for (const char* key : {"expert_count", "expert_feed_forward_length"}) {
    const std::string name = std::string("qwen3moe.") + key;
    const auto model = load(changed("qwen3moe", name, [&](GgufWriter& w) { w.add_u32(name, 16); }));
    ASSERT_FALSE(model.has_value()) << key;
    EXPECT_NE(model.error().message.find("ffn_gate_"), std::string::npos) << model.error().message;
  }
}

TEST(ExpertConfig, AnArchitectureWithoutExpertsSaysSo) {
  GgufWriter writer = test::tiny_model({.architecture = "gemma3",
                                        .layers = 1,
                                        .width = 32,
                                        .head_dim = 16,
                                        .ff_width = 32,
                                        .window = 32});
  writer.add_u32("gemma3.expert_count", 8);
  const auto config = read(std::move(writer));
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().code, ErrorCode::Unsupported);
  EXPECT_NE(config.error().message.find("gemma3.expert_count"), std::string::npos);
}

TEST(ExpertConfig, ATensorWithoutAPlaceIsRefused) {
  GgufWriter writer = test::tiny_model(settings("gpt-oss"));
  const std::array<std::uint64_t, 1> dims = {16};
  writer.add_f32_tensor("blk.0.attn_k_norm.weight", dims, std::vector<float>(16, 1));
  const auto model = load(std::move(writer));
  ASSERT_FALSE(model.has_value());
  EXPECT_NE(model.error().message.find("attn_k_norm"), std::string::npos);
}

// The tensors of the first Mixtral files: one for each expert.
GgufWriter with_single_experts(DType second) {
  test::TinyModel dense = settings("llama");
  dense.experts = 0;
  dense.ff_width = 32;
  dense.layers = 1;
  // The dense model's own feed-forward has no place beside experts, so the file is built anew.
  const auto file = formats::GgufFile::parse(test::tiny_model(dense).bytes()).value();
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  for (const char* key : {"block_count", "context_length", "embedding_length",
                          "feed_forward_length", "attention.head_count", "attention.head_count_kv",
                          "attention.key_length", "attention.value_length"}) {
    const std::string name = std::string("llama.") + key;
    writer.add_u32(name, static_cast<std::uint32_t>(file->get_uint(name).value()));
  }
  writer.add_u32("llama.expert_count", 2).add_u32("llama.expert_used_count", 1);
  for (const formats::GgufTensor& t : file->tensors()) {
    const auto dims = std::span(t.dims).first(t.n_dims);
    const std::vector<std::byte> data(t.data.begin(), t.data.end());
    const auto at = t.name.find("ffn_");
    if (at == std::string::npos || t.name.find("ffn_norm") != std::string::npos) {
      writer.add_tensor(t.name, t.type, dims, data);
      continue;
    }
    const std::string stem = t.name.substr(0, t.name.find(".weight"));
    writer.add_tensor(stem + ".0.weight", t.type, dims, data);
    writer.add_tensor(stem + ".1.weight", second, dims,
                      test::random_weights(second, t.elements(), 0.1, 5));
  }
  const std::array<std::uint64_t, 2> router = {32, 2};
  writer.add_f32_tensor("blk.0.ffn_gate_inp.weight", router, std::vector<float>(64, 0.5F));
  return writer;
}

TEST(ExpertConfig, ExpertsInTensorsOfTheirOwnAreRead) {
  const auto model = load(with_single_experts(DType::F32)).value();
  const ExpertWeights& experts = model->layer(0).experts;
  ASSERT_EQ(experts.up.matrices.size(), 2u);
  EXPECT_EQ(experts.down.matrices[1].rows(), 32u);
  const auto* first = static_cast<const float*>(experts.gate.matrices[0].floats().values);
  const auto* second = static_cast<const float*>(experts.gate.matrices[1].floats().values);
  EXPECT_NE(first[0], second[0]);
  const auto mixed = load(with_single_experts(DType::F16));
  ASSERT_FALSE(mixed.has_value());
  EXPECT_EQ(mixed.error().code, ErrorCode::Unsupported);
  EXPECT_NE(mixed.error().message.find("ffn_gate.1.weight"), std::string::npos)
      << mixed.error().message;
}

}  // namespace
}  // namespace minerva::engine
