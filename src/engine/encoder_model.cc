#include "engine/encoder_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace minerva::engine {
namespace {

using formats::GgufFile;
using formats::GgufTensor;

constexpr std::array<std::string_view, 1> kArchitectures = {"bert"};

// Bounds that no real model comes near; they keep every product below far from overflow.
constexpr std::uint64_t kEncoderLayersMax = 1'024;
constexpr std::uint64_t kEncoderWidthMax = 1 << 16;
constexpr std::uint64_t kEncoderHeadsMax = 4'096;
constexpr std::uint64_t kPositionsMax = 1 << 20;
constexpr std::uint64_t kVocabularyMax = 1 << 24;
constexpr std::uint64_t kTokenTypesMax = 1 << 10;

Result<std::size_t> count(const GgufFile& file, const std::string& key, std::uint64_t max) {
  MINERVA_ASSIGN(const std::uint64_t value, file.get_uint(key));
  if (value == 0 || value > max) {
    return fail(ErrorCode::InvalidModel, fmt::format("{} is {}, outside 1 to {}", key, value, max),
                key);
  }
  return static_cast<std::size_t>(value);
}

// A table's rows, which the metadata does not always say.
Result<std::size_t> rows_of(const GgufFile& file, const std::string& name, std::uint64_t max) {
  const GgufTensor* found = file.find_tensor(name);
  if (found == nullptr) {
    return fail(ErrorCode::InvalidModel, fmt::format("the file has no tensor {}", name));
  }
  if (found->dims[1] > max) {
    return fail(ErrorCode::InvalidModel, fmt::format("tensor {} has {} rows; at most {} are taken",
                                                     name, found->dims[1], max));
  }
  return static_cast<std::size_t>(found->dims[1]);
}

// What the loader needs to know of it.
ModelConfig loader_config(const EncoderConfig& config) {
  ModelConfig out;
  out.architecture = config.architecture;
  out.norm = NormKind::Layer;
  return out;
}

}  // namespace

std::span<const std::string_view> encoder_architectures() { return kArchitectures; }

bool is_encoder(std::string_view architecture) {
  return std::ranges::find(kArchitectures, architecture) != kArchitectures.end();
}

Result<EncoderConfig> read_encoder_config(const GgufFile& file) {
  EncoderConfig config;
  MINERVA_ASSIGN(const std::string_view architecture, file.get_string("general.architecture"));
  if (!is_encoder(architecture)) {
    return fail(ErrorCode::Unsupported,
                fmt::format("the model's architecture is \"{}\", which is no encoder that this "
                            "engine runs",
                            architecture),
                "general.architecture");
  }
  config.architecture = architecture;
  const std::string p = config.architecture + ".";
  if (auto name = file.get_string("general.name")) config.name = *name;
  MINERVA_ASSIGN(config.layers, count(file, p + "block_count", kEncoderLayersMax));
  MINERVA_ASSIGN(config.width, count(file, p + "embedding_length", kEncoderWidthMax));
  MINERVA_ASSIGN(config.ff_width, count(file, p + "feed_forward_length", kEncoderWidthMax));
  MINERVA_ASSIGN(config.trained_context, count(file, p + "context_length", kPositionsMax));
  MINERVA_ASSIGN(config.heads, count(file, p + "attention.head_count", kEncoderHeadsMax));
  if (config.width % config.heads != 0) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}embedding_length is {}, not a multiple of attention.head_count, {}",
                            p, config.width, config.heads));
  }
  config.head_dim = config.width / config.heads;
  MINERVA_ASSIGN(config.usual_context,
                 read_text_limit(file, config.architecture, config.trained_context));
  MINERVA_ASSIGN(const double eps, file.get_float_or(p + "attention.layer_norm_epsilon", 1e-12));
  if (!std::isfinite(eps) || eps < 0) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}attention.layer_norm_epsilon is {}, no number from 0 on", p, eps));
  }
  config.norm_eps = static_cast<float>(eps);
  MINERVA_ASSIGN(const bool causal, file.get_bool_or(p + "attention.causal", false));
  if (causal) {
    return fail(
        ErrorCode::Unsupported,
        fmt::format("{}attention.causal is true: this engine's encoder sees the whole text", p));
  }
  MINERVA_ASSIGN(const auto pooling, read_pooling(file, config.architecture));
  config.pooling = pooling.value_or(Pooling::Mean);
  MINERVA_ASSIGN(config.normalize, read_normalize(file, config.architecture));

  MINERVA_ASSIGN(config.vocabulary, rows_of(file, "token_embd.weight", kVocabularyMax));
  MINERVA_ASSIGN(const std::size_t positions, rows_of(file, "position_embd.weight", kPositionsMax));
  if (positions < config.trained_context) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}context_length is {}, and position_embd.weight has {} rows", p,
                            config.trained_context, positions));
  }
  return config;
}

Result<void> EncoderModel::request(WeightLoader& loader, const GgufFile& file) {
  const EncoderConfig& c = config_;
  MINERVA_ASSIGN(embedding_, loader.find("token_embd.weight", c.vocabulary, c.width));
  MINERVA_ASSIGN(const std::size_t positions, rows_of(file, "position_embd.weight", kPositionsMax));
  MINERVA_TRY(loader.vector("position_embd.weight", positions, c.width, positions_));
  if (loader.has("token_types.weight")) {
    MINERVA_ASSIGN(const std::size_t types, rows_of(file, "token_types.weight", kTokenTypesMax));
    MINERVA_TRY(loader.vector("token_types.weight", types, c.width, token_type_));
    token_type_.resize(c.width);
  }
  MINERVA_TRY(loader.norm("token_embd_norm", 1, c.width, embedding_norm_));
  layers_.resize(c.layers);
  for (std::size_t i = 0; i < c.layers; ++i) {
    EncoderLayer& to = layers_[i];
    const std::string p = fmt::format("blk.{}.", i);
    MINERVA_TRY(loader.linear(p + "attn_q", c.width, c.width, to.q));
    MINERVA_TRY(loader.linear(p + "attn_k", c.width, c.width, to.k));
    MINERVA_TRY(loader.linear(p + "attn_v", c.width, c.width, to.v));
    MINERVA_TRY(loader.linear(p + "attn_output", c.width, c.width, to.attention_out));
    MINERVA_TRY(loader.norm(p + "attn_output_norm", 1, c.width, to.attention_norm));
    MINERVA_TRY(loader.linear(p + "ffn_up", c.ff_width, c.width, to.up));
    MINERVA_TRY(loader.linear(p + "ffn_down", c.width, c.ff_width, to.down));
    MINERVA_TRY(loader.norm(p + "layer_output_norm", 1, c.width, to.output_norm));
  }
  return loader.refuse_unused();
}

std::uint64_t EncoderModel::packed_bytes(const GgufFile& file, Numerics numerics) {
  EncoderModel model;
  auto config = read_encoder_config(file);
  if (!config) return 0;
  model.config_ = std::move(*config);
  const ModelConfig loading = loader_config(model.config_);
  WeightLoader loader(file, loading);
  if (!model.request(loader, file)) return 0;
  return loader.packed_bytes(numerics) + model.positions_.size() * sizeof(float);
}

Result<std::shared_ptr<const EncoderModel>> EncoderModel::load(std::shared_ptr<const GgufFile> file,
                                                               Numerics numerics, ComputePool& pool,
                                                               const Progress& progress) {
  std::shared_ptr<EncoderModel> model(new EncoderModel());
  MINERVA_ASSIGN(model->config_, read_encoder_config(*file));
  const ModelConfig loading = loader_config(model->config_);
  WeightLoader loader(*file, loading);
  MINERVA_TRY(model->request(loader, *file));
  MINERVA_ASSIGN(const std::uint64_t packed, loader.pack_all(numerics, pool, progress));
  if (!file->intact()) {
    return fail(ErrorCode::InvalidModel, file->path() + " was cut short while it was read");
  }
  model->weight_bytes_ = packed + model->positions_.size() * sizeof(float);
  model->file_ = std::move(file);
  return std::shared_ptr<const EncoderModel>(std::move(model));
}

std::uint64_t EncoderModel::mapped_bytes() const {
  // A row that is not mapped yet brings its neighbours along (fault_around_bytes of Linux).
  constexpr std::uint64_t kFaultBytes = std::uint64_t{64} << 10;
  const std::uint64_t size = embedding_->bytes();
  const std::uint64_t each = size / config_.vocabulary + kFaultBytes;
  const std::uint64_t rows = rows_read_.load(std::memory_order_relaxed);
  return rows > size / each ? size : rows * each;
}

void EncoderModel::embed(TokenId token, float* out) const {
  MINERVA_DCHECK(token >= 0 && static_cast<std::size_t>(token) < config_.vocabulary);
  rows_read_.fetch_add(1, std::memory_order_relaxed);
  formats::dequantize_row(*embedding_, static_cast<std::uint64_t>(token), out);
}

}  // namespace minerva::engine
