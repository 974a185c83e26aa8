// A model's weights, packed for the kernels. Immutable once loaded; shared by reference count.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "engine/compute_pool.h"
#include "engine/model_config.h"
#include "engine/pack.h"
#include "formats/gguf.h"

namespace minerva::engine {

// Exact: int8 activations, integer dot products (docs/numerics.md). F32: dequantised weights and
// float activations, the reference that Exact is measured against; slow and large.
enum class Numerics : std::uint8_t { Exact, F32 };

struct LayerWeights {
  std::vector<float> attention_norm;       // [width]
  std::vector<float> q_norm, k_norm;       // [head_dim], with ModelConfig::qk_norm
  std::vector<float> post_attention_norm;  // [width], with ModelConfig::post_norms
  std::vector<float> ff_norm;              // [width]
  std::vector<float> post_ff_norm;         // [width], with ModelConfig::post_norms
  PackedWeight q, k, v, attention_out;  // [heads*dim][width], [kv_heads*dim][width], ., [width][.]
  PackedWeight gate, up, down;          // [ff][width], [ff][width], [width][ff]
};

class Model {
 public:
  using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;  // bytes

  // Checks every tensor's shape against the metadata before it allocates. `progress` is called from
  // the pool's threads and must be thread-safe; it may be empty.
  static Result<std::shared_ptr<const Model>> load(std::shared_ptr<const formats::GgufFile> file,
                                                   Numerics numerics, ComputePool& pool,
                                                   const Progress& progress = {});

  // What weight_bytes() will be, by the file's header alone.
  static std::uint64_t packed_bytes(const formats::GgufFile& file, Numerics numerics);

  const ModelConfig& config() const { return config_; }
  Numerics numerics() const { return numerics_; }
  const LayerWeights& layer(std::size_t i) const { return layers_[i]; }
  std::span<const float> output_norm() const { return output_norm_; }
  const PackedWeight& output() const { return output_; }  // [vocabulary][width]
  std::uint64_t weight_bytes() const { return weight_bytes_; }
  // Memory behind the rows of the embedding that were read so far, at most.
  std::uint64_t mapped_bytes() const;

  // False once the file was cut short under us: what was computed since is worthless.
  bool intact() const { return file_->intact(); }

  // Writes a token's embedding, unscaled, to out[width].
  void embed(TokenId token, float* out) const;

 private:
  Model() = default;
  std::shared_ptr<const formats::GgufFile> file_;  // the embedding's rows are read from it
  const formats::GgufTensor* embedding_ = nullptr;
  ModelConfig config_;
  Numerics numerics_ = Numerics::Exact;
  std::vector<LayerWeights> layers_;
  std::vector<float> output_norm_;
  PackedWeight output_;
  std::uint64_t weight_bytes_ = 0;
  mutable std::atomic<std::uint64_t> rows_read_{0};
};

}  // namespace minerva::engine
