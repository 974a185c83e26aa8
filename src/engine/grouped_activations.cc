#include "engine/grouped_activations.h"

#include <algorithm>

#include "base/check.h"

namespace minerva::engine {

GroupedActivations::GroupedActivations(std::size_t rows, std::size_t cols,
                                       std::span<const PackedWeight* const> readers)
    : rows_(rows), cols_(cols) {
  for (const PackedWeight* reader : readers) {
    const std::size_t group = reader->activation_group();
    if (group == 0) {
      values_.resize(rows * cols);
      continue;
    }
    Quantized& form = forms_[group == kernels::kBlock ? 0 : 1];
    if (form.group != 0) continue;
    form.group = group;
    form.q.resize(rows * cols);
    form.scales.resize(rows * (cols / group));
    form.sums.resize(rows * (cols / 16));
  }
}

kernels::Activations GroupedActivations::view(Quantized& form, RowGroup group) const {
  return {group.count,
          cols_,
          form.group,
          form.q.data() + group.first * cols_,
          form.scales.data() + group.first * (cols_ / form.group),
          form.sums.data() + group.first * (cols_ / 16)};
}

void GroupedActivations::put(const kernels::KernelTable& kernels, RowGroup group, std::size_t index,
                             const float* from) {
  MINERVA_DCHECK(index < group.count && group.first + group.count <= rows_);
  if (!values_.empty()) std::copy_n(from, cols_, values_.data() + (group.first + index) * cols_);
  for (Quantized& form : forms_) {
    // With a stride of 0 every row is this one; only row `index` is taken.
    if (form.group != 0) kernels.quantize(from, 0, index, index + 1, view(form, group));
  }
}

void GroupedActivations::multiply(const kernels::KernelTable& kernels, const PackedWeight& w,
                                  RowGroup group, std::size_t panel_begin, std::size_t panel_end,
                                  float* out, std::size_t out_stride) const {
  MINERVA_DCHECK(w.cols() == cols_ && group.first + group.count <= rows_);
  if (w.quantized()) {
    Quantized& form = forms_[w.activation_group() == kernels::kBlock ? 0 : 1];
    kernels.gemm_quant(w.quant(), view(form, group), panel_begin, panel_end, out, out_stride);
  } else {
    kernels.gemm_float(w.floats(), values_.data() + group.first * cols_, group.count, cols_,
                       panel_begin, panel_end, out, out_stride);
  }
}

}  // namespace minerva::engine
