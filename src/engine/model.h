// A model's weights, packed for the kernels. Immutable once loaded; shared by reference count.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "engine/compute_pool.h"
#include "engine/model_config.h"
#include "engine/weight_loader.h"
#include "engine/weights.h"
#include "formats/gguf.h"

namespace minerva::engine {

class Model {
 public:
  using Progress = WeightLoader::Progress;

  // Checks every tensor's shape against the metadata before it allocates. `progress` is called from
  // the pool's threads and must be thread-safe; it may be empty.
  static Result<std::shared_ptr<const Model>> load(std::shared_ptr<const formats::GgufFile> file,
                                                   Numerics numerics, ComputePool& pool,
                                                   const Progress& progress = {});

  // What load() would refuse by the file's header alone.
  static Result<void> check(const formats::GgufFile& file);

  // What weight_bytes() will be, by the file's header alone.
  static std::uint64_t packed_bytes(const formats::GgufFile& file, Numerics numerics);

  const ModelConfig& config() const { return config_; }
  Numerics numerics() const { return numerics_; }
  const LayerWeights& layer(std::size_t i) const { return layers_[i]; }
  const Norm& output_norm() const { return output_norm_; }
  const Linear& output() const { return output_; }  // [vocabulary][width]
  // With layer inputs: [layers * layer_input_width][width], and the norm of each layer's part.
  const Linear& layer_inputs() const { return layer_inputs_; }
  const Norm& layer_inputs_norm() const { return layer_inputs_norm_; }
  std::uint64_t weight_bytes() const { return weight_bytes_; }
  // Those of them that a step of one token reads: of the routed experts only the chosen.
  std::uint64_t token_bytes() const;
  // Memory behind the rows of the embedding that were read so far, at most.
  std::uint64_t mapped_bytes() const;

  // False once the file was cut short under us: what was computed since is worthless.
  bool intact() const { return file_->intact(); }

  // Writes a token's embedding, unscaled, to out[width].
  void embed(TokenId token, float* out) const;
  // Writes its inputs of all layers to out[layers * layer_input_width].
  void embed_layer_inputs(TokenId token, float* out) const;

 private:
  Model() = default;
  Result<void> ask(WeightLoader& loader);
  // Asks for every tensor of config_'s graph.
  Result<void> request(WeightLoader& loader);
  Result<void> request_layer(WeightLoader& loader, std::size_t i);
  Result<void> request_attention(WeightLoader& loader, std::size_t i, const std::string& prefix,
                                 LayerWeights& to);
  Result<void> request_delta(WeightLoader& loader, const std::string& prefix, DeltaWeights& to);
  Result<void> request_layer_inputs(WeightLoader& loader);
  Result<void> request_latents(WeightLoader& loader, const std::string& prefix, LayerWeights& to);
  Result<void> request_feed_forward(WeightLoader& loader, std::size_t i, const std::string& prefix,
                                    LayerWeights& to);

  std::shared_ptr<const formats::GgufFile> file_;  // the embedding's rows are read from it
  const formats::GgufTensor* embedding_ = nullptr;
  const formats::GgufTensor* layer_embedding_ = nullptr;  // with layer inputs
  ModelConfig config_;
  Numerics numerics_ = Numerics::Exact;
  std::vector<LayerWeights> layers_;
  Norm output_norm_;
  Linear output_;
  Linear layer_inputs_;
  Norm layer_inputs_norm_;
  std::uint64_t weight_bytes_ = 0;
  mutable std::atomic<std::uint64_t> rows_read_{0};
};

}  // namespace minerva::engine
