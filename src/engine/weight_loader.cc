#include "engine/weight_loader.h"

#include <fmt/core.h>

#include <atomic>
#include <mutex>
#include <span>

#include "formats/dequantize.h"

namespace minerva::engine {
namespace {

using formats::GgufFile;
using formats::GgufTensor;

PackMode pack_mode(Numerics numerics) {
  return numerics == Numerics::F32 ? PackMode::Float32 : PackMode::Native;
}

// rows x cols weights as a float32 matrix [cols][rows].
Result<PackedWeight> pack_turned(const GgufTensor& tensor, std::span<const std::byte> bytes,
                                 std::size_t rows, std::size_t cols) {
  std::vector<float> row(cols);
  std::vector<float> turned(rows * cols);
  for (std::size_t r = 0; r < rows; ++r) {
    formats::dequantize(tensor.type, bytes.data() + r * tensor.row_bytes(), row.data(), cols);
    for (std::size_t c = 0; c < cols; ++c) turned[c * rows + r] = row[c];
  }
  auto packed = PackedWeight::pack(formats::DType::F32, std::as_bytes(std::span(turned)), cols,
                                   rows, PackMode::Float32);
  if (!packed) return fail(std::move(packed).error().in("tensor " + tensor.name));
  return packed;
}

Result<formats::TensorBytes> read_pieces(const GgufTensor& tensor,
                                         std::span<const RowPiece> pieces) {
  formats::TensorBytes all;
  for (const RowPiece& piece : pieces) {
    MINERVA_ASSIGN(const formats::TensorBytes one,
                   formats::read_rows(tensor, piece.begin, piece.count));
    all.owned.insert(all.owned.end(), one.bytes.begin(), one.bytes.end());
  }
  all.bytes = all.owned;
  return all;
}

// What the metadata's reading has taken, what old files keep for nobody, and a projector's part
// of a file: that is for images, which the engine does not take.
bool is_read_elsewhere(std::string_view name) {
  return name.starts_with("rope_f") || name.ends_with(".attn_rot_embd") || name.starts_with("v.") ||
         name.starts_with("mm.") || name.starts_with("a.");
}

}  // namespace

WeightLoader::WeightLoader(const GgufFile& file, const ModelConfig& config)
    : file_(file), config_(config), used_(file.tensors().size()) {}

void WeightLoader::ignore(const std::string& tensor) {
  const GgufTensor* found = file_.find_tensor(tensor);
  if (found != nullptr) used_[static_cast<std::size_t>(found - file_.tensors().data())] = true;
}

Result<const GgufTensor*> WeightLoader::find(const std::string& name, std::size_t rows,
                                             std::size_t cols) {
  return find_experts(name, 1, rows, cols);
}

Result<const GgufTensor*> WeightLoader::find_experts(const std::string& name, std::size_t count,
                                                     std::size_t rows, std::size_t cols) {
  const GgufTensor* found = file_.find_tensor(name);
  if (found == nullptr) {
    return fail(ErrorCode::InvalidModel, fmt::format("the file has no tensor {}", name));
  }
  if (found->dims[0] != cols || found->dims[1] != rows || found->dims[2] != count ||
      found->dims[3] != 1) {
    const auto shape = [&](std::uint64_t matrices, std::uint64_t height, std::uint64_t width) {
      return (found->dims[2] == 1 && count == 1 ? "" : fmt::format("{} x ", matrices)) +
             fmt::format("{} x {}", height, width);
    };
    return fail(ErrorCode::InvalidModel,
                fmt::format("tensor {} is {}; the metadata asks for {}", name,
                            shape(found->dims[2], found->dims[1], found->dims[0]),
                            shape(count, rows, cols)));
  }
  if (!formats::dtype_info(found->type).decodable) {
    return fail(ErrorCode::Unsupported,
                fmt::format("tensor {} is of type {}, which this engine cannot read", name,
                            formats::dtype_info(found->type).name));
  }
  used_[static_cast<std::size_t>(found - file_.tensors().data())] = true;
  return found;
}

Result<void> WeightLoader::vector(const std::string& name, std::size_t rows, std::size_t cols,
                                  std::vector<float>& to) {
  MINERVA_ASSIGN(const GgufTensor* found, find(name, rows, cols));
  to.resize(rows * cols);
  MINERVA_ASSIGN(const formats::TensorBytes read, formats::read_tensor(*found));
  formats::dequantize(found->type, read.bytes.data(), to.data(), to.size());
  return {};
}

Result<void> WeightLoader::norm(const std::string& name, std::size_t rows, std::size_t cols,
                                Norm& to) {
  MINERVA_TRY(vector(name + ".weight", rows, cols, to.weight));
  if (config_.norm != NormKind::Layer || !has(name + ".bias")) return {};
  return vector(name + ".bias", rows, cols, to.bias);
}

Result<void> WeightLoader::linear(const std::string& name, std::size_t rows, std::size_t cols,
                                  Linear& to) {
  return linear_rows(name, {0, rows, rows}, cols, to);
}

Result<void> WeightLoader::linear_rows(const std::string& name, RowRange rows, std::size_t cols,
                                       Linear& to) {
  MINERVA_TRY(matrix(name + ".weight", rows, cols, to.weight));
  if (!has(name + ".bias")) return {};
  std::vector<float> all;
  MINERVA_TRY(vector(name + ".bias", 1, rows.all, all));
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(rows.begin);
  to.bias.assign(begin, begin + static_cast<std::ptrdiff_t>(rows.count));
  return {};
}

Result<void> WeightLoader::linear_pieces(const std::string& name, std::size_t all,
                                         std::vector<RowPiece> pieces, std::size_t cols,
                                         Linear& to) {
  MINERVA_ASSIGN(const GgufTensor* found, find(name + ".weight", all, cols));
  std::size_t rows = 0;
  for (const RowPiece& piece : pieces) rows += piece.count;
  jobs_.push_back({.source = found,
                   .first_row = 0,
                   .rows = rows,
                   .cols = cols,
                   .target = &to.weight,
                   .pieces = std::move(pieces)});
  return {};
}

Result<void> WeightLoader::matrix(const std::string& name, RowRange rows, std::size_t cols,
                                  PackedWeight& to) {
  MINERVA_ASSIGN(const GgufTensor* found, find(name, rows.all, cols));
  jobs_.push_back({found, rows.begin, rows.count, cols, &to});
  return {};
}

Result<void> WeightLoader::float_matrix(const std::string& name, std::size_t rows, std::size_t cols,
                                        PackedWeight& to) {
  MINERVA_TRY(matrix(name, {0, rows, rows}, cols, to));
  jobs_.back().as_float = true;
  return {};
}

Result<void> WeightLoader::stack(const std::string& block, const std::string& kind,
                                 std::size_t count, std::size_t rows, std::size_t cols,
                                 MatrixStack& to) {
  const std::string together = block + kind + "_exps";
  if (has(together + ".weight") || !has(fmt::format("{}{}.0.weight", block, kind))) {
    MINERVA_TRY(stack_rows(together + ".weight", count, {0, rows, rows}, cols, to));
    if (has(together + ".bias")) MINERVA_TRY(vector(together + ".bias", count, rows, to.bias));
    return {};
  }
  stacks_.push_back({&to, jobs_.size(), count});
  for (std::size_t i = 0; i < count; ++i) {
    MINERVA_ASSIGN(const GgufTensor* found,
                   find(fmt::format("{}{}.{}.weight", block, kind, i), rows, cols));
    jobs_.push_back({found, 0, rows, cols, nullptr});
    const GgufTensor* first = jobs_[stacks_.back().first_job].source;
    if (found->type != first->type) {
      return fail(ErrorCode::Unsupported,
                  fmt::format("tensor {} is of type {} and {} of type {}; this engine takes the "
                              "experts of a layer in one type",
                              first->name, formats::dtype_info(first->type).name, found->name,
                              formats::dtype_info(found->type).name));
    }
  }
  return {};
}

Result<void> WeightLoader::stack_rows(const std::string& tensor, std::size_t count, RowRange rows,
                                      std::size_t cols, MatrixStack& to) {
  MINERVA_ASSIGN(const GgufTensor* found, find_experts(tensor, count, rows.all, cols));
  queue_stack(*found, count, rows, cols, to);
  return {};
}

Result<void> WeightLoader::split_rows(const std::string& tensor, std::size_t count, RowRange rows,
                                      std::size_t cols, MatrixStack& to) {
  MINERVA_ASSIGN(const GgufTensor* found, find(tensor, count * rows.all, cols));
  queue_stack(*found, count, rows, cols, to);
  return {};
}

void WeightLoader::queue_stack(const GgufTensor& tensor, std::size_t count, RowRange rows,
                               std::size_t cols, MatrixStack& to) {
  stacks_.push_back({&to, jobs_.size(), count});
  for (std::size_t i = 0; i < count; ++i) {
    jobs_.push_back({&tensor, i * rows.all + rows.begin, rows.count, cols, nullptr});
  }
}

Result<void> WeightLoader::split_and_turn(const std::string& tensor, std::size_t count,
                                          RowRange rows, std::size_t cols, MatrixStack& to) {
  MINERVA_ASSIGN(const GgufTensor* found, find(tensor, count * rows.all, cols));
  to.matrices.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    jobs_.push_back({.source = found,
                     .first_row = i * rows.all + rows.begin,
                     .rows = rows.count,
                     .cols = cols,
                     .target = &to.matrices[i],
                     .turned = true});
  }
  return {};
}

bool WeightLoader::is_of_a_draft(std::string_view name) const {
  for (std::size_t i = 0; i < config_.draft_layers; ++i) {
    if (name.starts_with(fmt::format("blk.{}.", config_.layers.size() + i))) return true;
  }
  return false;
}

Result<void> WeightLoader::refuse_unused() const {
  for (std::size_t i = 0; i < used_.size(); ++i) {
    const std::string& name = file_.tensors()[i].name;
    if (used_[i] || is_read_elsewhere(name) || is_of_a_draft(name)) continue;
    return fail(ErrorCode::Unsupported,
                fmt::format("tensor {} has no place in this engine's {} graph", name,
                            config_.architecture));
  }
  return {};
}

std::uint64_t WeightLoader::packed_bytes(Numerics numerics) const {
  std::uint64_t sum = 0;
  for (const Job& job : jobs_) sum += bytes_of(job, numerics);
  return sum;
}

std::uint64_t WeightLoader::bytes_of(const Job& job, Numerics numerics) {
  const PackMode mode = job.as_float ? PackMode::Float32 : pack_mode(numerics);
  if (job.turned) return PackedWeight::bytes_for(formats::DType::F32, job.cols, job.rows, mode);
  return PackedWeight::bytes_for(job.source->type, job.rows, job.cols, mode);
}

Result<void> WeightLoader::prepare_stacks(Numerics numerics) {
  for (const Stack& stack : stacks_) {
    const Job& first = jobs_[stack.first_job];
    MINERVA_ASSIGN(stack.target->matrices,
                   PackedWeight::prepare_stack(
                       first.source->type, first.rows * first.source->row_bytes(), first.rows,
                       first.cols, pack_mode(numerics), stack.count, stack.target->memory));
    for (std::size_t i = 0; i < stack.count; ++i) {
      jobs_[stack.first_job + i].target = &stack.target->matrices[i];
    }
  }
  return {};
}

Result<void> WeightLoader::pack(const Job& job, Numerics numerics) {
  MINERVA_ASSIGN(const formats::TensorBytes data,
                 job.pieces.empty() ? formats::read_rows(*job.source, job.first_row, job.rows)
                                    : read_pieces(*job.source, job.pieces));
  if (job.turned) {
    MINERVA_ASSIGN(*job.target, pack_turned(*job.source, data.bytes, job.rows, job.cols));
  } else if (job.target->rows() != 0) {  // of a stack: it has its memory already
    job.target->pack_panels(data.bytes, 0, job.target->panels());
  } else {
    const PackMode mode = job.as_float ? PackMode::Float32 : pack_mode(numerics);
    auto packed = PackedWeight::pack(job.source->type, data.bytes, job.rows, job.cols, mode);
    if (!packed) return fail(std::move(packed).error().in("tensor " + job.source->name));
    *job.target = std::move(*packed);
  }
  // Else a model would take twice its size until the system wants the file's pages back.
  if (data.owned.empty()) {
    file_.forget(data.bytes);
  } else {
    file_.forget(*job.source);
  }
  return {};
}

Result<std::uint64_t> WeightLoader::pack_all(Numerics numerics, ComputePool& pool,
                                             const Progress& progress) {
  MINERVA_TRY(prepare_stacks(numerics));
  std::uint64_t total = 0;
  for (const Job& job : jobs_) total += job.rows * job.source->row_bytes();
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint64_t> done{0};
  std::mutex mutex;
  Result<void> outcome;
  pool.run([&](unsigned) {
    for (std::size_t i = next++; i < jobs_.size(); i = next++) {
      const Job& job = jobs_[i];
      if (auto packed = pack(job, numerics); !packed) {
        const std::lock_guard lock(mutex);
        outcome = std::move(packed);
        return;
      }
      const std::uint64_t now = done += job.rows * job.source->row_bytes();
      if (progress) progress(now, total);
    }
  });
  MINERVA_TRY(outcome);
  std::uint64_t bytes = 0;
  for (const Job& job : jobs_) bytes += job.target->bytes();
  return bytes;
}

}  // namespace minerva::engine
