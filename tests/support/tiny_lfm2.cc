#include "support/tiny_lfm2.h"

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/rng.h"
#include "support/tiny_model.h"

namespace minerva::test {
namespace {

using formats::DType;

constexpr std::size_t kLayers = 4;
constexpr std::size_t kWidth = 64;
constexpr std::size_t kHeads = 4;
constexpr std::size_t kKvHeads = 2;
constexpr std::size_t kHeadDim = 16;
constexpr std::size_t kFfWidth = 96;
constexpr std::size_t kVocabulary = 80;
constexpr std::size_t kExperts = 5;
constexpr std::size_t kExpertWidth = 32;
constexpr std::size_t kTokens = 3;

}  // namespace

GgufWriter tiny_lfm2(bool experts, DType type, std::string_view left_out) {
  GgufWriter writer;
  const std::string prefix = experts ? "lfm2moe." : "lfm2.";
  std::uint64_t tensor = 0;
  const auto wanted = [&](const std::string& name) {
    ++tensor;  // each has a seed of its own
    return left_out.empty() || !name.ends_with(left_out);
  };
  const auto matrix = [&](const std::string& name, DType as, std::size_t rows, std::size_t cols,
                          std::size_t count = 1) {
    if (!wanted(name)) return;
    const std::array<std::uint64_t, 3> dims = {cols, rows, count};
    writer.add_tensor(name, as, std::span(dims).first(count == 1 ? 2 : 3),
                      random_weights(as, rows * cols * count,
                                     1.5 / std::sqrt(static_cast<double>(cols)), tensor));
  };
  const auto vector = [&](const std::string& name, std::size_t n, double center) {
    if (!wanted(name)) return;
    std::vector<float> values(n);
    for (std::size_t i = 0; i < n; ++i) {
      values[i] = static_cast<float>(center + uniform(tensor, 0, i) - 0.5);
    }
    const std::array<std::uint64_t, 1> dims = {n};
    writer.add_f32_tensor(name, dims, values);
  };
  const auto u32 = [&](const char* key, std::size_t value) {
    writer.add_u32(prefix + key, static_cast<std::uint32_t>(value));
  };

  writer.add_string("general.architecture", experts ? "lfm2moe" : "lfm2");
  u32("block_count", kLayers);
  u32("context_length", 4096);
  u32("embedding_length", kWidth);
  u32("feed_forward_length", kFfWidth);
  u32("attention.head_count", kHeads);
  writer.add_i32s(prefix + "attention.head_count_kv", std::vector<std::int32_t>{0, 2, 0, 0});
  u32("shortconv.l_cache", kTokens);
  writer.add_f32(prefix + "attention.layer_norm_rms_epsilon", 1e-5F);
  if (experts) {
    u32("expert_count", kExperts);
    u32("expert_used_count", 2);
    u32("expert_feed_forward_length", kExpertWidth);
    u32("expert_gating_func", 2);
    u32("leading_dense_block_count", 1);
  }

  matrix("token_embd.weight", type, kVocabulary, kWidth);
  vector("token_embd_norm.weight", kWidth, 1);
  for (std::size_t i = 0; i < kLayers; ++i) {
    const std::string p = "blk." + std::to_string(i) + ".";
    vector(p + "attn_norm.weight", kWidth, 1);
    vector(p + "ffn_norm.weight", kWidth, 1);
    if (i == 1) {
      matrix(p + "attn_q.weight", type, kHeads * kHeadDim, kWidth);
      matrix(p + "attn_k.weight", type, kKvHeads * kHeadDim, kWidth);
      matrix(p + "attn_v.weight", type, kKvHeads * kHeadDim, kWidth);
      matrix(p + "attn_output.weight", type, kWidth, kHeads * kHeadDim);
      vector(p + "attn_q_norm.weight", kHeadDim, 1);
      vector(p + "attn_k_norm.weight", kHeadDim, 1);
    } else {
      matrix(p + "shortconv.in_proj.weight", type, 3 * kWidth, kWidth);
      matrix(p + "shortconv.conv.weight", DType::F32, kWidth, kTokens);
      matrix(p + "shortconv.out_proj.weight", type, kWidth, kWidth);
    }
    if (experts && i > 0) {
      matrix(p + "ffn_gate_inp.weight", DType::F32, kExperts, kWidth);
      vector(p + "exp_probs_b.bias", kExperts, 0);
      matrix(p + "ffn_gate_exps.weight", type, kExpertWidth, kWidth, kExperts);
      matrix(p + "ffn_up_exps.weight", type, kExpertWidth, kWidth, kExperts);
      matrix(p + "ffn_down_exps.weight", type, kWidth, kExpertWidth, kExperts);
    } else {
      matrix(p + "ffn_gate.weight", type, kFfWidth, kWidth);
      matrix(p + "ffn_up.weight", type, kFfWidth, kWidth);
      matrix(p + "ffn_down.weight", type, kWidth, kFfWidth);
    }
  }
  return writer;
}

}  // namespace minerva::test
