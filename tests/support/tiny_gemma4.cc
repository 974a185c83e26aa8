#include "support/tiny_gemma4.h"

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
constexpr std::size_t kLocalDim = 32;
constexpr std::size_t kGlobalDim = 64;
constexpr std::size_t kFfWidth = 96;
constexpr std::size_t kVocabulary = 80;
constexpr std::size_t kInputWidth = 32;
constexpr std::size_t kExperts = 5;
constexpr std::size_t kExpertWidth = 64;

// Adds tensors one by one, each with a seed of its own.
class Tensors {
 public:
  Tensors(GgufWriter& writer, DType type, std::string_view left_out)
      : writer_(writer), type_(type), left_out_(left_out) {}

  void matrix(const std::string& name, std::size_t rows, std::size_t cols, std::size_t count = 1) {
    add(name, type_, rows, cols, count);
  }
  void router(const std::string& name) { add(name, DType::F32, kExperts, kWidth, 1); }
  void vector(const std::string& name, std::size_t n) {
    std::vector<float> values(n);
    ++tensor_;
    for (std::size_t i = 0; i < n; ++i) {
      values[i] = static_cast<float>(0.5 + uniform(tensor_, 0, i));
    }
    const std::array<std::uint64_t, 1> dims = {n};
    if (wanted(name)) writer_.add_f32_tensor(name, dims, values);
  }

 private:
  bool wanted(const std::string& name) const {
    return left_out_.empty() || !name.ends_with(left_out_);
  }
  void add(const std::string& name, DType type, std::size_t rows, std::size_t cols,
           std::size_t count) {
    const std::array<std::uint64_t, 3> dims = {cols, rows, count};
    const double deviation = 1.5 / std::sqrt(static_cast<double>(cols));
    ++tensor_;
    if (!wanted(name)) return;
    writer_.add_tensor(name, type, std::span(dims).first(count == 1 ? 2 : 3),
                       random_weights(type, rows * cols * count, deviation, tensor_));
  }

  GgufWriter& writer_;
  DType type_;
  std::string_view left_out_;
  std::uint64_t tensor_ = 0;
};

bool is_global(std::size_t layer) { return layer % 2 == 1; }
bool keeps_kv(bool experts, std::size_t layer) { return experts || layer < 2; }
std::size_t kv_heads(bool experts, std::size_t layer) {
  return experts && is_global(layer) ? 1 : 2;
}
std::size_t ff_width(bool experts, std::size_t layer) {
  return keeps_kv(experts, layer) ? kFfWidth : 2 * kFfWidth;
}

void add_layer(Tensors& tensors, bool experts, std::size_t i) {
  const std::string p = "blk." + std::to_string(i) + ".";
  for (const char* name : {"attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"}) {
    tensors.vector(p + name + ".weight", kWidth);
  }
  tensors.vector(p + "layer_output_scale.weight", 1);
  const std::size_t dim = is_global(i) ? kGlobalDim : kLocalDim;
  tensors.vector(p + "attn_q_norm.weight", dim);
  tensors.matrix(p + "attn_q.weight", kHeads * dim, kWidth);
  tensors.matrix(p + "attn_output.weight", kWidth, kHeads * dim);
  if (keeps_kv(experts, i)) {
    const std::size_t kv = kv_heads(experts, i) * dim;
    tensors.vector(p + "attn_k_norm.weight", dim);
    tensors.matrix(p + "attn_k.weight", kv, kWidth);
    if (!experts || !is_global(i)) tensors.matrix(p + "attn_v.weight", kv, kWidth);
  }
  tensors.matrix(p + "ffn_gate.weight", ff_width(experts, i), kWidth);
  tensors.matrix(p + "ffn_up.weight", ff_width(experts, i), kWidth);
  tensors.matrix(p + "ffn_down.weight", kWidth, ff_width(experts, i));
  if (!experts) {
    tensors.matrix(p + "inp_gate.weight", kInputWidth, kWidth);
    tensors.matrix(p + "proj.weight", kWidth, kInputWidth);
    return tensors.vector(p + "post_norm.weight", kWidth);
  }
  for (const char* name : {"pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"}) {
    tensors.vector(p + name + ".weight", kWidth);
  }
  tensors.router(p + "ffn_gate_inp.weight");
  tensors.vector(p + "ffn_gate_inp.scale", kWidth);
  tensors.matrix(p + "ffn_gate_up_exps.weight", 2 * kExpertWidth, kWidth, kExperts);
  tensors.matrix(p + "ffn_down_exps.weight", kWidth, kExpertWidth, kExperts);
  tensors.vector(p + "ffn_down_exps.scale", kExperts);
}

void add_metadata(GgufWriter& writer, bool experts) {
  const auto u32 = [&](const char* key, std::size_t value) {
    writer.add_u32(std::string("gemma4.") + key, static_cast<std::uint32_t>(value));
  };
  std::vector<std::int32_t> kv;
  std::vector<std::int32_t> ff;
  std::vector<bool> windowed;
  for (std::size_t i = 0; i < kLayers; ++i) {
    kv.push_back(static_cast<std::int32_t>(kv_heads(experts, i)));
    ff.push_back(static_cast<std::int32_t>(ff_width(experts, i)));
    windowed.push_back(!is_global(i));
  }
  writer.add_string("general.architecture", "gemma4");
  u32("block_count", kLayers);
  u32("context_length", 4096);
  u32("embedding_length", kWidth);
  writer.add_i32s("gemma4.feed_forward_length", ff);
  u32("attention.head_count", kHeads);
  writer.add_i32s("gemma4.attention.head_count_kv", kv);
  u32("attention.key_length", kGlobalDim);
  u32("attention.value_length", kGlobalDim);
  u32("attention.key_length_swa", kLocalDim);
  u32("attention.value_length_swa", kLocalDim);
  u32("attention.sliding_window", 20);
  writer.add_bools("gemma4.attention.sliding_window_pattern", windowed);
  u32("rope.dimension_count", kGlobalDim);
  u32("rope.dimension_count_swa", kLocalDim);
  writer.add_f32("gemma4.attention.layer_norm_rms_epsilon", 1e-6F);
  writer.add_f32("gemma4.final_logit_softcapping", 30);
  if (experts) {
    u32("expert_count", kExperts);
    u32("expert_used_count", 2);
    u32("expert_feed_forward_length", kExpertWidth);
  } else {
    u32("embedding_length_per_layer_input", kInputWidth);
    u32("attention.shared_kv_layers", 2);
  }
}

}  // namespace

GgufWriter tiny_gemma4(bool experts, DType type, std::string_view left_out) {
  GgufWriter writer;
  add_metadata(writer, experts);
  Tensors tensors(writer, type, left_out);
  tensors.matrix("token_embd.weight", kVocabulary, kWidth);
  tensors.vector("output_norm.weight", kWidth);
  if (!experts) {
    tensors.matrix("per_layer_token_embd.weight", kVocabulary, kLayers * kInputWidth);
    tensors.matrix("per_layer_model_proj.weight", kLayers * kInputWidth, kWidth);
    tensors.vector("per_layer_proj_norm.weight", kInputWidth);
  }
  for (std::size_t i = 0; i < kLayers; ++i) add_layer(tensors, experts, i);
  std::vector<float> factors(kGlobalDim / 2, 1e30F);
  for (std::size_t i = 0; i < factors.size() / 4; ++i) factors[i] = 1;
  const std::array<std::uint64_t, 1> dims = {factors.size()};
  writer.add_f32_tensor("rope_freqs.weight", dims, factors);
  return writer;
}

}  // namespace minerva::test
