#include "engine/activation_buffer.h"

#include <algorithm>

#include "base/check.h"

namespace minerva::engine {

ActivationBuffer::ActivationBuffer(std::size_t tokens, std::size_t cols,
                                   std::span<const PackedWeight* const> readers)
    : tokens_(tokens), cols_(cols), values_(tokens * cols) {
  for (const PackedWeight* reader : readers) {
    const std::size_t group = reader->activation_group();
    if (group == 0) {
      has_float_reader_ = true;
      continue;
    }
    Quantized& form = forms_[group == kernels::kBlock ? 0 : 1];
    if (form.group != 0) continue;
    form.group = group;
    form.q.resize(tokens * cols);
    form.scales.resize(tokens * (cols / group));
    form.sums.resize(tokens * (cols / 16));
  }
}

kernels::Activations ActivationBuffer::Quantized::view(std::size_t tokens, std::size_t cols) {
  return {tokens, cols, group, q.data(), scales.data(), sums.data()};
}

void ActivationBuffer::quantize(const kernels::KernelTable& kernels, std::size_t tokens,
                                std::size_t begin, std::size_t end) {
  MINERVA_DCHECK(tokens <= tokens_);
  for (Quantized& form : forms_) {
    if (form.group == 0) continue;
    kernels.quantize(values_.data(), cols_, begin, end, form.view(tokens, cols_));
  }
}

void ActivationBuffer::quantize(const kernels::KernelTable& kernels, std::size_t tokens,
                                std::size_t begin, std::size_t end, const float* from,
                                std::size_t stride) {
  MINERVA_DCHECK(tokens <= tokens_);
  if (has_float_reader_) {
    for (std::size_t t = begin; t < end; ++t) std::copy_n(from + t * stride, cols_, row(t));
  }
  for (Quantized& form : forms_) {
    if (form.group == 0) continue;
    kernels.quantize(from, stride, begin, end, form.view(tokens, cols_));
  }
}

void ActivationBuffer::multiply(const kernels::KernelTable& kernels, const PackedWeight& w,
                                std::size_t tokens, std::size_t panel_begin, std::size_t panel_end,
                                float* out, std::size_t out_stride) const {
  MINERVA_DCHECK(w.cols() == cols_);
  if (w.quantized()) {
    Quantized& form = forms_[w.activation_group() == kernels::kBlock ? 0 : 1];
    kernels.gemm_quant(w.quant(), form.view(tokens, cols_), panel_begin, panel_end, out,
                       out_stride);
  } else {
    kernels.gemm_float(w.floats(), values_.data(), tokens, cols_, panel_begin, panel_end, out,
                       out_stride);
  }
}

}  // namespace minerva::engine
