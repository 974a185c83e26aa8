// One matrix of a model folder as it lies in its safetensors files, and how rows of it become a
// file's blocks. Views; the mappings must outlive them. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "formats/dtype.h"
#include "formats/tensor_rows.h"
#include "models/packed_source.h"

namespace minerva::models {

// MLX's affine quantisation: `bits` a code in one stream of bits from the lowest on, a scale and a
// bias for each `group` weights of a row, both of the type `scale_type` (F32, F16 or BF16).
struct AffineSource {
  unsigned bits = 4;  // 2, 3, 4, 5, 6 or 8
  std::uint64_t group = 64;
  formats::DType scale_type = formats::DType::BF16;
  std::span<const std::byte> codes;
  std::span<const std::byte> scales;
  std::span<const std::byte> biases;
};

// Microscaling floats of 4 bits (OCP MX): 16 bytes of codes and one byte of exponent for each 32
// weights. A byte holds neighbours; GGUF's holds weights i and i + 16.
struct MxSource {
  std::span<const std::byte> codes;
  std::span<const std::byte> scales;
};

// 8-bit floats (E4M3), and a scale for each tile of block_rows x block_cols weights; the last tiles
// may be cut. A weight is the product, rounded to BF16.
struct Float8Source {
  std::uint64_t block_rows = 0;
  std::uint64_t block_cols = 0;
  formats::DType scale_type = formats::DType::F32;
  std::span<const std::byte> codes;
  std::span<const std::byte> scales;  // of each tile, row by row of tiles
};

struct WeightSource {
  enum class Form : std::uint8_t { Plain, Affine, Mx, Float8, Packed };
  Form form = Form::Plain;
  formats::DType type = formats::DType::F32;  // of the rows that read_row() gives
  std::uint64_t rows = 0;                     // of all leading dimensions together
  std::uint64_t cols = 0;
  std::vector<std::uint64_t> shape;  // as the folder says it, slowest first
  std::span<const std::byte> plain;
  AffineSource affine;
  MxSource mx;
  Float8Source float8;
  PackedSource packed;

  std::uint64_t row_bytes() const;
  void read_row(std::uint64_t row, std::byte* out) const;
  std::vector<std::span<const std::byte>> views() const;
};

// What GGUF type rows of this quantisation become: Q4_1 where that holds scale and bias exactly,
// else a type of our own.
formats::DType affine_type(unsigned bits, formats::DType scale_type);

// The order of a tensor's rows in terms of its source's.
struct RowOrder {
  enum class Kind : std::uint8_t {
    Same,
    // Llama's rotary pairs from halves of a head to neighbours:  2i + j  <-  i + j * head_dim / 2.
    Interleave,
    // Every `step`-th row from `first` on.
    Every,
    // Half of each `step` rows, the ones from `first` on.
    Half,
    // Of each `step` heads the `taken` ones from `first` on; pairs may be interleaved as above.
    Heads,
    // As `rows` says.
    Listed,
  };
  Kind kind = Kind::Same;
  std::uint64_t head_dim = 0;
  std::uint64_t first = 0;
  std::uint64_t step = 1;
  std::uint64_t taken = 1;
  bool interleaved = false;
  std::vector<std::uint32_t> rows = {};  // of each its source's row

  // Rows that the tensor has of a source of `rows`.
  std::uint64_t count(std::uint64_t rows) const;
  std::uint64_t source_row(std::uint64_t row) const;
};

// Sources of one shape and type, one behind the other.
class SourceRows final : public formats::TensorRows {
 public:
  // With `columns`, each row is as many equal pieces, of each of which it says the source's place.
  SourceRows(std::vector<WeightSource> pieces, RowOrder order,
             std::vector<std::uint32_t> columns = {});
  void read(std::uint64_t first, std::span<std::byte> out) const override;
  std::vector<std::span<const std::byte>> sources() const override;

 private:
  std::vector<WeightSource> pieces_;
  RowOrder order_;
  std::vector<std::uint32_t> columns_;
  std::uint64_t rows_each_;
  std::uint64_t row_bytes_;
};

}  // namespace minerva::models
