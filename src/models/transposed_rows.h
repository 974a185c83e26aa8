// Matrices that a folder keeps with their inputs as rows, the other way round than GGUF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "formats/tensor_rows.h"
#include "models/weight_source.h"

namespace minerva::models {

// Of plain source[matrix][input][output] the rows [matrix][every step-th output from `first` on]
// [input]. The mapping must outlive it. Any thread.
class TransposedRows final : public formats::TensorRows {
 public:
  // `source` has three dimensions; `order` is Same, Every or Half, of its outputs.
  TransposedRows(WeightSource source, RowOrder order);
  void read(std::uint64_t first, std::span<std::byte> out) const override;
  std::vector<std::span<const std::byte>> sources() const override;

 private:
  WeightSource source_;
  RowOrder order_;
  std::uint64_t inputs_;
  std::uint64_t outputs_;
  std::uint64_t rows_each_;  // of a matrix
  std::uint64_t value_bytes_;
};

}  // namespace minerva::models
