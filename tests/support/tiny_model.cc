#include "support/tiny_model.h"

#include <array>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "formats/half.h"

namespace minerva::test {
namespace {

using formats::DType;

// Where a block keeps its f16 factors, and how large a weight is beside them: the factor is
// deviation / spread. A second factor (a minimum) centres unsigned codes on zero.
struct BlockShape {
  DType type;
  std::size_t factor_at;
  double spread;
  std::size_t minimum_at;  // kNone: there is none
  double minimum_ratio;    // minimum = ratio * factor
};
constexpr std::size_t kNone = ~std::size_t{0};
constexpr std::array kShapes = {
    BlockShape{DType::Q4_0, 0, 4.6, kNone, 0},    BlockShape{DType::Q4_1, 0, 4.6, 2, -7.5},
    BlockShape{DType::Q5_0, 0, 9.2, kNone, 0},    BlockShape{DType::Q5_1, 0, 9.2, 2, -15.5},
    BlockShape{DType::Q8_0, 0, 74, kNone, 0},     BlockShape{DType::IQ4_NL, 0, 70, kNone, 0},
    BlockShape{DType::Q2_K, 80, 12, 82, 1.5},     BlockShape{DType::Q3_K, 108, 42, kNone, 0},
    BlockShape{DType::Q4_K, 0, 190, 2, 7.5},      BlockShape{DType::Q5_K, 0, 380, 2, 15.5},
    BlockShape{DType::Q6_K, 208, 1370, kNone, 0}, BlockShape{DType::IQ4_XS, 0, 1300, kNone, 0},
};

double normal(std::uint64_t seed, std::uint64_t index) {
  const double u = 1 - uniform(seed, 0, index);
  const double v = uniform(seed, 1, index);
  return std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
}

void put_half(std::byte* at, double value) {
  const std::uint16_t half = formats::float_to_half(static_cast<float>(value));
  std::memcpy(at, &half, sizeof half);
}

std::vector<std::byte> random_floats(DType type, std::size_t count, double deviation,
                                     std::uint64_t seed) {
  std::vector<std::byte> out;
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = static_cast<float>(deviation * normal(seed, i));
    if (type == DType::F32) {
      append(out, value);
    } else if (type == DType::F16) {
      append(out, formats::float_to_half(value));
    } else {
      std::uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof bits);
      append(out, static_cast<std::uint16_t>(bits >> 16));
    }
  }
  return out;
}

// The byte-level alphabet of GPT-2: printable bytes stand for themselves, the others for the
// characters from U+0100 on.
std::string byte_piece(unsigned byte) {
  auto printable = [](unsigned b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  };
  char32_t c = byte;
  if (!printable(byte)) {
    c = 256;
    for (unsigned b = 0; b < byte; ++b) c += printable(b) ? 0 : 1;
  }
  std::string out;
  utf8_append(out, c);
  return out;
}

void add_vocabulary(GgufWriter& writer) {
  std::vector<std::string> tokens;
  for (unsigned b = 0; b < 256; ++b) tokens.push_back(byte_piece(b));
  const std::vector<std::string> merges = {"t h", "i n", "e r", "a n", "th e", "in g", "o n",
                                           "r e", "h e", "a t", "e n", "o r",  "i t",  "an d"};
  for (std::string merge : merges) {
    merge.erase(merge.find(' '), 1);
    tokens.push_back(merge);
  }
  tokens.emplace_back("<|bos|>");
  tokens.emplace_back("<|end|>");
  MINERVA_CHECK(tokens.size() == kTinyVocabulary);
  std::vector<std::int32_t> kinds(tokens.size(), 1);
  kinds[kTinyBos] = 3;
  kinds[kTinyEnd] = 3;
  writer.add_string("tokenizer.ggml.model", "gpt2")
      .add_string("tokenizer.ggml.pre", "gpt-2")
      .add_strings("tokenizer.ggml.tokens", tokens)
      .add_strings("tokenizer.ggml.merges", merges)
      .add_i32s("tokenizer.ggml.token_type", kinds)
      .add_u32("tokenizer.ggml.bos_token_id", kTinyBos)
      .add_u32("tokenizer.ggml.eos_token_id", kTinyEnd)
      .add_bool("tokenizer.ggml.add_bos_token", false);
}

// Adds tensors one by one, each with a seed of its own.
class Weights {
 public:
  Weights(GgufWriter& writer, const TinyModel& settings) : writer_(writer), s_(settings) {}

  void norm(const std::string& name, std::size_t n) {
    std::vector<float> values(n);
    ++tensor_;
    for (std::size_t i = 0; i < n; ++i) {
      values[i] = static_cast<float>(1 + 0.2 * normal(s_.seed * 1000 + tensor_, i));
    }
    const std::array<std::uint64_t, 1> dims = {n};
    writer_.add_f32_tensor(name, dims, values);
  }
  void matrix(const std::string& name, std::size_t rows, std::size_t cols) {
    const std::array<std::uint64_t, 2> dims = {cols, rows};
    add(name, s_.type, dims);
  }
  // One matrix of each expert.
  void experts(const std::string& name, std::size_t rows, std::size_t cols) {
    stack(name, s_.experts, rows, cols);
  }
  void stack(const std::string& name, std::size_t count, std::size_t rows, std::size_t cols) {
    const std::array<std::uint64_t, 3> dims = {cols, rows, count};
    add(name, s_.type, dims);
  }
  // Routers and biases are F32 in every file.
  void floats(const std::string& name, std::size_t rows, std::size_t cols) {
    const std::array<std::uint64_t, 2> dims = {cols, rows};
    add(name, DType::F32, std::span(dims).first(rows == 1 ? 1 : 2));
  }

 private:
  void add(const std::string& name, DType type, std::span<const std::uint64_t> dims) {
    ++tensor_;
    std::size_t count = 1;
    for (const std::uint64_t dim : dims) count *= dim;
    writer_.add_tensor(name, type, dims,
                       random_weights(type, count, 1.5 / std::sqrt(static_cast<double>(dims[0])),
                                      s_.seed * 1000 + tensor_));
  }

  GgufWriter& writer_;
  const TinyModel& s_;
  std::uint64_t tensor_ = 0;
};

void add_latents(Weights& w, const TinyModel& s, const std::string& p) {
  const std::size_t half = s.head_dim / 2;
  w.norm(p + "attn_norm.weight", s.width);
  if (s.query_rank != 0) {
    w.matrix(p + "attn_q_a.weight", s.query_rank, s.width);
    w.norm(p + "attn_q_a_norm.weight", s.query_rank);
    w.matrix(p + "attn_q_b.weight", s.heads * s.head_dim, s.query_rank);
  } else {
    w.matrix(p + "attn_q.weight", s.heads * s.head_dim, s.width);
  }
  w.matrix(p + "attn_kv_a_mqa.weight", s.latent_rank + half, s.width);
  w.norm(p + "attn_kv_a_norm.weight", s.latent_rank);
  w.stack(p + "attn_k_b.weight", s.heads, s.latent_rank, half);
  w.stack(p + "attn_v_b.weight", s.heads, half, s.latent_rank);
  w.matrix(p + "attn_output.weight", s.width, s.heads * half);
}

void add_attention(Weights& w, const TinyModel& s, const std::string& p) {
  const bool gemma = s.architecture == "gemma3";
  const bool gpt_oss = s.architecture == "gpt-oss";
  const bool glm = s.architecture == "glm4moe";
  if (s.architecture == "deepseek2") return add_latents(w, s, p);
  w.norm(p + "attn_norm.weight", s.width);
  if (gemma || gpt_oss || glm) w.norm(p + "post_attention_norm.weight", s.width);
  if (gemma || glm || s.architecture == "qwen3moe" || s.architecture == "qwen3vlmoe") {
    w.norm(p + "attn_q_norm.weight", s.head_dim);
    w.norm(p + "attn_k_norm.weight", s.head_dim);
  }
  w.matrix(p + "attn_q.weight", s.heads * s.head_dim, s.width);
  w.matrix(p + "attn_k.weight", s.kv_heads * s.head_dim, s.width);
  w.matrix(p + "attn_v.weight", s.kv_heads * s.head_dim, s.width);
  w.matrix(p + "attn_output.weight", s.width, s.heads * s.head_dim);
  if (gpt_oss || s.architecture == "qwen2moe") {
    w.floats(p + "attn_q.bias", 1, s.heads * s.head_dim);
    w.floats(p + "attn_k.bias", 1, s.kv_heads * s.head_dim);
    w.floats(p + "attn_v.bias", 1, s.kv_heads * s.head_dim);
  }
  if (gpt_oss) {
    w.floats(p + "attn_output.bias", 1, s.width);
    w.floats(p + "attn_sinks.weight", 1, s.heads);
  }
}

void add_feed_forward(Weights& w, const TinyModel& s, std::size_t layer, const std::string& p) {
  const bool glm = s.architecture == "glm4moe";
  if (s.architecture != "gpt-oss" && !glm) w.norm(p + "ffn_norm.weight", s.width);
  if (s.architecture == "gemma3") w.norm(p + "post_ffw_norm.weight", s.width);
  if (s.experts == 0 || layer < s.dense_layers) {
    w.matrix(p + "ffn_gate.weight", s.ff_width, s.width);
    w.matrix(p + "ffn_up.weight", s.ff_width, s.width);
    w.matrix(p + "ffn_down.weight", s.width, s.ff_width);
    return;
  }
  w.floats(p + "ffn_gate_inp.weight", s.experts, s.width);
  w.experts(p + "ffn_gate_exps.weight", s.expert_ff_width, s.width);
  w.experts(p + "ffn_up_exps.weight", s.expert_ff_width, s.width);
  w.experts(p + "ffn_down_exps.weight", s.width, s.expert_ff_width);
  if (s.architecture == "gpt-oss") {
    w.floats(p + "ffn_gate_inp.bias", 1, s.experts);
    w.floats(p + "ffn_gate_exps.bias", s.experts, s.expert_ff_width);
    w.floats(p + "ffn_up_exps.bias", s.experts, s.expert_ff_width);
    w.floats(p + "ffn_down_exps.bias", s.experts, s.width);
  }
  if (glm || s.architecture == "deepseek2") w.floats(p + "exp_probs_b.bias", 1, s.experts);
  if (s.shared_ff_width != 0) {
    if (s.architecture == "qwen2moe") w.floats(p + "ffn_gate_inp_shexp.weight", 1, s.width);
    w.matrix(p + "ffn_gate_shexp.weight", s.shared_ff_width, s.width);
    w.matrix(p + "ffn_up_shexp.weight", s.shared_ff_width, s.width);
    w.matrix(p + "ffn_down_shexp.weight", s.width, s.shared_ff_width);
  }
}

void add_latent_metadata(GgufWriter& writer, const TinyModel& s) {
  auto u32 = [&](const char* key, std::size_t value) {
    writer.add_u32(s.architecture + "." + key, static_cast<std::uint32_t>(value));
  };
  u32("attention.key_length", s.latent_rank + s.head_dim / 2);
  u32("attention.value_length", s.latent_rank);
  u32("attention.key_length_mla", s.head_dim);
  u32("attention.value_length_mla", s.head_dim / 2);
  u32("attention.kv_lora_rank", s.latent_rank);
  if (s.query_rank != 0) u32("attention.q_lora_rank", s.query_rank);
  u32("expert_gating_func", 2);
  writer.add_bool(s.architecture + ".expert_weights_norm", true);
  writer.add_f32(s.architecture + ".expert_weights_scale", 1.5F);
}

void add_metadata(GgufWriter& writer, const TinyModel& s) {
  auto u32 = [&](const char* key, std::size_t value) {
    writer.add_u32(s.architecture + "." + key, static_cast<std::uint32_t>(value));
  };
  writer.add_string("general.architecture", s.architecture);
  writer.add_string("general.name", "tiny " + s.architecture);
  u32("block_count", s.layers);
  u32("context_length", s.context);
  u32("embedding_length", s.width);
  u32("feed_forward_length", s.ff_width);
  u32("attention.head_count", s.heads);
  u32("attention.head_count_kv", s.kv_heads);
  if (s.architecture != "deepseek2") {
    u32("attention.key_length", s.head_dim);
    u32("attention.value_length", s.head_dim);
  }
  u32("rope.dimension_count", s.architecture == "deepseek2" ? s.head_dim / 2 : s.head_dim);
  if (s.architecture == "deepseek2") add_latent_metadata(writer, s);
  writer.add_f32(s.architecture + ".rope.freq_base", 10'000);
  writer.add_f32(s.architecture + ".attention.layer_norm_rms_epsilon", 1e-5F);
  if (s.window != 0) u32("attention.sliding_window", s.window);
  if (s.experts != 0) {
    u32("expert_count", s.experts);
    u32("expert_used_count", s.experts_used);
    u32("expert_feed_forward_length", s.expert_ff_width);
  }
  if (s.shared_ff_width != 0) u32("expert_shared_feed_forward_length", s.shared_ff_width);
  if (s.dense_layers != 0) u32("leading_dense_block_count", s.dense_layers);
  if (s.groups != 0) {
    u32("expert_group_count", s.groups);
    u32("expert_group_used_count", s.groups / 2);
  }
}

}  // namespace

std::vector<std::byte> random_weights(DType type, std::size_t count, double deviation,
                                      std::uint64_t seed) {
  if (type == DType::F32 || type == DType::F16 || type == DType::BF16) {
    return random_floats(type, count, deviation, seed);
  }
  const formats::DTypeInfo& info = formats::dtype_info(type);
  MINERVA_CHECK(count % info.block == 0);
  std::vector<std::byte> out(count / info.block * info.block_bytes);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::byte>(philox4x32({static_cast<std::uint32_t>(i), 7, 0, 0},
                                               {static_cast<std::uint32_t>(seed), 1})[0]);
  }
  for (std::size_t at = 0; at < out.size(); at += info.block_bytes) {
    if (type == DType::MXFP4) {
      // The scale is 2^(e - 128), codes have a spread of about 5.5.
      out[at] = static_cast<std::byte>(128 + std::lround(std::log2(deviation / 5.5)));
      continue;
    }
    for (const BlockShape& shape : kShapes) {
      if (shape.type != type) continue;
      const double factor = deviation / shape.spread * (0.75 + 0.5 * uniform(seed, 2, at));
      put_half(&out[at + shape.factor_at], factor);
      if (shape.minimum_at != kNone) {
        put_half(&out[at + shape.minimum_at], factor * shape.minimum_ratio);
      }
    }
  }
  return out;
}

GgufWriter tiny_model(const TinyModel& s) {
  GgufWriter writer;
  add_metadata(writer, s);
  add_vocabulary(writer);
  Weights w(writer, s);
  w.matrix("token_embd.weight", kTinyVocabulary, s.width);
  w.norm("output_norm.weight", s.width);
  if (!s.tied) w.matrix("output.weight", kTinyVocabulary, s.width);
  for (std::size_t i = 0; i < s.layers; ++i) {
    const std::string p = "blk." + std::to_string(i) + ".";
    add_attention(w, s, p);
    add_feed_forward(w, s, i, p);
  }
  return writer;
}

}  // namespace minerva::test
