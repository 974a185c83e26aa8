#include "engine/model.h"

#include <fmt/core.h>

#include <atomic>
#include <mutex>
#include <string>

#include "base/check.h"
#include "formats/dequantize.h"

namespace minerva::engine {
namespace {

using formats::GgufFile;
using formats::GgufTensor;

// Finds a tensor and checks its shape: `cols` is the fastest dimension.
Result<const GgufTensor*> tensor(const GgufFile& file, const std::string& name, std::size_t rows,
                                 std::size_t cols) {
  const GgufTensor* found = file.find_tensor(name);
  if (found == nullptr) {
    return fail(ErrorCode::InvalidModel, fmt::format("the file has no tensor {}", name));
  }
  if (found->dims[0] != cols || found->dims[1] != rows || found->dims[2] != 1 ||
      found->dims[3] != 1) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("tensor {} is {} x {}; the metadata asks for {} x {}", name,
                            found->dims[1], found->dims[0], rows, cols));
  }
  if (!formats::dtype_info(found->type).decodable) {
    return fail(ErrorCode::Unsupported,
                fmt::format("tensor {} is of type {}, which this engine cannot read", name,
                            formats::dtype_info(found->type).name));
  }
  return found;
}

Result<std::vector<float>> vector_of(const GgufFile& file, const std::string& name, std::size_t n) {
  MINERVA_ASSIGN(const GgufTensor* found, tensor(file, name, 1, n));
  std::vector<float> values(n);
  formats::dequantize(found->type, found->data.data(), values.data(), n);
  return values;
}

// One matrix to pack: found and checked first, packed later by whichever thread takes it.
struct PackJob {
  const GgufTensor* source;
  PackedWeight* target;
};

class Loader {
 public:
  Loader(const GgufFile& file, const ModelConfig& config) : file_(file), config_(config) {}

  Result<void> matrix(const std::string& name, std::size_t rows, std::size_t cols,
                      PackedWeight& target) {
    MINERVA_ASSIGN(const GgufTensor* found, tensor(file_, name, rows, cols));
    jobs_.push_back({found, &target});
    total_ += found->data.size();
    return {};
  }

  Result<void> layer(std::size_t i, LayerWeights& to) {
    const ModelConfig& c = config_;
    const std::string p = fmt::format("blk.{}.", i);
    const std::size_t q_rows = c.heads * c.head_dim;
    const std::size_t kv_rows = c.kv_heads * c.head_dim;
    MINERVA_ASSIGN(to.attention_norm, vector_of(file_, p + "attn_norm.weight", c.width));
    MINERVA_ASSIGN(to.ff_norm, vector_of(file_, p + "ffn_norm.weight", c.width));
    if (c.qk_norm) {
      MINERVA_ASSIGN(to.q_norm, vector_of(file_, p + "attn_q_norm.weight", c.head_dim));
      MINERVA_ASSIGN(to.k_norm, vector_of(file_, p + "attn_k_norm.weight", c.head_dim));
    }
    if (c.post_norms) {
      MINERVA_ASSIGN(to.post_attention_norm,
                     vector_of(file_, p + "post_attention_norm.weight", c.width));
      MINERVA_ASSIGN(to.post_ff_norm, vector_of(file_, p + "post_ffw_norm.weight", c.width));
    }
    MINERVA_TRY(matrix(p + "attn_q.weight", q_rows, c.width, to.q));
    MINERVA_TRY(matrix(p + "attn_k.weight", kv_rows, c.width, to.k));
    MINERVA_TRY(matrix(p + "attn_v.weight", kv_rows, c.width, to.v));
    MINERVA_TRY(matrix(p + "attn_output.weight", c.width, q_rows, to.attention_out));
    MINERVA_TRY(matrix(p + "ffn_gate.weight", c.ff_width, c.width, to.gate));
    MINERVA_TRY(matrix(p + "ffn_up.weight", c.ff_width, c.width, to.up));
    MINERVA_TRY(matrix(p + "ffn_down.weight", c.width, c.ff_width, to.down));
    return refuse_unknown(p);
  }

  // A tensor that this graph does not use would be dropped in silence: a bias, an expert. Such a
  // model is refused instead.
  Result<void> refuse_unknown(const std::string& prefix) const {
    static constexpr std::string_view kKnown[] = {
        "attn_norm.weight",    "ffn_norm.weight", "attn_q_norm.weight",
        "attn_k_norm.weight",  "attn_q.weight",   "post_attention_norm.weight",
        "attn_k.weight",       "attn_v.weight",   "attn_output.weight",
        "ffn_gate.weight",     "ffn_up.weight",   "ffn_down.weight",
        "post_ffw_norm.weight"};
    for (const GgufTensor& t : file_.tensors()) {
      if (!t.name.starts_with(prefix)) continue;
      const std::string_view rest = std::string_view(t.name).substr(prefix.size());
      bool known = rest == "attn_rot_embd";
      for (const std::string_view name : kKnown) known = known || rest == name;
      if (!known) {
        return fail(ErrorCode::Unsupported,
                    fmt::format("tensor {} has no place in this engine's {} graph", t.name,
                                config_.architecture));
      }
    }
    return {};
  }

  Result<void> pack_all(Numerics numerics, ComputePool& pool, const Model::Progress& progress) {
    std::atomic<std::size_t> next{0};
    std::atomic<std::uint64_t> done{0};
    std::mutex mutex;
    Result<void> outcome;
    const PackMode mode = numerics == Numerics::F32 ? PackMode::Float32 : PackMode::Native;
    pool.run([&](unsigned) {
      for (std::size_t i = next++; i < jobs_.size(); i = next++) {
        const GgufTensor& source = *jobs_[i].source;
        auto packed =
            PackedWeight::pack(source.type, source.data, source.dims[1], source.dims[0], mode);
        if (!packed) {
          const std::lock_guard lock(mutex);
          outcome = fail(std::move(packed).error().in("tensor " + source.name));
          return;
        }
        *jobs_[i].target = std::move(*packed);
        // Else a model would take twice its size until the system wants the file's pages back.
        file_.forget(source.data);
        const std::uint64_t now = done += source.data.size();
        if (progress) progress(now, total_);
      }
    });
    return outcome;
  }

 private:
  const GgufFile& file_;
  const ModelConfig& config_;
  std::vector<PackJob> jobs_;
  std::uint64_t total_ = 0;
};

}  // namespace

std::uint64_t Model::packed_bytes(const GgufFile& file, Numerics numerics) {
  const PackMode mode = numerics == Numerics::F32 ? PackMode::Float32 : PackMode::Native;
  const bool tied = file.find_tensor("output.weight") == nullptr;
  std::uint64_t sum = 0;
  for (const GgufTensor& t : file.tensors()) {
    const bool matrix = t.dims[1] > 1 && t.dims[2] == 1 && t.dims[3] == 1;
    if (!matrix || (t.name == "token_embd.weight" && !tied)) continue;
    sum += PackedWeight::bytes_for(t.type, t.dims[1], t.dims[0], mode);
  }
  return sum;
}

Result<std::shared_ptr<const Model>> Model::load(std::shared_ptr<const GgufFile> file,
                                                 Numerics numerics, ComputePool& pool,
                                                 const Progress& progress) {
  std::shared_ptr<Model> model(new Model());
  MINERVA_ASSIGN(model->config_, read_config(*file));
  const ModelConfig& c = model->config_;
  MINERVA_ASSIGN(model->embedding_, tensor(*file, "token_embd.weight", c.vocabulary, c.width));
  MINERVA_ASSIGN(model->output_norm_, vector_of(*file, "output_norm.weight", c.width));

  Loader loader(*file, c);
  // Without an output matrix of its own a model uses its embedding (tied weights).
  const bool tied = file->find_tensor("output.weight") == nullptr;
  MINERVA_TRY(loader.matrix(tied ? "token_embd.weight" : "output.weight", c.vocabulary, c.width,
                            model->output_));
  model->layers_.resize(c.layers.size());
  for (std::size_t i = 0; i < c.layers.size(); ++i) {
    MINERVA_TRY(loader.layer(i, model->layers_[i]));
  }
  MINERVA_TRY(loader.pack_all(numerics, pool, progress));
  if (!file->intact()) {
    return fail(ErrorCode::InvalidModel, file->path() + " was cut short while it was read");
  }

  model->numerics_ = numerics;
  model->weight_bytes_ = model->output_.bytes();
  for (const LayerWeights& l : model->layers_) {
    for (const PackedWeight* w : {&l.q, &l.k, &l.v, &l.attention_out, &l.gate, &l.up, &l.down}) {
      model->weight_bytes_ += w->bytes();
    }
  }
  model->file_ = std::move(file);
  return std::shared_ptr<const Model>(std::move(model));
}

std::uint64_t Model::mapped_bytes() const {
  // A row that is not mapped yet brings its neighbours along (fault_around_bytes of Linux).
  constexpr std::uint64_t kFaultBytes = std::uint64_t{64} << 10;
  const std::uint64_t size = embedding_->data.size();
  const std::uint64_t each = size / config_.vocabulary + kFaultBytes;
  const std::uint64_t rows = rows_read_.load(std::memory_order_relaxed);
  return rows > size / each ? size : rows * each;
}

void Model::embed(TokenId token, float* out) const {
  MINERVA_DCHECK(token >= 0 && static_cast<std::size_t>(token) < config_.vocabulary);
  rows_read_.fetch_add(1, std::memory_order_relaxed);
  const std::size_t row_bytes = embedding_->data.size() / config_.vocabulary;
  formats::dequantize(embedding_->type,
                      embedding_->data.data() + static_cast<std::size_t>(token) * row_bytes, out,
                      config_.width);
}

}  // namespace minerva::engine
