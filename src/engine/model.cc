#include "engine/model.h"

#include <fmt/core.h>

#include <utility>

#include "base/check.h"

namespace minerva::engine {

using formats::GgufFile;

namespace {

// Rows [begin, begin + count) of each `step` rows.
std::vector<RowPiece> every(std::size_t groups, std::size_t begin, std::size_t count,
                            std::size_t step) {
  std::vector<RowPiece> pieces;
  for (std::size_t i = 0; i < groups; ++i) pieces.push_back({i * step + begin, count});
  return pieces;
}

}  // namespace

Result<void> Model::request(WeightLoader& loader) {
  const ModelConfig& c = config_;
  MINERVA_TRY(loader.norm(std::string(c.output_norm_name), 1, c.width, output_norm_));
  // Without an output matrix of its own a model uses its embedding (tied weights).
  const bool tied = !loader.has("output.weight");
  MINERVA_TRY(loader.linear(tied ? "token_embd" : "output", c.vocabulary, c.width, output_));
  if (c.layer_input_width != 0) MINERVA_TRY(request_layer_inputs(loader));
  layers_.resize(c.layers.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) MINERVA_TRY(request_layer(loader, i));
  return {};
}

Result<void> Model::request_layer(WeightLoader& loader, std::size_t i) {
  const ModelConfig& c = config_;
  const std::string p = fmt::format("blk.{}.", i);
  LayerWeights& to = layers_[i];
  for (const std::string_view name : c.required) {
    if (loader.has(p + std::string(name))) continue;
    return fail(
        ErrorCode::InvalidModel,
        fmt::format("the file has no tensor {}{}, which every {} has", p, name, c.architecture));
  }
  if (c.pre_norms) {
    MINERVA_TRY(loader.norm(p + "attn_norm", 1, c.width, to.attention_norm));
    if (!c.parallel)
      MINERVA_TRY(loader.norm(p + std::string(c.ff_norm_name), 1, c.width, to.ff_norm));
  }
  if (c.post_norms) {
    MINERVA_TRY(loader.norm(p + "post_attention_norm", 1, c.width, to.post_attention_norm));
    MINERVA_TRY(loader.norm(p + "post_ffw_norm", 1, c.width, to.post_ff_norm));
  }
  if (c.layer_input_width != 0) {
    MINERVA_TRY(loader.linear(p + "inp_gate", c.layer_input_width, c.width, to.input_gate));
    MINERVA_TRY(loader.linear(p + "proj", c.width, c.layer_input_width, to.input_out));
    MINERVA_TRY(loader.norm(p + "post_norm", 1, c.width, to.input_norm));
  }
  if (c.layer_scales) {
    MINERVA_TRY(loader.vector(p + "layer_output_scale.weight", 1, 1, to.output_scale));
  }
  MINERVA_TRY(request_attention(loader, i, p, to));
  return request_feed_forward(loader, i, p, to);
}

Result<void> Model::request_layer_inputs(WeightLoader& loader) {
  const ModelConfig& c = config_;
  const std::size_t all = c.layers.size() * c.layer_input_width;
  MINERVA_ASSIGN(layer_embedding_, loader.find("per_layer_token_embd.weight", c.vocabulary, all));
  MINERVA_TRY(loader.linear("per_layer_model_proj", all, c.width, layer_inputs_));
  return loader.norm("per_layer_proj_norm", 1, c.layer_input_width, layer_inputs_norm_);
}

Result<void> Model::request_attention(WeightLoader& loader, std::size_t i, const std::string& p,
                                      LayerWeights& to) {
  const ModelConfig& c = config_;
  if (c.latent.rank != 0) return request_latents(loader, p, to);
  if (const std::size_t tokens = c.layers[i].convolution; tokens != 0) {
    MINERVA_TRY(loader.linear(p + "shortconv.in_proj", 3 * c.width, c.width, to.gates));
    MINERVA_TRY(loader.vector(p + "shortconv.conv.weight", c.width, tokens, to.convolution));
    return loader.linear(p + "shortconv.out_proj", c.width, c.width, to.attention_out);
  }
  if (c.layers[i].delta) {
    MINERVA_TRY(request_delta(loader, p, to.delta));
    return loader.linear(p + "ssm_out", c.width, c.delta.value_heads * c.delta.value_dim,
                         to.attention_out);
  }
  const std::size_t head_dim = head_dim_of(c, i);
  const std::size_t kv_heads = kv_heads_of(c, i);
  const std::size_t q_rows = c.heads * head_dim;
  const std::size_t kv_rows = kv_heads * head_dim;
  const bool own_kv = !c.layers[i].shares_kv_of;
  if (c.qk_norm == QkNorm::Whole) {
    MINERVA_TRY(loader.norm(p + "attn_q_norm", 1, q_rows, to.q_norm));
    MINERVA_TRY(loader.norm(p + "attn_k_norm", 1, kv_rows, to.k_norm));
  } else if (c.qk_norm != QkNorm::None && !c.qk_norm_plain) {
    const bool each = c.qk_norm == QkNorm::EachHead;
    MINERVA_TRY(loader.norm(p + "attn_q_norm", each ? c.heads : 1, head_dim, to.q_norm));
    if (own_kv) {
      MINERVA_TRY(loader.norm(p + "attn_k_norm", each ? kv_heads : 1, head_dim, to.k_norm));
    }
  }
  if (c.attention_sinks) {
    MINERVA_TRY(loader.vector(p + "attn_sinks.weight", 1, c.heads, to.sinks));
  }
  MINERVA_TRY(loader.linear(p + "attn_output", c.width, q_rows, to.attention_out));
  if (loader.has(p + "attn_qkv.weight")) {  // q, k and v in one, in this order
    const std::size_t all = q_rows + 2 * kv_rows;
    MINERVA_TRY(loader.linear_rows(p + "attn_qkv", {0, q_rows, all}, c.width, to.q));
    MINERVA_TRY(loader.linear_rows(p + "attn_qkv", {q_rows, kv_rows, all}, c.width, to.k));
    return loader.linear_rows(p + "attn_qkv", {q_rows + kv_rows, kv_rows, all}, c.width, to.v);
  }
  if (c.attention_gate) {  // each head's query, then its gate
    const std::string both = p + "attn_q";
    MINERVA_TRY(loader.linear_pieces(both, 2 * q_rows, every(c.heads, 0, head_dim, 2 * head_dim),
                                     c.width, to.q));
    MINERVA_TRY(loader.linear_pieces(
        both, 2 * q_rows, every(c.heads, head_dim, head_dim, 2 * head_dim), c.width, to.q_gate));
  } else {
    MINERVA_TRY(loader.linear(p + "attn_q", q_rows, c.width, to.q));
  }
  if (!own_kv) {
    for (const char* name : {"attn_k", "attn_v", "attn_k_norm"})
      loader.ignore(p + name + ".weight");
    return {};
  }
  MINERVA_TRY(loader.linear(p + "attn_k", kv_rows, c.width, to.k));
  const bool may_share = c.value_norm && c.layers[i].window == 0;
  if (may_share && !loader.has(p + "attn_v.weight")) return {};  // values are made of keys
  return loader.linear(p + "attn_v", kv_rows, c.width, to.v);
}

Result<void> Model::request_delta(WeightLoader& loader, const std::string& p, DeltaWeights& to) {
  const ModelConfig& c = config_;
  const DeltaConfig& d = c.delta;
  const std::size_t values = d.value_heads * d.value_dim;
  const std::size_t own_values = values / d.key_heads;  // of one key head
  if (loader.has(p + "ssm_in.weight")) {
    // As the first files had it: each key head's query, key, values and gates.
    const std::string all = p + "ssm_in";
    const std::size_t each = 2 * d.key_dim + 2 * own_values;
    std::vector<RowPiece> pieces;
    for (const auto& [begin, count] :
         {std::pair{std::size_t{0}, d.key_dim}, std::pair{d.key_dim, d.key_dim},
          std::pair{2 * d.key_dim, own_values}}) {
      const auto more = every(d.key_heads, begin, count, each);
      pieces.insert(pieces.end(), more.begin(), more.end());
    }
    const std::size_t rows = d.key_heads * each;
    MINERVA_TRY(loader.linear_pieces(all, rows, std::move(pieces), c.width, to.mixed));
    MINERVA_TRY(loader.linear_pieces(
        all, rows, every(d.key_heads, 2 * d.key_dim + own_values, own_values, each), c.width,
        to.gate));
  } else {
    MINERVA_TRY(loader.linear(p + "attn_qkv", d.mixed(), c.width, to.mixed));
    MINERVA_TRY(loader.linear(p + "attn_gate", values, c.width, to.gate));
  }
  if (!d.spread) {  // each key head's betas, then its alphas
    const std::string both = p + "ssm_ba";
    const std::size_t own = d.value_heads / d.key_heads;
    const std::size_t rows = 2 * d.value_heads;
    MINERVA_TRY(
        loader.linear_pieces(both, rows, every(d.key_heads, 0, own, 2 * own), c.width, to.beta));
    MINERVA_TRY(
        loader.linear_pieces(both, rows, every(d.key_heads, own, own, 2 * own), c.width, to.alpha));
  } else {
    MINERVA_TRY(loader.linear(p + "ssm_beta", d.value_heads, c.width, to.beta));
    MINERVA_TRY(loader.linear(p + "ssm_alpha", d.value_heads, c.width, to.alpha));
  }
  std::vector<float> taps;
  MINERVA_TRY(loader.vector(p + "ssm_conv1d.weight", d.mixed(), d.taps, taps));
  to.taps.resize(taps.size());
  for (std::size_t i = 0; i < taps.size(); ++i) {
    to.taps[i % d.taps * d.mixed() + i / d.taps] = taps[i];
  }
  MINERVA_TRY(loader.vector(p + "ssm_a", 1, d.value_heads, to.rate));
  MINERVA_TRY(loader.vector(p + "ssm_dt.bias", 1, d.value_heads, to.bias));
  return loader.norm(p + "ssm_norm", 1, d.value_dim, to.norm);
}

Result<void> Model::request_latents(WeightLoader& loader, const std::string& p, LayerWeights& to) {
  const ModelConfig& c = config_;
  const LatentConfig& l = c.latent;
  const std::size_t rotated = c.ropes[0].n_rot;
  const std::size_t q_rows = c.heads * (l.plain + rotated);
  if (l.query_rank != 0) {
    MINERVA_TRY(loader.linear(p + "attn_q_a", l.query_rank, c.width, to.latent.query_down));
    MINERVA_TRY(loader.norm(p + "attn_q_a_norm", 1, l.query_rank, to.latent.query_norm));
    MINERVA_TRY(loader.linear(p + "attn_q_b", q_rows, l.query_rank, to.q));
  } else {
    MINERVA_TRY(loader.linear(p + "attn_q", q_rows, c.width, to.q));
  }
  MINERVA_TRY(loader.linear(p + "attn_kv_a_mqa", l.rank + rotated, c.width, to.latent.down));
  MINERVA_TRY(loader.norm(p + "attn_kv_a_norm", 1, l.rank, to.latent.norm));
  MINERVA_TRY(loader.linear(p + "attn_output", c.width, c.heads * l.value_dim, to.attention_out));
  if (loader.has(p + "attn_kv_b.weight")) {  // each head's key, then its value, from the latent
    const std::string both = p + "attn_kv_b.weight";
    const std::size_t all = l.plain + l.value_dim;
    MINERVA_TRY(loader.split_and_turn(both, c.heads, {0, l.plain, all}, l.rank, to.latent.key_up));
    return loader.split_rows(both, c.heads, {l.plain, l.value_dim, all}, l.rank,
                             to.latent.value_up);
  }
  MINERVA_TRY(loader.stack_rows(p + "attn_k_b.weight", c.heads, {0, l.rank, l.rank}, l.plain,
                                to.latent.key_up));
  return loader.stack_rows(p + "attn_v_b.weight", c.heads, {0, l.value_dim, l.value_dim}, l.rank,
                           to.latent.value_up);
}

Result<void> Model::request_feed_forward(WeightLoader& loader, std::size_t i, const std::string& p,
                                         LayerWeights& to) {
  const ModelConfig& c = config_;
  if (c.experts.count != 0 && !c.layers[i].dense) {
    MINERVA_TRY(request_experts(loader, c, p, to.experts));
    if (!c.experts.beside_dense) return {};
  }
  const std::size_t ff = ff_width_of(c, i);
  MINERVA_TRY(loader.linear(p + "ffn_down", c.width, ff, to.down));
  if (c.gated && !loader.has(p + "ffn_gate.weight")) {  // gate and up in one, in this order
    MINERVA_TRY(loader.linear_rows(p + "ffn_up", {0, ff, 2 * ff}, c.width, to.gate));
    return loader.linear_rows(p + "ffn_up", {ff, ff, 2 * ff}, c.width, to.up);
  }
  if (c.gated) MINERVA_TRY(loader.linear(p + "ffn_gate", ff, c.width, to.gate));
  return loader.linear(p + "ffn_up", ff, c.width, to.up);
}

Result<void> Model::check(const GgufFile& file) {
  Model model;
  MINERVA_ASSIGN(model.config_, read_config(file));
  WeightLoader loader(file, model.config_);
  return model.ask(loader);
}

// For every tensor of the file, and none may be left.
Result<void> Model::ask(WeightLoader& loader) {
  MINERVA_ASSIGN(embedding_, loader.find("token_embd.weight", config_.vocabulary, config_.width));
  MINERVA_TRY(request(loader));
  return loader.refuse_unused();
}

std::uint64_t Model::packed_bytes(const GgufFile& file, Numerics numerics) {
  Model model;
  auto config = read_config(file);
  if (!config) return 0;
  model.config_ = std::move(*config);
  WeightLoader loader(file, model.config_);
  // What cannot be loaded counts as far as it goes; loading says what is wrong with it.
  (void)model.request(loader);
  return loader.packed_bytes(numerics);
}

Result<std::shared_ptr<const Model>> Model::load(std::shared_ptr<const GgufFile> file,
                                                 Numerics numerics, ComputePool& pool,
                                                 const Progress& progress) {
  std::shared_ptr<Model> model(new Model());
  MINERVA_ASSIGN(model->config_, read_config(*file));
  WeightLoader loader(*file, model->config_);
  MINERVA_TRY(model->ask(loader));
  MINERVA_ASSIGN(model->weight_bytes_, loader.pack_all(numerics, pool, progress));
  if (!file->intact()) {
    return fail(ErrorCode::InvalidModel, file->path() + " was cut short while it was read");
  }
  model->numerics_ = numerics;
  model->file_ = std::move(file);
  return std::shared_ptr<const Model>(std::move(model));
}

std::uint64_t Model::token_bytes() const {
  const std::size_t count = config_.experts.count;
  if (count == 0) return weight_bytes_;
  std::uint64_t routed = 0;
  for (const LayerWeights& layer : layers_) {
    for (const MatrixStack* stack : {&layer.experts.gate, &layer.experts.up, &layer.experts.down}) {
      for (const PackedWeight& matrix : stack->matrices) routed += matrix.bytes();
    }
  }
  return weight_bytes_ - routed / count * (count - config_.experts.used);
}

std::uint64_t Model::mapped_bytes() const {
  // A row that is not mapped yet brings its neighbours along (fault_around_bytes of Linux).
  constexpr std::uint64_t kFaultBytes = std::uint64_t{64} << 10;
  const std::uint64_t size =
      embedding_->bytes() + (layer_embedding_ == nullptr ? 0 : layer_embedding_->bytes());
  const std::uint64_t tables = layer_embedding_ == nullptr ? 1 : 2;
  const std::uint64_t each = size / config_.vocabulary + tables * kFaultBytes;
  const std::uint64_t rows = rows_read_.load(std::memory_order_relaxed);
  return rows > size / each ? size : rows * each;
}

void Model::embed_layer_inputs(TokenId token, float* out) const {
  MINERVA_DCHECK(token >= 0 && static_cast<std::size_t>(token) < config_.vocabulary);
  formats::dequantize_row(*layer_embedding_, static_cast<std::uint64_t>(token), out);
}

void Model::embed(TokenId token, float* out) const {
  MINERVA_DCHECK(token >= 0 && static_cast<std::size_t>(token) < config_.vocabulary);
  rows_read_.fetch_add(1, std::memory_order_relaxed);
  formats::dequantize_row(*embedding_, static_cast<std::uint64_t>(token), out);
}

}  // namespace minerva::engine
