// One matrix multiplication's input for every token of a step: in float, and quantised the way each
// weight matrix that reads it wants. Rows are written by one thread each; read by all after a
// barrier.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/pack.h"
#include "kernels/kernel_table.h"

namespace minerva::engine {

class ActivationBuffer {
 public:
  // Room for `tokens` rows of `cols` values, in every form that one of these matrices reads.
  ActivationBuffer(std::size_t tokens, std::size_t cols,
                   std::span<const PackedWeight* const> readers);

  std::size_t cols() const { return cols_; }
  float* row(std::size_t token) { return values_.data() + token * cols_; }
  // Quantises rows [begin, end) of the step's `tokens`, if any reader is quantised. A row's place
  // depends on how many there are in all (kernels/packed.h), so multiply() wants the same number.
  void quantize(const kernels::KernelTable& kernels, std::size_t tokens, std::size_t begin,
                std::size_t end);
  // The same, with the rows taken from elsewhere.
  void quantize(const kernels::KernelTable& kernels, std::size_t tokens, std::size_t begin,
                std::size_t end, const float* from, std::size_t stride);

  // out[token][row] of w for the first `tokens` rows and panels [panel_begin, panel_end).
  void multiply(const kernels::KernelTable& kernels, const PackedWeight& w, std::size_t tokens,
                std::size_t panel_begin, std::size_t panel_end, float* out,
                std::size_t out_stride) const;

 private:
  struct Quantized {
    std::size_t group = 0;  // 0: not needed
    std::vector<std::int8_t> q;
    std::vector<float> scales;
    std::vector<std::int32_t> sums;
    kernels::Activations view(std::size_t tokens, std::size_t cols);
  };

  std::size_t tokens_;
  std::size_t cols_;
  std::vector<float> values_;
  bool has_float_reader_ = false;
  mutable Quantized forms_[2];
};

}  // namespace minerva::engine
