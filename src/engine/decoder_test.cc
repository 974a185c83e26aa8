// The promise of docs/numerics.md, held by equality: a sequence's logits depend on its own tokens
// alone, however they were computed.
#include "engine/decoder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/decoder_test.h"

namespace minerva::engine {
namespace {

using formats::DType;

class EveryType : public testing::TestWithParam<DType> {};

INSTANTIATE_TEST_SUITE_P(Weights, EveryType,
                         testing::Values(DType::F32, DType::F16, DType::BF16, DType::Q4_0,
                                         DType::Q4_1, DType::Q5_0, DType::Q5_1, DType::Q8_0,
                                         DType::Q2_K, DType::Q3_K, DType::Q4_K, DType::Q5_K,
                                         DType::Q6_K, DType::IQ4_NL, DType::IQ4_XS, DType::MXFP4),
                         [](const auto& info) {
                           return std::string(formats::dtype_info(info.param).name);
                         });

TEST_P(EveryType, ChunksGiveTheSameBits) {
  Rig rig({.type = GetParam()});
  const auto tokens = tokens_of(70, 1);
  const Logits whole = rig.run(tokens, {70});
  expect_same(whole, rig.run(tokens, {1}), "one by one");
  expect_same(whole, rig.run(tokens, {3, 31, 1, 7, 2, 9}), "odd chunks");
  EXPECT_EQ(rig.kv->used_pages(), 0u);
}

TEST_P(EveryType, ThreadsGiveTheSameBits) {
  const auto tokens = tokens_of(40, 2);
  const Logits one = Rig({.type = GetParam()}, 1).run(tokens, {24, 1});
  expect_same(one, Rig({.type = GetParam()}, 2).run(tokens, {24, 1}), "2 threads");
  expect_same(one, Rig({.type = GetParam()}, 3).run(tokens, {24, 1}), "3 threads");
}

TEST_P(EveryType, InstructionSetsGiveTheSameBits) {
  const auto tokens = tokens_of(40, 3);
  const Logits scalar = Rig({.type = GetParam()}, 1, *kernels::find_kernels(kernels::Isa::Scalar))
                            .run(tokens, {24, 1});
  for (const kernels::Isa isa : {kernels::Isa::Avx2, kernels::Isa::Avx512}) {
    const kernels::KernelTable* table = kernels::find_kernels(isa);
    if (table == nullptr) {
      std::printf("NOT RUN: this processor lacks an instruction set\n");
      continue;
    }
    expect_same(scalar, Rig({.type = GetParam()}, 1, *table).run(tokens, {24, 1}),
                std::string(table->name));
  }
}

// Exact numerics differ from float32 by the rounding of activations alone.
TEST_P(EveryType, StaysNearFloat32) {
  const auto tokens = tokens_of(24, 4);
  const Logits exact = Rig({.type = GetParam()}).run(tokens, {24});
  const Logits f32 =
      Rig({.type = GetParam()}, 1, kernels::best_kernels(), Numerics::F32).run(tokens, {24});
  double worst = 0;
  double largest = 0;
  for (std::size_t p = 0; p < f32.size(); ++p) {
    for (std::size_t i = 0; i < f32[p].size(); ++i) {
      worst = std::max(worst, static_cast<double>(std::abs(f32[p][i] - exact[p][i])));
      largest = std::max(largest, static_cast<double>(std::abs(f32[p][i])));
    }
  }
  // Each of the dozen matrix products rounds its input to 1/127 of a group's largest value.
  EXPECT_LT(worst, 0.08 * largest);
  const bool is_float =
      GetParam() == DType::F32 || GetParam() == DType::F16 || GetParam() == DType::BF16;
  if (is_float) {
    EXPECT_LT(worst, 1e-5 * largest);
  }
}

test::TinyModel gemma(std::size_t window) {
  return {
      .architecture = "gemma3", .type = DType::Q8_0, .layers = 7, .kv_heads = 1, .window = window};
}

TEST(Decoder, SlidingWindowsGiveTheSameBitsInAnyChunks) {
  Rig rig(gemma(40));
  const auto tokens = tokens_of(300, 5);
  const Logits whole = rig.run(tokens, {300});
  expect_same(whole, rig.run(tokens, {1}), "one by one");
  expect_same(whole, rig.run(tokens, {50, 3, 100, 1}), "odd chunks");
  EXPECT_EQ(rig.kv->used_pages(), 0u);
}

TEST(Decoder, AWindowHidesWhatLiesBeforeIt) {
  // With every layer windowed (fewer than six), what is 2 windows back cannot matter.
  test::TinyModel settings = gemma(16);
  settings.layers = 2;
  Rig rig(settings);
  auto tokens = tokens_of(100, 6);
  const Logits a = rig.run(tokens, {100});
  tokens[10] = (tokens[10] + 1) % 256;
  const Logits b = rig.run(tokens, {100});
  EXPECT_NE(a[10], b[10]);
  EXPECT_NE(a[25], b[25]) << "inside the window";
  EXPECT_EQ(a[10 + 2 * 16], b[10 + 2 * 16]) << "past both layers' windows";
}

TEST(Decoder, LongContextsGiveTheSameBitsInAnyChunks) {
  Rig rig({.type = DType::Q4_0});
  const auto tokens = tokens_of(700, 7);  // several ranges of 256
  expect_same(rig.run(tokens, {500, 200}), rig.run(tokens, {255, 2, 1, 300}), "odd chunks");
}

TEST(Decoder, ASequenceDoesNotSeeItsNeighbours) {
  Rig rig({.type = DType::Q4_1}, 2);
  expect_sequences_apart(rig, 8);
}

TEST(Decoder, LogitsOnlyWhereAsked) {
  Rig rig({.type = DType::Q8_0});
  const auto tokens = tokens_of(20, 9);
  const Logits all = rig.run(tokens, {20});
  SequenceKv kv = rig.kv->make_sequence();
  ASSERT_TRUE(rig.kv->reserve(kv, 20));
  const StepItem item{&kv, tokens, 19};
  rig.decoder->step({&item, 1});
  Logits last;
  rig.keep(0, last);
  expect_same({all.back()}, last, "last row");
  rig.kv->release(kv);
}

}  // namespace
}  // namespace minerva::engine
