// Every dense architecture keeps the promise of docs/numerics.md with all that its graph has, and
// refuses a file that lacks a part of it. That the graphs are the makers' is the reference tests'.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "engine/decoder.h"
#include "support/tiny_arch.h"

namespace minerva::engine {
namespace {

using formats::DType;
using test::GgufWriter;
using Logits = std::vector<std::vector<float>>;  // [position][vocabulary]

constexpr std::size_t kTokens = 70;  // beyond the windows, and longrope's and YaRN's first context

Result<std::shared_ptr<const Model>> load(const GgufWriter& writer, ComputePool& pool) {
  MINERVA_ASSIGN(auto file, formats::GgufFile::parse(writer.bytes()));
  return Model::load(std::move(file), Numerics::Exact, pool);
}

// Logits of all positions, computed in chunks of these sizes; the last one repeats.
Logits run(const GgufWriter& writer, std::vector<std::size_t> chunks, unsigned threads = 1,
           const kernels::KernelTable& kernels = kernels::best_kernels(), std::size_t context = 0) {
  ComputePool pool(threads);
  const auto model = load(writer, pool);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  if (!model) return {};
  KvLayout layout((*model)->config());
  const auto bytes = layout.bytes_for(kTokens);
  const auto kv = KvPool::create(std::move(layout), bytes, kTokens).value();
  kv->poison_freed_pages(true);
  Decoder decoder(*model, *kv, pool, kernels,
                  {.tokens = kTokens, .logits = kTokens, .context = context});
  std::vector<TokenId> tokens(kTokens);
  for (std::size_t i = 0; i < kTokens; ++i) tokens[i] = static_cast<TokenId>(i * 37 % 80);
  Logits out;
  SequenceKv sequence = kv->make_sequence();
  for (std::size_t at = 0, i = 0; at < kTokens; ++i) {
    const std::size_t count = std::min(chunks[std::min(i, chunks.size() - 1)], kTokens - at);
    EXPECT_TRUE(kv->reserve(sequence, count));
    const StepItem item{&sequence, std::span(tokens).subspan(at, count), 0};
    decoder.step({&item, 1});
    for (std::size_t row = 0; row < count; ++row) {
      const auto logits = decoder.logits(row);
      out.emplace_back(logits.begin(), logits.end());
    }
    at += count;
  }
  return out;
}

// Bit for bit; NaN anywhere is a failure.
void expect_same(const Logits& a, const Logits& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t p = 0; p < a.size(); ++p) {
    for (const float v : a[p]) ASSERT_TRUE(std::isfinite(v)) << what << ", position " << p;
    ASSERT_EQ(std::memcmp(a[p].data(), b[p].data(), a[p].size() * sizeof(float)), 0)
        << what << ": position " << p << " differs";
  }
}

class EveryArchitecture : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Tiny, EveryArchitecture, testing::ValuesIn(test::tiny_arch_names()),
                         [](const auto& info) { return info.param; });

TEST_P(EveryArchitecture, ChunksThreadsAndInstructionSetsGiveTheSameBits) {
  const GgufWriter writer = test::tiny_arch(GetParam(), DType::Q8_0);
  const Logits whole = run(writer, {kTokens});
  expect_same(whole, run(writer, {1}), "one by one");
  expect_same(whole, run(writer, {3, 30, 5, 4}, 3), "odd chunks, 3 threads");
  expect_same(whole, run(writer, {40, 30}, 1, *kernels::find_kernels(kernels::Isa::Scalar)),
              "scalar");
  const kernels::KernelTable* avx2 = kernels::find_kernels(kernels::Isa::Avx2);
  if (avx2 == nullptr) GTEST_SKIP() << "NOT RUN: this processor lacks AVX2";
  expect_same(whole, run(writer, {40, 4, 1}, 1, *avx2), "AVX2");
}

TEST_P(EveryArchitecture, ItsMemoryIsKnownBeforeItIsLoaded) {
  ComputePool pool(1);
  const auto file =
      formats::GgufFile::parse(test::tiny_arch(GetParam(), DType::Q4_0).bytes()).value();
  for (const Numerics numerics : {Numerics::Exact, Numerics::F32}) {
    const auto model = Model::load(file, numerics, pool).value();
    EXPECT_EQ(Model::packed_bytes(*file, numerics), model->weight_bytes());
  }
}

TEST_P(EveryArchitecture, RefusesATensorThatItWouldIgnore) {
  ComputePool pool(1);
  for (const char* name : {"blk.1.attn_sinks.weight", "blk.4.attn_norm.weight", "lm_head.weight"}) {
    GgufWriter writer = test::tiny_arch(GetParam(), DType::Q8_0);
    const std::array<std::uint64_t, 1> dims = {64};
    writer.add_f32_tensor(name, dims, std::vector<float>(64));
    const auto model = load(writer, pool);
    ASSERT_FALSE(model.has_value()) << name;
    EXPECT_EQ(model.error().code, ErrorCode::Unsupported);
    EXPECT_NE(model.error().message.find(name), std::string::npos) << model.error().message;
  }
}

// Whatever a key says, the file is loaded or refused; nothing else (S02).
TEST_P(EveryArchitecture, OutlivesLiesInItsMetadata) {
  ComputePool pool(1);
  const GgufWriter honest = test::tiny_arch(GetParam(), DType::Q8_0);
  const auto file = formats::GgufFile::parse(honest.bytes()).value();
  std::size_t refused = 0;
  for (const formats::GgufKeyValue& entry : file->metadata()) {
    const std::string key(entry.key);
    const auto try_with = [&](const std::function<void(GgufWriter&)>& put) {
      GgufWriter writer = honest;
      writer.remove(key);
      put(writer);
      if (!load(writer, pool)) ++refused;
    };
    try_with([](GgufWriter&) {});  // missing
    for (const std::uint64_t lie : {std::uint64_t{0}, std::uint64_t{7}, ~std::uint64_t{0}}) {
      try_with([&](GgufWriter& w) { w.add_u64(key, lie); });
    }
    for (const float lie : {0.0F, -1.0F, 1e-19F, 1e19F, std::nanf("")}) {
      try_with([&](GgufWriter& w) { w.add_f32(key, lie); });
    }
    try_with([&](GgufWriter& w) { w.add_string(key, "yarn"); });
  }
  EXPECT_GT(refused, 5 * file->metadata().size());
}

TEST(Architectures, RefuseAFileThatLacksAPart) {
  const std::pair<const char*, const char*> cases[] = {
      {"qwen2", "attn_k.bias"},
      {"qwen3", "attn_q_norm.weight"},
      {"gemma2", "post_ffw_norm.weight"},
      {"phi3", "ffn_up.weight"},
      {"phi3", "factors_short.weight"},
      {"starcoder2", "ffn_down.bias"},
      {"starcoder2", "ffn_norm.bias"},
      {"stablelm", "attn_norm.bias"},
      {"olmo2", "attn_k_norm.weight"},
      {"glm4", "post_attention_norm.weight"},
      {"command_r", "attn_k_norm.weight"},
      {"llama_window", "ffn_gate.weight"},
      {"seed_oss", "attn_v.bias"},
      {"nemotron", "ffn_norm.bias"},
      {"exaone4", "post_ffw_norm.weight"},
      {"hunyuan_dense", "attn_q_norm.weight"},
      {"gemma4", "post_norm.weight"},
      {"gemma4", "layer_token_embd.weight"},
      {"gemma4", "0.attn_v.weight"},
      {"lfm2", "shortconv.conv.weight"},
      {"lfm2", "embd_norm.weight"},
      {"qwen3next", "ssm_ba.weight"},
      {"qwen3next", "down_shexp.weight"},
      {"qwen35", "ssm_a"},
      {"qwen35", "ssm_dt.bias"},
      {"qwen35", "attn_gate.weight"},
      {"qwen35", "attn_q_norm.weight"},
      {"qwen35moe", "post_attention_norm.weight"},
      {"gemma4_moe", "down_exps.scale"},
      {"gemma4_moe", "pre_ffw_norm_2.weight"},
  };
  ComputePool pool(1);
  for (const auto& [name, left_out] : cases) {
    const auto model = load(test::tiny_arch(name, DType::Q8_0, left_out), pool);
    ASSERT_FALSE(model.has_value()) << name << " " << left_out;
    EXPECT_EQ(model.error().code, ErrorCode::InvalidModel);
    // Without ffn_gate ffn_up would have to hold both.
    const std::string named = name == std::string("llama_window") ? "ffn_up.weight" : left_out;
    EXPECT_NE(model.error().message.find(named), std::string::npos) << model.error().message;
  }
}

TEST(Architectures, LanguageModelsOfModelsThatSeeAreTheirTextModels) {
  for (const auto& [text, sees] : {std::pair{"qwen2", "qwen2vl"}, std::pair{"qwen3", "qwen3vl"}}) {
    expect_same(run(test::tiny_arch(text, DType::Q8_0), {kTokens}),
                run(test::tiny_arch(sees, DType::Q8_0), {kTokens}), sees);
  }
}

// What a convolution reads of tokens before comes from pages in one case and from the step in the
// other; sequences in one step must not be taken for each other.
TEST(Architectures, ConvolutionsKeepSequencesApart) {
  ComputePool pool(2);
  const auto model = load(test::tiny_arch("lfm2", DType::Q8_0), pool).value();
  KvLayout layout(model->config());
  const auto bytes = layout.bytes_for(kTokens) * 3;
  const auto kv = KvPool::create(std::move(layout), bytes, kTokens).value();
  Decoder decoder(model, *kv, pool, kernels::best_kernels(), {.tokens = 64, .logits = 64});
  const std::vector<TokenId> tokens = {3, 7, 9, 11, 40, 41, 42, 5};
  const auto logits_of_last = [&](std::vector<std::size_t> chunks, bool crowded) {
    SequenceKv one = kv->make_sequence();
    SequenceKv other = kv->make_sequence();
    std::vector<float> last;
    for (std::size_t at = 0, i = 0; at < tokens.size(); at += chunks[i++]) {
      EXPECT_TRUE(kv->reserve(one, chunks[i]) && kv->reserve(other, chunks[i]));
      const auto own = std::span(tokens).subspan(at, chunks[i]);
      const StepItem items[] = {{&other, std::span(tokens).first(chunks[i]), chunks[i]},
                                {&one, own, chunks[i] - 1}};
      decoder.step(crowded ? std::span(items) : std::span(items).subspan(1));
      last.assign(decoder.logits(0).begin(), decoder.logits(0).end());
    }
    kv->release(one);
    kv->release(other);
    return last;
  };
  const auto alone = logits_of_last({8}, false);
  EXPECT_EQ(alone, logits_of_last({8}, true));
  EXPECT_EQ(alone, logits_of_last({1, 2, 1, 3, 1}, true));
}

TEST(Architectures, ABiasOfANormHasNoPlaceInAnRmsNorm) {
  ComputePool pool(1);
  GgufWriter writer = test::tiny_arch("qwen3", DType::Q8_0);
  const std::array<std::uint64_t, 1> dims = {64};
  writer.add_f32_tensor("blk.0.attn_norm.bias", dims, std::vector<float>(64));
  const auto model = load(writer, pool);
  ASSERT_FALSE(model.has_value());
  EXPECT_NE(model.error().message.find("attn_norm.bias"), std::string::npos);
}

TEST(Architectures, TheContextChoosesLongropesFactors) {
  const GgufWriter writer = test::tiny_arch("phi3", DType::Q8_0);
  const auto& kernels = kernels::best_kernels();
  const Logits trained = run(writer, {kTokens});
  expect_same(trained, run(writer, {kTokens}, 1, kernels, 65), "more than the first context");
  EXPECT_NE(trained, run(writer, {kTokens}, 1, kernels, 64));
}

TEST(Architectures, RefuseAWindowThatTheGraphDoesNotHave) {
  ComputePool pool(1);
  GgufWriter writer = test::tiny_arch("qwen2", DType::Q8_0);
  writer.add_u32("qwen2.attention.sliding_window", 64);
  const auto model = load(writer, pool);
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().code, ErrorCode::Unsupported);
  writer.remove("qwen2.attention.sliding_window");
  writer.add_u32("qwen2.attention.sliding_window", 4096);  // the whole context
  EXPECT_TRUE(load(writer, pool).has_value());
}

}  // namespace
}  // namespace minerva::engine
