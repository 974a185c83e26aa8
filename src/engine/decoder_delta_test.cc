// Gated delta rules: a sequence's state is its own, however its tokens come, and every part of the
// rule counts. That the rule is the makers' is the reference tests'.
#include <gtest/gtest.h>

#include <string>

#include "engine/decoder_test.h"
#include "support/tiny_delta.h"

namespace minerva::engine {
namespace {

using formats::DType;

constexpr std::size_t kVocabulary = 80;

class DeltaRules : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Architectures, DeltaRules,
                         testing::Values("qwen3next", "qwen35", "qwen35moe"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST_P(DeltaRules, ASequenceDoesNotSeeItsNeighbours) {
  Rig rig(test::tiny_delta({.architecture = GetParam()}), 2);
  expect_sequences_apart(rig, 3);
}

TEST_P(DeltaRules, ThreadsAndChunksGiveTheSameBits) {
  const auto writer = test::tiny_delta({.architecture = GetParam(), .type = DType::Q4_0});
  const auto tokens = tokens_of(270, 1, kVocabulary);  // more than one range of attention
  const Logits whole = Rig(writer).run(tokens, {270});
  expect_same(whole, Rig(writer, 3).run(tokens, {1, 2, 3, 4, 5, 100, 1}), "3 threads");
  expect_same(whole, Rig(writer, 5).run(tokens, {7}), "5 threads");
}

// Without a layer that attends, what lies behind the convolutions is in the states alone.
TEST(DeltaRule, AStateRemembersWhatLiesBehindTheConvolutions) {
  auto writer = test::tiny_delta({.type = DType::F32, .attends = false});
  Rig rig(writer);
  auto tokens = tokens_of(40, 2, kVocabulary);
  const Logits a = rig.run(tokens, {40});
  tokens[0] = tokens[0] == 0 ? 1 : 0;
  const Logits b = rig.run(tokens, {40});
  EXPECT_NE(a.back(), b.back());
}

TEST(DeltaRule, FilesOfBeforeSayTheSame) {
  const auto tokens = tokens_of(30, 3, kVocabulary);
  for (const DType type : {DType::F32, DType::Q8_0}) {
    expect_same(
        Rig(test::tiny_delta({.architecture = "qwen3next", .type = type})).run(tokens, {30}),
        Rig(test::tiny_delta({.architecture = "qwen3next", .type = type, .old_names = true}))
            .run(tokens, {30}),
        "ssm_in");
  }
}

TEST(DeltaRule, AnIntervalSaysWhichLayersAttend) {
  auto writer = test::tiny_delta({});
  writer.remove("qwen35.attention.recurrent_layers");
  writer.add_u32("qwen35.full_attention_interval", 2);
  const auto by_interval = read_config(*formats::GgufFile::parse(writer.bytes()).value()).value();
  EXPECT_TRUE(by_interval.layers[0].delta);
  EXPECT_FALSE(by_interval.layers[1].delta);
  EXPECT_TRUE(by_interval.layers[2].delta);
  EXPECT_FALSE(by_interval.layers[3].delta);
  writer.remove("qwen35.full_attention_interval");
  const auto usual = read_config(*formats::GgufFile::parse(writer.bytes()).value()).value();
  EXPECT_TRUE(usual.layers[1].delta);
  EXPECT_FALSE(usual.layers[3].delta);
}

// Layers behind the model's own, which only guess at further tokens.
TEST(DeltaRule, DraftLayersAreLeftOut) {
  auto writer = test::tiny_delta({});
  const auto tokens = tokens_of(20, 4, kVocabulary);
  const Logits without = Rig(writer).run(tokens, {20});
  writer.remove("qwen35.block_count");
  writer.remove("qwen35.attention.recurrent_layers");
  writer.add_u32("qwen35.block_count", 5).add_u32("qwen35.nextn_predict_layers", 1);
  writer.add_bools("qwen35.attention.recurrent_layers", {true, false, true, true, false});
  const std::array<std::uint64_t, 1> dims = {64};
  writer.add_f32_tensor("blk.4.nextn.enorm.weight", dims, std::vector<float>(64));
  expect_same(without, Rig(writer).run(tokens, {20}), "with a draft layer");
}

TEST(DeltaRule, HeadsThatDoNotFitAreRefused) {
  struct Lie {
    const char* key;
    std::uint32_t value;
    const char* said;
  };
  for (const Lie& lie :
       {Lie{"ssm.time_step_rank", 5, "multiple"}, Lie{"ssm.group_count", 4, "multiple"},
        Lie{"ssm.inner_size", 190, "divide"}, Lie{"ssm.state_size", 24, "multiples of 16"},
        Lie{"ssm.conv_kernel", 17, "1 to 16"}, Lie{"ssm.conv_kernel", 3, "ssm_conv1d"},
        Lie{"ssm.state_size", 32, "attn_qkv"}, Lie{"ssm.inner_size", 96, "attn_qkv"}}) {
    auto writer = test::tiny_delta({});
    const std::string key = std::string("qwen35.") + lie.key;
    writer.remove(key);
    writer.add_u32(key, lie.value);
    const auto checked = Model::check(*formats::GgufFile::parse(writer.bytes()).value());
    ASSERT_FALSE(checked.has_value()) << key << " " << lie.value;
    EXPECT_NE(checked.error().message.find(lie.said), std::string::npos) << checked.error().message;
  }
  auto writer = test::tiny_delta({});
  writer.remove("qwen35.attention.recurrent_layers");
  writer.add_bools("qwen35.attention.recurrent_layers", {true, false});
  const auto checked = Model::check(*formats::GgufFile::parse(writer.bytes()).value());
  ASSERT_FALSE(checked.has_value());
  EXPECT_NE(checked.error().message.find("2 values"), std::string::npos);
}

}  // namespace
}  // namespace minerva::engine
