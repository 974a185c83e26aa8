// Models with experts: the same bits in any chunks and batches and with any threads and instruction
// set, although each step puts its tokens together by expert.
#include "engine/experts.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "engine/decoder_test.h"
#include "support/tiny_model.h"

namespace minerva::engine {
namespace {

using formats::DType;

struct Case {
  const char* name;
  test::TinyModel settings;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// K-quants (groups of 256), 32-blocks with float activations beside them, floats, and gpt-oss's own
// type; a shared expert, weights on what experts read, all experts used, one used, biases and
// sinks, dense layers, groups, latents.
const Case kCases[] = {
    {"mixtral",
     {.type = DType::Q4_K, .layers = 1, .experts = 5, .experts_used = 2, .expert_ff_width = 256}},
    {"mixtral_all_used",
     {.type = DType::Q4_0,
      .width = 64,
      .head_dim = 16,
      .experts = 3,
      .experts_used = 3,
      .expert_ff_width = 96}},
    {"qwen2moe",
     {.architecture = "qwen2moe",
      .type = DType::Q8_0,
      .width = 64,
      .head_dim = 16,
      .experts = 6,
      .experts_used = 3,
      .expert_ff_width = 96,
      .shared_ff_width = 160}},
    {"qwen3moe",
     {.architecture = "qwen3moe",
      .type = DType::F16,
      .width = 64,
      .head_dim = 16,
      .experts = 18,
      .experts_used = 4,
      .expert_ff_width = 24}},
    {"qwen3moe_one_used",
     {.architecture = "qwen3moe",
      .type = DType::Q6_K,
      .layers = 1,
      .experts = 4,
      .experts_used = 1,
      .expert_ff_width = 256}},
    {"gpt_oss",
     {.architecture = "gpt-oss",
      .type = DType::MXFP4,
      .layers = 3,
      .width = 64,
      .head_dim = 16,
      .window = 12,
      .experts = 6,
      .experts_used = 2,
      .expert_ff_width = 96}},
    {"glm4moe",
     {.architecture = "glm4moe",
      .type = DType::Q8_0,
      .layers = 3,
      .width = 64,
      .head_dim = 16,
      .experts = 6,
      .experts_used = 2,
      .expert_ff_width = 96,
      .shared_ff_width = 64,
      .dense_layers = 1}},
    {"deepseek2",
     {.architecture = "deepseek2",
      .type = DType::Q8_0,
      .layers = 2,
      .width = 64,
      .heads = 3,
      .head_dim = 64,
      .experts = 8,
      .experts_used = 3,
      .expert_ff_width = 96,
      .shared_ff_width = 64,
      .dense_layers = 1,
      .groups = 4,
      .query_rank = 32}},
    {"llama4",
     {.architecture = "llama4",
      .type = DType::Q8_0,
      .layers = 4,
      .width = 64,
      .head_dim = 16,
      .window = 20,
      .experts = 4,
      .experts_used = 1,
      .expert_ff_width = 96,
      .shared_ff_width = 96}},
    {"deepseek2_lite",
     {.architecture = "deepseek2",
      .type = DType::F16,
      .layers = 2,
      .width = 64,
      .heads = 5,
      .head_dim = 32,
      .experts = 4,
      .experts_used = 2,
      .expert_ff_width = 32,
      .dense_layers = 1}},
};

class Experts : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Models, Experts, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(Experts, ChunksGiveTheSameBits) {
  Rig rig(GetParam().settings);
  const auto tokens = tokens_of(70, 1);
  const Logits whole = rig.run(tokens, {70});
  expect_same(whole, rig.run(tokens, {1}), "one by one");
  expect_same(whole, rig.run(tokens, {3, 31, 1, 7, 2, 9}), "odd chunks");
}

TEST_P(Experts, ThreadsGiveTheSameBits) {
  const auto tokens = tokens_of(40, 2);
  const Logits one = Rig(GetParam().settings, 1).run(tokens, {24, 1, 3});
  expect_same(one, Rig(GetParam().settings, 2).run(tokens, {24, 1, 3}), "2 threads");
  expect_same(one, Rig(GetParam().settings, 3).run(tokens, {24, 1, 3}), "3 threads");
  // More threads than the model has rows to share out.
  expect_same(one, Rig(GetParam().settings, 7).run(tokens, {24, 1, 3}), "7 threads");
}

TEST_P(Experts, InstructionSetsGiveTheSameBits) {
  const auto tokens = tokens_of(24, 3);
  const auto& scalar = *kernels::find_kernels(kernels::Isa::Scalar);
  const Logits plain = Rig(GetParam().settings, 1, scalar).run(tokens, {16, 1});
  for (const kernels::Isa isa : {kernels::Isa::Avx2, kernels::Isa::Avx512}) {
    const kernels::KernelTable* table = kernels::find_kernels(isa);
    if (table == nullptr) {
      std::printf("NOT RUN: this processor lacks an instruction set\n");
      continue;
    }
    expect_same(plain, Rig(GetParam().settings, 1, *table).run(tokens, {16, 1}),
                std::string(table->name));
  }
}

TEST_P(Experts, ASequenceDoesNotSeeItsNeighbours) {
  Rig rig(GetParam().settings, 2);
  expect_sequences_apart(rig, 2);
}

TEST(ExpertModels, LanguageModelsOfModelsThatSeeAreTheirTextModels) {
  test::TinyModel settings = kCases[3].settings;
  ASSERT_EQ(settings.architecture, "qwen3moe");
  const auto tokens = tokens_of(20, 9);
  const Logits text = Rig(settings).run(tokens, {20});
  settings.architecture = "qwen3vlmoe";
  expect_same(text, Rig(settings).run(tokens, {20}), "qwen3vlmoe");
}

TEST_P(Experts, MemoryIsKnownBeforeTheLoad) {
  const auto file = formats::GgufFile::parse(test::tiny_model(GetParam().settings).bytes()).value();
  ComputePool pool(2);
  for (const Numerics numerics : {Numerics::Exact, Numerics::F32}) {
    const auto model = Model::load(file, numerics, pool).value();
    EXPECT_EQ(Model::packed_bytes(*file, numerics), model->weight_bytes());
    std::size_t experts = 0;
    const std::size_t dense = GetParam().settings.dense_layers;
    for (const PackedWeight& w : model->layer(dense).experts.gate.matrices) experts += w.bytes();
    EXPECT_GT(experts, 0u);
    EXPECT_GT(model->weight_bytes(), 3 * experts * (model->config().layers.size() - dense));
    EXPECT_TRUE(dense == 0 || model->layer(0).experts.empty());
    // A token leaves out the experts that were not chosen for it, in each matrix of each layer.
    const auto& c = model->config();
    std::size_t routed = 0;
    for (std::size_t i = 0; i < c.layers.size(); ++i) {
      const ExpertWeights& e = model->layer(i).experts;
      for (std::size_t x = 0; x < e.gate.matrices.size(); ++x) {
        routed +=
            e.gate.matrices[x].bytes() + e.up.matrices[x].bytes() + e.down.matrices[x].bytes();
      }
    }
    EXPECT_EQ(model->weight_bytes() - model->token_bytes(),
              routed * (c.experts.count - c.experts.used) / c.experts.count);
  }
}

}  // namespace
}  // namespace minerva::engine
