// Whole numbers of a few bits in words of 32, a scale for each group of inputs and, in some, a
// zero: a weight is scale * (code - zero). The ways of GPTQ, AWQ and compressed-tensors. Views; the
// mappings must outlive them. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/dtype.h"

namespace minerva::models {

struct PackedSource {
  enum class Layout : std::uint8_t {
    Gptq,  // codes [inputs / n][outputs]; scales [group][output]; zeros [group][outputs / n]
    Awq,   // codes [inputs][outputs / n] in an order of its own; the rest as GPTQ's
    Rows,  // codes [output][inputs / n]; scales [output][group]; zeros [outputs / n][group]
  };
  Layout layout = Layout::Gptq;
  unsigned bits = 4;        // 2, 4 or 8; n is 32 / bits
  std::uint64_t group = 0;  // inputs that share a scale: a multiple of 32
  std::uint64_t outputs = 0;
  std::uint64_t inputs = 0;
  formats::DType scale_type = formats::DType::F16;  // F32, F16 or BF16
  std::span<const std::byte> codes;
  std::span<const std::byte> scales;
  std::span<const std::byte> zeros;  // empty: half of the codes, everywhere
  bool zeros_less_one = false;       // GPTQ's first format keeps them so

  unsigned per_word() const { return 32 / bits; }
  std::uint64_t groups() const { return inputs / group; }
  unsigned half() const { return 1U << (bits - 1); }
  // The zero of an output in a group.
  unsigned zero(std::uint64_t output, std::uint64_t at) const;
  // Whether all of them are half(), as in symmetric quantisation; reads them all.
  bool is_symmetric() const;
  // The output's weights as blocks of `type`: Q4_1 or an affine kind.
  void read_row(std::uint64_t output, formats::DType type, std::byte* out) const;
};

// The kind that has room for these weights' scales and biases without rounding them.
formats::DType packed_type(const PackedSource& source, bool symmetric);

}  // namespace minerva::models
