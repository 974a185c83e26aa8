// An encoder's weights (the BERT family), packed for the kernels. Immutable once loaded; shared by
// reference count. Metadata and tensor names are those of GGUF files with the architecture "bert".
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "engine/compute_pool.h"
#include "engine/pooling.h"
#include "engine/weight_loader.h"
#include "engine/weights.h"
#include "formats/gguf.h"

namespace minerva::engine {

// Architectures that the encoder runs.
std::span<const std::string_view> encoder_architectures();
bool is_encoder(std::string_view architecture);

struct EncoderConfig {
  std::string architecture;
  std::string name;
  std::size_t width = 0;  // of the hidden states, and of the vectors
  std::size_t heads = 0;
  std::size_t head_dim = 0;
  std::size_t ff_width = 0;
  std::size_t layers = 0;
  std::size_t vocabulary = 0;
  std::size_t trained_context = 0;  // tokens of a text; each position has a row of its own
  std::size_t usual_context = 0;    // what the makers cut texts off at; at most the trained one
  float norm_eps = 1e-12F;
  Pooling pooling = Pooling::Mean;
  bool normalize = true;
};

// Checked: after it no number here can lead outside the weights.
Result<EncoderConfig> read_encoder_config(const formats::GgufFile& file);

struct EncoderLayer {
  Linear q, k, v, attention_out;  // [width][width] each
  Norm attention_norm;            // of the sum of the layer's input and attention's output
  Linear up, down;                // [ff_width][width], [width][ff_width]
  Norm output_norm;               // of the sum of that and the feed-forward's output
};

class EncoderModel {
 public:
  using Progress = WeightLoader::Progress;

  // Checks every tensor's shape against the metadata before it packs any. `progress` is called from
  // the pool's threads; it may be empty.
  static Result<std::shared_ptr<const EncoderModel>> load(
      std::shared_ptr<const formats::GgufFile> file, Numerics numerics, ComputePool& pool,
      const Progress& progress = {});

  // What weight_bytes() will be, by the file's header alone.
  static std::uint64_t packed_bytes(const formats::GgufFile& file, Numerics numerics);

  const EncoderConfig& config() const { return config_; }
  const EncoderLayer& layer(std::size_t i) const { return layers_[i]; }
  const Norm& embedding_norm() const { return embedding_norm_; }
  std::uint64_t weight_bytes() const { return weight_bytes_; }
  // Memory behind the rows of the embedding that were read so far, at most.
  std::uint64_t mapped_bytes() const;
  // False once the file was cut short under us: what was computed since is worthless.
  bool intact() const { return file_->intact(); }

  // Writes a token's embedding to out[width].
  void embed(TokenId token, float* out) const;
  std::span<const float> position(std::size_t i) const {
    return std::span(positions_).subspan(i * config_.width, config_.width);
  }
  // Of the first kind of text, which a single text is; empty where the model has none.
  std::span<const float> token_type() const { return token_type_; }

 private:
  EncoderModel() = default;
  Result<void> request(WeightLoader& loader, const formats::GgufFile& file);

  std::shared_ptr<const formats::GgufFile> file_;  // the embedding's rows are read from it
  const formats::GgufTensor* embedding_ = nullptr;
  EncoderConfig config_;
  std::vector<float> positions_;  // [trained_context][width]
  std::vector<float> token_type_;
  Norm embedding_norm_;
  std::vector<EncoderLayer> layers_;
  std::uint64_t weight_bytes_ = 0;
  mutable std::atomic<std::uint64_t> rows_read_{0};
};

}  // namespace minerva::engine
