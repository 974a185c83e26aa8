// The pack step: turns one weight matrix of a model file into the layout that kernels read
// (kernels/packed.h). Repacking is exact: codes and scales are moved, never rounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/result.h"
#include "formats/dtype.h"
#include "kernels/packed.h"

namespace minerva::engine {

enum class PackMode : std::uint8_t {
  Native,   // the file's type, in the packed kind that holds it exactly
  Float32,  // dequantised to float32: MINERVA_NUMERICS=f32
};

// One weight matrix ready for kernels. Owns its memory; immutable once packed, so that any number
// of threads may read it. Views stay valid when the object is moved.
class PackedWeight {
 public:
  PackedWeight() = default;

  // `bytes` holds rows x cols weights of `type`, row after row, as the file does. Fails when the
  // type is unknown to the pack step, cols is no multiple of its block, or the length is wrong.
  static Result<PackedWeight> pack(formats::DType type, std::span<const std::byte> bytes,
                                   std::size_t rows, std::size_t cols, PackMode mode);

  // The memory that pack() would take for it; 0 where it would fail.
  static std::uint64_t bytes_for(formats::DType type, std::size_t rows, std::size_t cols,
                                 PackMode mode);

  // The same in two steps, for callers that share the work: prepare() checks and allocates, then
  // pack_panels() fills panels [begin, end). Distinct panels may be packed by different threads.
  static Result<PackedWeight> prepare(formats::DType type, std::span<const std::byte> bytes,
                                      std::size_t rows, std::size_t cols, PackMode mode);
  void pack_panels(std::span<const std::byte> bytes, std::size_t begin, std::size_t end);

  // prepare() for `count` matrices of one shape in one allocation, which `memory` takes over and
  // which must outlive them: the experts of a layer. `bytes` are those of one matrix.
  static Result<std::vector<PackedWeight>> prepare_stack(formats::DType type, std::size_t bytes,
                                                         std::size_t rows, std::size_t cols,
                                                         PackMode mode, std::size_t count,
                                                         AlignedBuffer& memory);

  bool quantized() const { return quantized_; }
  const kernels::QuantMatrix& quant() const { return quant_; }    // when quantized()
  const kernels::FloatMatrix& floats() const { return floats_; }  // otherwise

  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }
  std::size_t rows_padded() const { return panels() * kernels::kPanelRows; }
  std::size_t panels() const { return (rows_ + kernels::kPanelRows - 1) / kernels::kPanelRows; }
  std::size_t bytes() const { return bytes_; }
  // k of one activation scale that the kernel expects: 32, 256, or 0 for float activations.
  std::size_t activation_group() const;

 private:
  // Checks and describes without memory; attach() gives it `bytes_` of it, zero-filled.
  static Result<PackedWeight> describe(formats::DType type, std::size_t bytes, std::size_t rows,
                                       std::size_t cols, PackMode mode);
  void attach(std::byte* memory);
  void pack_float_panel(std::span<const std::byte> bytes, std::size_t panel);
  void pack_block_panel(std::span<const std::byte> bytes, std::size_t panel);
  void pack_super_panel(std::span<const std::byte> bytes, std::size_t panel);

  formats::DType type_ = formats::DType::F32;
  bool quantized_ = false;
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
  std::size_t bytes_ = 0;
  AlignedBuffer memory_;  // empty in a stack
  kernels::QuantMatrix quant_;
  kernels::FloatMatrix floats_;
};

}  // namespace minerva::engine
