// The shape of a model, read from its file's metadata and checked: after read_config() no number
// here can lead outside the weights. Each architecture fills it in a file of its own (arch_*.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"

namespace minerva::engine {

enum class Activation : std::uint8_t { Silu, GeluTanh };

// Rotary position embedding of a set of layers. The angle of pair i at position p is
//   p * frequency_scale * base^(-2i/n_rot) / factors[i]      (factors empty: 1)
struct RopeConfig {
  double base = 10'000;
  double frequency_scale = 1;
  std::size_t n_rot = 0;  // values of a head that rotate; the rest pass through
  bool halves = false;    // pairs are (i, i + n_rot/2) rather than (2i, 2i+1)
  std::vector<float> factors;
};

struct LayerConfig {
  std::size_t window = 0;  // tokens an attention sees back, itself included; 0: all
  std::size_t rope = 0;    // index into ModelConfig::ropes
};

struct ModelConfig {
  std::string architecture;
  std::string name;
  std::size_t width = 0;  // of the residual stream
  std::size_t heads = 0;
  std::size_t kv_heads = 0;
  std::size_t head_dim = 0;
  std::size_t ff_width = 0;
  std::size_t vocabulary = 0;
  std::size_t trained_context = 0;
  float norm_eps = 1e-5F;
  float attention_scale = 1;
  float attention_softcap = 0;  // 0: none
  float logit_softcap = 0;      // 0: none
  float embedding_scale = 1;
  Activation activation = Activation::Silu;
  bool qk_norm = false;     // RMS norm of each head's q and k before RoPE
  bool post_norms = false;  // RMS norm of attention's and the feed-forward's output
  std::vector<RopeConfig> ropes;
  std::vector<LayerConfig> layers;
};

Result<ModelConfig> read_config(const formats::GgufFile& file);

// Architectures that the engine runs.
std::span<const std::string_view> supported_architectures();

// --- for arch_*.cc ---
// What every decoder's metadata says: counts, widths, epsilon, one rope, full attention everywhere.
Result<ModelConfig> read_common(const formats::GgufFile& file, std::string_view architecture);
Result<ModelConfig> read_llama(const formats::GgufFile& file);
Result<ModelConfig> read_gemma3(const formats::GgufFile& file);

}  // namespace minerva::engine
