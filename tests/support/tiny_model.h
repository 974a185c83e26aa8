// A small model with random weights, written by code: every architecture and weight type that the
// engine knows, small enough to run in milliseconds. The same settings give the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "formats/dtype.h"
#include "support/gguf_writer.h"

namespace minerva::test {

struct TinyModel {
  std::string architecture = "llama";
  formats::DType type = formats::DType::F32;  // of the matrices; the norms are F32
  std::size_t layers = 2;
  std::size_t width = 256;  // a multiple of every type's block
  std::size_t heads = 4;
  std::size_t kv_heads = 2;
  std::size_t head_dim = 64;
  std::size_t ff_width = 256;
  std::size_t context = 2048;
  std::size_t window = 0;  // gemma3's and gpt-oss's sliding window
  // Of llama, qwen2moe, qwen3moe, gpt-oss, glm4moe and deepseek2. The last two have a bias in the
  // choice of experts.
  std::size_t experts = 0;  // 0: dense
  std::size_t experts_used = 2;
  std::size_t expert_ff_width = 256;
  std::size_t shared_ff_width = 0;  // of a shared expert; not of the first and gpt-oss
  std::size_t dense_layers = 0;     // in front
  std::size_t groups = 0;           // of experts, of which a token uses half
  // Of deepseek2: half of head_dim rotates, values have the other half.
  std::size_t latent_rank = 32;
  std::size_t query_rank = 0;
  std::uint64_t seed = 1;
  bool tied = true;
};

// The tokens: 256 single bytes (byte-level), then a few merged ones, <|bos|> and <|end|>.
inline constexpr std::size_t kTinyVocabulary = 272;
inline constexpr std::int32_t kTinyBos = 270;
inline constexpr std::int32_t kTinyEnd = 271;

// Metadata, vocabulary and weights; ready to be written or changed.
GgufWriter tiny_model(const TinyModel& settings);

// `count` weights of the type as raw blocks, about N(0, deviation) when decoded.
std::vector<std::byte> random_weights(formats::DType type, std::size_t count, double deviation,
                                      std::uint64_t seed);

}  // namespace minerva::test
