// Finds a model's tensors in its file, checks them, and packs them. Every tensor that is asked for
// is checked off, so that one which nobody asked for can be refused by its name: a graph that
// ignored it would give wrong answers in silence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/compute_pool.h"
#include "engine/model_config.h"
#include "engine/weights.h"
#include "formats/gguf.h"

namespace minerva::engine {

// Exact: int8 activations, integer dot products (docs/numerics.md). F32: dequantised weights and
// float activations, the reference that Exact is measured against; slow and large.
enum class Numerics : std::uint8_t { Exact, F32 };

// Some of a tensor's rows: [begin, begin + count) of `all`.
struct RowRange {
  std::size_t begin = 0;
  std::size_t count = 0;
  std::size_t all = 0;
};

// Rows [begin, begin + count).
struct RowPiece {
  std::size_t begin = 0;
  std::size_t count = 0;
};

// Names are given without their ending ".weight" or ".bias". Targets stay where they are until
// pack_all() has run. Errors: InvalidModel for a missing tensor or a shape that is not the
// metadata's, Unsupported for a weight type.
class WeightLoader {
 public:
  using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;  // bytes

  WeightLoader(const formats::GgufFile& file, const ModelConfig& config);

  bool has(const std::string& tensor) const { return file_.find_tensor(tensor) != nullptr; }

  // A tensor, if it is there, that some files have and nobody needs.
  void ignore(const std::string& tensor);
  // A tensor whose bytes the caller reads: `cols` is the fastest dimension.
  Result<const formats::GgufTensor*> find(const std::string& tensor, std::size_t rows,
                                          std::size_t cols);
  // A vector of `rows` x `cols` values (rows 1: one dimension), in float at once.
  Result<void> vector(const std::string& tensor, std::size_t rows, std::size_t cols,
                      std::vector<float>& to);
  // The same as a norm's weight, with the bias that is beside it where norms are NormKind::Layer.
  Result<void> norm(const std::string& name, std::size_t rows, std::size_t cols, Norm& to);
  // A matrix with the bias that is beside it, if there is one.
  Result<void> linear(const std::string& name, std::size_t rows, std::size_t cols, Linear& to);
  // Rows of a matrix that holds several.
  Result<void> linear_rows(const std::string& name, RowRange rows, std::size_t cols, Linear& to);
  // Several ranges of the rows of a matrix that mixes several, one behind the other; without bias.
  Result<void> linear_pieces(const std::string& name, std::size_t all, std::vector<RowPiece> pieces,
                             std::size_t cols, Linear& to);
  // A matrix whose packing waits for pack_all().
  Result<void> matrix(const std::string& tensor, RowRange rows, std::size_t cols, PackedWeight& to);

  // The same as float32, whatever the file holds and whatever the numerics: a router's.
  Result<void> float_matrix(const std::string& tensor, std::size_t rows, std::size_t cols,
                            PackedWeight& to);
  // One matrix of each of `count` experts: BLOCK + KIND_exps.weight of three dimensions, or
  // BLOCK + KIND.0.weight and so on; and the bias that is beside the former, if there is one.
  Result<void> stack(const std::string& block, const std::string& kind, std::size_t count,
                     std::size_t rows, std::size_t cols, MatrixStack& to);

  // Rows of each of `count` matrices, which are one tensor of three dimensions.
  Result<void> stack_rows(const std::string& tensor, std::size_t count, RowRange rows,
                          std::size_t cols, MatrixStack& to);

  // The same of a tensor of two dimensions, in which the matrices lie one behind the other.
  Result<void> split_rows(const std::string& tensor, std::size_t count, RowRange rows,
                          std::size_t cols, MatrixStack& to);
  // The same with each matrix turned around, [cols][rows.count], and in float32.
  Result<void> split_and_turn(const std::string& tensor, std::size_t count, RowRange rows,
                              std::size_t cols, MatrixStack& to);

  // The first tensor that nobody asked for, as an error.
  Result<void> refuse_unused() const;

  // Memory of all matrices that were asked for, once packed.
  std::uint64_t packed_bytes(Numerics numerics) const;

  // Gives the memory that the matrices take. `progress` is called from the pool's threads and must
  // be thread-safe; it may be empty.
  Result<std::uint64_t> pack_all(Numerics numerics, ComputePool& pool, const Progress& progress);

 private:
  // One matrix to pack: found and checked first, packed later by whichever thread takes it.
  struct Job {
    const formats::GgufTensor* source;
    std::size_t first_row;
    std::size_t rows;
    std::size_t cols;
    PackedWeight* target;  // null until its stack has memory
    bool as_float = false;
    bool turned = false;                // the target is [cols][rows]
    std::vector<RowPiece> pieces = {};  // that the rows are; empty: they lie together
  };
  // Experts' matrices of one shape and type, from jobs_[first_job] on.
  struct Stack {
    MatrixStack* target;
    std::size_t first_job;
    std::size_t count;
  };
  Result<const formats::GgufTensor*> find_experts(const std::string& tensor, std::size_t count,
                                                  std::size_t rows, std::size_t cols);
  void queue_stack(const formats::GgufTensor& tensor, std::size_t count, RowRange rows,
                   std::size_t cols, MatrixStack& to);
  bool is_of_a_draft(std::string_view name) const;
  static std::uint64_t bytes_of(const Job& job, Numerics numerics);
  Result<void> prepare_stacks(Numerics numerics);
  Result<void> pack(const Job& job, Numerics numerics);
  const formats::GgufFile& file_;
  const ModelConfig& config_;
  std::vector<bool> used_;  // of the file's tensors
  std::vector<Job> jobs_;
  std::vector<Stack> stacks_;
};

}  // namespace minerva::engine
