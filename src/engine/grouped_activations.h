// The input of the experts' matrices: rows in groups, one group an expert's tokens, each group laid
// out for the kernels as if it were a step of its own. Distinct rows may be put by different
// threads; read by all after a barrier.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/pack.h"
#include "kernels/kernel_table.h"

namespace minerva::engine {

// Rows [first, first + count) of a buffer.
struct RowGroup {
  std::size_t first = 0;
  std::size_t count = 0;
};

class GroupedActivations {
 public:
  GroupedActivations() = default;
  // Room for `rows` rows of `cols` values, in the forms that these matrices read and no others.
  GroupedActivations(std::size_t rows, std::size_t cols,
                     std::span<const PackedWeight* const> readers);

  // Takes from[cols] as the group's row `index`.
  void put(const kernels::KernelTable& kernels, RowGroup group, std::size_t index,
           const float* from);

  // out[index][row] of w for the group's rows and panels [panel_begin, panel_end).
  void multiply(const kernels::KernelTable& kernels, const PackedWeight& w, RowGroup group,
                std::size_t panel_begin, std::size_t panel_end, float* out,
                std::size_t out_stride) const;

 private:
  struct Quantized {
    std::size_t group = 0;  // 0: nobody reads it
    std::vector<std::int8_t> q;
    std::vector<float> scales;
    std::vector<std::int32_t> sums;
  };
  kernels::Activations view(Quantized& form, RowGroup group) const;

  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
  std::vector<float> values_;  // empty unless a float matrix reads them
  mutable Quantized forms_[2];
};

}  // namespace minerva::engine
