// Tiny files whose metadata lies, of every dense architecture and of those with experts whose keys
// are their own: every key in turn is missing, has another type, or a value that cannot be. A file
// is refused with words, or it runs; no crash.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/decoder.h"
#include "formats/gguf.h"
#include "support/all_logits.h"
#include "support/tiny_arch.h"
#include "support/tiny_model.h"

namespace minerva::engine {
namespace {

using test::GgufWriter;
using Lie = std::function<void(GgufWriter&, const std::string&)>;

std::vector<Lie> lies() {
  std::vector<Lie> out;
  out.emplace_back([](GgufWriter&, const std::string&) {});  // missing
  for (const std::uint32_t value : {0U, 1U, 3U, 7U, 0x7fffffffU, 0xffffffffU}) {
    out.emplace_back([=](GgufWriter& w, const std::string& key) { w.add_u32(key, value); });
  }
  out.emplace_back([](GgufWriter& w, const std::string& key) { w.add_i64(key, -1); });
  for (const float value : {0.0F, -1.0F, 1e-38F, 1e38F, std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity()}) {
    out.emplace_back([=](GgufWriter& w, const std::string& key) { w.add_f32(key, value); });
  }
  out.emplace_back([](GgufWriter& w, const std::string& key) { w.add_bool(key, true); });
  out.emplace_back([](GgufWriter& w, const std::string& key) { w.add_string(key, "linear"); });
  out.emplace_back([](GgufWriter& w, const std::string& key) {
    w.add_u32s(key, std::array<std::uint32_t, 2>{1, 0});
  });
  return out;
}

GgufWriter honest_file(const std::string& name) {
  test::TinyModel routed{.architecture = name == "gpt_oss" ? "gpt-oss" : name,
                         .type = formats::DType::F32,
                         .layers = 2,
                         .width = 64,
                         .head_dim = 16,
                         .experts = 8,
                         .experts_used = 3,
                         .expert_ff_width = 96};
  if (name == "gpt_oss") return test::tiny_model(routed);
  routed.shared_ff_width = 64;
  routed.dense_layers = 1;
  if (name == "glm4moe") return test::tiny_model(routed);
  if (name == "llama4") {
    routed.dense_layers = 0;
    routed.shared_ff_width = routed.expert_ff_width;
    GgufWriter writer = test::tiny_model(routed);
    return writer.add_u32("llama4.attention.sliding_window", 20)
        .add_u32("llama4.interleave_moe_layer_step", 1)
        .add_f32("llama4.attention.temperature_scale", 0.1F)
        .add_u32("llama4.attention.temperature_length", 8);
  }
  routed.heads = 3;
  routed.head_dim = 64;
  routed.groups = 4;
  routed.query_rank = 32;
  if (name == "deepseek2") return test::tiny_model(routed);
  return test::tiny_arch(name, formats::DType::F32);
}

std::vector<std::string> names() {
  std::vector<std::string> all = test::tiny_arch_names();
  for (const char* routed : {"gpt_oss", "glm4moe", "deepseek2", "llama4"}) all.emplace_back(routed);
  return all;
}

class HostileMetadata : public testing::TestWithParam<std::string> {};

TEST_P(HostileMetadata, IsRefusedOrRuns) {
  const GgufWriter honest = honest_file(GetParam());
  std::vector<std::string> keys;
  const auto file = formats::GgufFile::parse(honest.bytes()).value();
  for (const auto& entry : file->metadata()) {
    keys.emplace_back(entry.key);
  }
  ComputePool pool(1);
  std::size_t number = 0;
  for (const std::string& key : keys) {
    for (const Lie& lie : lies()) {
      SCOPED_TRACE(key + ", lie " + std::to_string(number++ % lies().size()));
      GgufWriter writer = honest;
      writer.remove(key);
      lie(writer, key);
      const auto file = formats::GgufFile::parse(writer.bytes());
      if (!file) continue;  // the parser's own tests are about this
      const auto model = Model::load(*file, Numerics::F32, pool);
      if (!model) {
        EXPECT_FALSE(model.error().message.empty());
        continue;
      }
      const std::array<TokenId, 3> tokens = {1, 2, 3};
      EXPECT_EQ(all_logits(*model, tokens, 2, 64).size(), 3U);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, HostileMetadata, testing::ValuesIn(names()),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace minerva::engine
