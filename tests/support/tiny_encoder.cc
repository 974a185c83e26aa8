#include "support/tiny_encoder.h"

#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "support/byte_vocab.h"
#include "support/tiny_model.h"

namespace minerva::test {
namespace {

// Adds tensors one by one, each with a seed of its own.
class Weights {
 public:
  Weights(GgufWriter& writer, const TinyEncoder& settings) : writer_(writer), s_(settings) {}

  // `middle` + noise.
  void vector(const std::string& name, std::size_t n, float middle) {
    const auto bytes = random_weights(formats::DType::F32, n, 0.2, next_seed());
    std::vector<float> values(n);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    for (float& value : values) value += middle;
    const std::array<std::uint64_t, 1> dims = {n};
    writer_.add_f32_tensor(name, dims, values);
  }
  void table(const std::string& name, std::size_t rows) {
    const std::array<std::uint64_t, 2> dims = {s_.width, rows};
    writer_.add_tensor(name, formats::DType::F32, dims,
                       random_weights(formats::DType::F32, rows * s_.width, 0.5, next_seed()));
  }
  void linear(const std::string& name, std::size_t rows, std::size_t cols) {
    const std::array<std::uint64_t, 2> dims = {cols, rows};
    writer_.add_tensor(name + ".weight", s_.type, dims,
                       random_weights(s_.type, rows * cols,
                                      1.5 / std::sqrt(static_cast<double>(cols)), next_seed()));
    vector(name + ".bias", rows, 0);
  }
  void norm(const std::string& name) {
    vector(name + ".weight", s_.width, 1);
    vector(name + ".bias", s_.width, 0);
  }

 private:
  std::uint64_t next_seed() { return s_.seed * 1000 + ++tensor_; }

  GgufWriter& writer_;
  const TinyEncoder& s_;
  std::uint64_t tensor_ = 0;
};

}  // namespace

GgufWriter tiny_encoder(const TinyEncoder& s) {
  GgufWriter writer =
      byte_vocab({.architecture = "bert", .context_length = static_cast<std::uint32_t>(s.context)});
  const auto u32 = [&](const char* key, std::size_t value) {
    writer.add_u32(std::string("bert.") + key, static_cast<std::uint32_t>(value));
  };
  u32("block_count", s.layers);
  u32("embedding_length", s.width);
  u32("feed_forward_length", s.ff_width);
  u32("attention.head_count", s.heads);
  u32("pooling_type", s.pooling);
  writer.add_f32("bert.attention.layer_norm_epsilon", 1e-6F);
  writer.add_bool("bert.attention.causal", false);
  if (!s.normalize) writer.add_bool("bert.normalize_embeddings", false);
  Weights w(writer, s);
  w.table("token_embd.weight", kTinyEncoderVocabulary);
  w.table("position_embd.weight", s.context);
  w.table("token_types.weight", 2);
  w.norm("token_embd_norm");
  for (std::size_t i = 0; i < s.layers; ++i) {
    const std::string p = "blk." + std::to_string(i) + ".";
    for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
      w.linear(p + name, s.width, s.width);
    }
    w.norm(p + "attn_output_norm");
    w.linear(p + "ffn_up", s.ff_width, s.width);
    w.linear(p + "ffn_down", s.width, s.ff_width);
    w.norm(p + "layer_output_norm");
  }
  return writer;
}

}  // namespace minerva::test
