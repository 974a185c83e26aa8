#include "support/tiny_arch.h"

#include <array>
#include <cmath>

#include "base/check.h"
#include "base/rng.h"
#include "support/tiny_delta.h"
#include "support/tiny_gemma4.h"
#include "support/tiny_lfm2.h"
#include "support/tiny_model.h"

namespace minerva::test {
namespace {

using formats::DType;

constexpr std::size_t kLayers = 4;
constexpr std::size_t kWidth = 64;
constexpr std::size_t kHeads = 4;
constexpr std::size_t kKvHeads = 2;
constexpr std::size_t kHeadDim = 32;
constexpr std::size_t kFfWidth = 96;
constexpr std::size_t kVocabulary = 80;
constexpr std::size_t kWindow = 20;

enum class Heads { None, Shared, Each, Whole };

// What a model has beside attention's and the feed-forward's matrices.
struct Shape {
  std::string_view name;
  std::string_view architecture;
  bool layer_norm = false;
  bool norm_bias = false;
  bool pre_norms = true;
  bool post_norms = false;
  bool parallel = false;
  bool gated = true;
  bool fused_qkv = false;
  bool fused_up = false;
  bool qkv_bias = false;
  bool other_bias = false;
  bool window = false;
  Heads qk_norm = Heads::None;
  std::size_t rotated = kHeadDim;
  std::string_view ff_norm = "ffn_norm";
};

constexpr std::array kShapes = {
    Shape{.name = "llama_bias", .architecture = "llama", .qkv_bias = true, .other_bias = true},
    Shape{.name = "llama_window", .architecture = "llama", .window = true},
    Shape{.name = "mistral3", .architecture = "mistral3"},
    Shape{.name = "qwen2", .architecture = "qwen2", .qkv_bias = true},
    Shape{.name = "qwen3", .architecture = "qwen3", .qk_norm = Heads::Shared},
    Shape{.name = "gemma2", .architecture = "gemma2", .post_norms = true, .window = true},
    Shape{.name = "phi3",
          .architecture = "phi3",
          .fused_qkv = true,
          .fused_up = true,
          .window = true,
          .rotated = 24},
    Shape{.name = "granite", .architecture = "granite"},
    Shape{.name = "command_r",
          .architecture = "command-r",
          .layer_norm = true,
          .parallel = true,
          .qk_norm = Heads::Each},
    Shape{.name = "cohere2",
          .architecture = "cohere2",
          .layer_norm = true,
          .parallel = true,
          .window = true},
    Shape{.name = "olmo2",
          .architecture = "olmo2",
          .pre_norms = false,
          .post_norms = true,
          .window = true,
          .qk_norm = Heads::Whole},
    Shape{.name = "smollm3", .architecture = "smollm3"},
    Shape{.name = "stablelm",
          .architecture = "stablelm",
          .layer_norm = true,
          .norm_bias = true,
          .qkv_bias = true,
          .rotated = 8},
    Shape{.name = "stablelm_parallel",
          .architecture = "stablelm",
          .layer_norm = true,
          .norm_bias = true,
          .parallel = true,
          .qk_norm = Heads::Each,
          .rotated = 8},
    Shape{.name = "starcoder2",
          .architecture = "starcoder2",
          .layer_norm = true,
          .norm_bias = true,
          .gated = false,
          .qkv_bias = true,
          .other_bias = true,
          .window = true},
    Shape{.name = "glm4",
          .architecture = "glm4",
          .post_norms = true,
          .fused_up = true,
          .qkv_bias = true,
          .rotated = 16},
    Shape{.name = "gemma", .architecture = "gemma"},
    Shape{.name = "qwen2vl", .architecture = "qwen2vl", .qkv_bias = true},
    Shape{.name = "qwen3vl", .architecture = "qwen3vl", .qk_norm = Heads::Shared},
    Shape{.name = "seed_oss",
          .architecture = "seed_oss",
          .qkv_bias = true,
          .ff_norm = "post_attention_norm"},
    Shape{.name = "arcee", .architecture = "arcee", .gated = false},
    Shape{.name = "nemotron",
          .architecture = "nemotron",
          .layer_norm = true,
          .norm_bias = true,
          .gated = false,
          .rotated = 16},
    Shape{.name = "exaone4",
          .architecture = "exaone4",
          .pre_norms = false,
          .post_norms = true,
          .window = true,
          .qk_norm = Heads::Shared},
    Shape{.name = "hunyuan_dense", .architecture = "hunyuan-dense", .qk_norm = Heads::Shared},
    Shape{.name = "ernie4_5", .architecture = "ernie4_5"},
    Shape{.name = "exaone", .architecture = "exaone"},
    Shape{.name = "apertus", .architecture = "apertus", .gated = false, .qk_norm = Heads::Shared},
    Shape{.name = "internlm2", .architecture = "internlm2"},
    Shape{.name = "minicpm", .architecture = "minicpm"},
};

// Adds tensors one by one, each with a seed of its own.
class Tensors {
 public:
  Tensors(GgufWriter& writer, const Shape& shape, DType type, std::string_view left_out)
      : writer_(writer), shape_(shape), type_(type), left_out_(left_out) {}

  void layer(std::size_t i) {
    const std::string p = "blk." + std::to_string(i) + ".";
    if (shape_.pre_norms) norm(p + "attn_norm", 1, kWidth);
    if (shape_.pre_norms && !shape_.parallel) norm(p + std::string(shape_.ff_norm), 1, kWidth);
    if (shape_.post_norms) {
      norm(p + "post_attention_norm", 1, kWidth);
      norm(p + "post_ffw_norm", 1, kWidth);
    }
    attention(p);
    if (shape_.fused_up) {
      matrix(p + "ffn_up", 2 * kFfWidth, kWidth, shape_.other_bias);
    } else {
      if (shape_.gated) matrix(p + "ffn_gate", kFfWidth, kWidth, shape_.other_bias);
      matrix(p + "ffn_up", kFfWidth, kWidth, shape_.other_bias);
    }
    matrix(p + "ffn_down", kWidth, kFfWidth, shape_.other_bias);
  }
  void norm(const std::string& name, std::size_t rows, std::size_t cols) {
    vector(name + ".weight", rows, cols, 1);
    if (shape_.norm_bias && rows == 1) vector(name + ".bias", 1, cols, 0);
  }
  void matrix(const std::string& name, std::size_t rows, std::size_t cols, bool bias) {
    const std::array<std::uint64_t, 2> dims = {cols, rows};
    const double deviation = 1.5 / std::sqrt(static_cast<double>(cols));
    ++tensor_;
    if (wanted(name + ".weight")) {
      writer_.add_tensor(name + ".weight", type_, dims,
                         random_weights(type_, rows * cols, deviation, tensor_));
    }
    if (bias) vector(name + ".bias", 1, rows, 0);
  }
  void vector(const std::string& name, std::size_t rows, std::size_t cols, double center) {
    std::vector<float> values(rows * cols);
    ++tensor_;
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(center + uniform(tensor_, 0, i) - 0.5);
    }
    const std::array<std::uint64_t, 2> dims = {cols, rows};
    if (wanted(name)) {
      writer_.add_f32_tensor(name, std::span(dims).first(rows == 1 ? 1 : 2), values);
    }
  }

 private:
  bool wanted(const std::string& name) const {
    return left_out_.empty() || !name.ends_with(left_out_);
  }
  void attention(const std::string& p) {
    const std::size_t q = kHeads * kHeadDim;
    const std::size_t kv = kKvHeads * kHeadDim;
    if (shape_.fused_qkv) {
      matrix(p + "attn_qkv", q + 2 * kv, kWidth, shape_.qkv_bias);
    } else {
      matrix(p + "attn_q", q, kWidth, shape_.qkv_bias);
      matrix(p + "attn_k", kv, kWidth, shape_.qkv_bias);
      matrix(p + "attn_v", kv, kWidth, shape_.qkv_bias);
    }
    matrix(p + "attn_output", kWidth, q, shape_.other_bias);
    if (shape_.qk_norm == Heads::None) return;
    const bool each = shape_.qk_norm == Heads::Each;
    const bool whole = shape_.qk_norm == Heads::Whole;
    norm(p + "attn_q_norm", each ? kHeads : 1, whole ? q : kHeadDim);
    norm(p + "attn_k_norm", each ? kKvHeads : 1, whole ? kv : kHeadDim);
  }

  GgufWriter& writer_;
  const Shape& shape_;
  DType type_;
  std::string_view left_out_;
  std::uint64_t tensor_ = 0;
};

void add_metadata(GgufWriter& writer, const Shape& shape) {
  const std::string prefix = std::string(shape.architecture) + ".";
  const auto u32 = [&](const char* key, std::size_t value) {
    writer.add_u32(prefix + key, static_cast<std::uint32_t>(value));
  };
  writer.add_string("general.architecture", shape.architecture);
  u32("block_count", kLayers);
  u32("context_length", 4096);
  u32("embedding_length", kWidth);
  u32("feed_forward_length", kFfWidth);
  u32("attention.head_count", kHeads);
  u32("attention.head_count_kv", kKvHeads);
  u32("attention.key_length", kHeadDim);
  u32("attention.value_length", kHeadDim);
  u32("rope.dimension_count", shape.rotated);
  if (shape.window) u32("attention.sliding_window", kWindow);
  writer.add_f32(prefix + (shape.layer_norm ? "attention.layer_norm_epsilon"
                                            : "attention.layer_norm_rms_epsilon"),
                 1e-5F);
  if (shape.name == "stablelm_parallel") writer.add_bool(prefix + "use_parallel_residual", true);
  if (shape.name == "granite") {
    writer.add_f32("granite.embedding_scale", 3)
        .add_f32("granite.residual_scale", 0.5F)
        .add_f32("granite.attention.scale", 0.25F);
  }
  if (shape.name == "apertus") {
    writer.add_f32s("xielu.alpha_p", std::vector<float>(kLayers, 0.3F))
        .add_f32s("xielu.alpha_n", std::vector<float>(kLayers, 0.7F))
        .add_f32("xielu.beta", 0.5F)
        .add_f32s("xielu.eps", std::vector<float>(kLayers, -1e-6F));
  }
  if (shape.name == "minicpm") {
    writer.add_f32("minicpm.embedding_scale", 3).add_f32("minicpm.residual_scale", 0.5F);
  }
  if (shape.name == "granite" || shape.name == "minicpm" || shape.parallel)
    writer.add_f32(prefix + "logit_scale", 0.25F);
  if (shape.name == "mistral3" || shape.name == "olmo2") {
    writer.add_string(prefix + "rope.scaling.type", "yarn")
        .add_f32(prefix + "rope.scaling.factor", 4)
        .add_u32(prefix + "rope.scaling.original_context_length", 32);
  }
  if (shape.name == "mistral3") {
    writer.add_f32("mistral3.rope.scaling.yarn_log_multiplier", 1)
        .add_f32("mistral3.attention.temperature_scale", 0.1F);
  }
}

}  // namespace

std::vector<std::string> tiny_arch_names() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.emplace_back(shape.name);
  names.insert(names.end(),
               {"gemma4", "gemma4_moe", "lfm2", "lfm2moe", "qwen3next", "qwen35", "qwen35moe"});
  return names;
}

GgufWriter tiny_arch(std::string_view name, DType type, std::string_view left_out) {
  if (name.starts_with("gemma4")) return tiny_gemma4(name == "gemma4_moe", type, left_out);
  if (name.starts_with("lfm2")) return tiny_lfm2(name == "lfm2moe", type, left_out);
  if (name == "qwen3next" || name.starts_with("qwen35"))
    return tiny_delta({.architecture = name, .type = type, .left_out = left_out});
  const Shape* shape = nullptr;
  for (const Shape& s : kShapes) shape = s.name == name ? &s : shape;
  MINERVA_CHECK(shape != nullptr);
  GgufWriter writer;
  add_metadata(writer, *shape);
  Tensors tensors(writer, *shape, type, left_out);
  tensors.matrix("token_embd", kVocabulary, kWidth, false);
  tensors.norm("output_norm", 1, kWidth);
  for (std::size_t i = 0; i < kLayers; ++i) tensors.layer(i);
  if (shape->name == "phi3") {
    writer.add_u32("phi3.rope.scaling.original_context_length", 64);
    writer.add_f32("phi3.rope.scaling.attn_factor", 1.2F);
    tensors.vector("rope_factors_short.weight", 1, shape->rotated / 2, 1.5);
    tensors.vector("rope_factors_long.weight", 1, shape->rotated / 2, 4);
  }
  return writer;
}

}  // namespace minerva::test
