// Weights in a file's block layout to floats: the reference that every kernel is measured against,
// and the only decoder of MINERVA_NUMERICS=f32. Bit for bit what the `gguf` Python package gives.
#pragma once

#include <cstddef>

#include "formats/dtype.h"
#include "formats/half.h"

namespace minerva::formats {

// `n` weights, a multiple of the type's block, from `n / block * block_bytes` bytes, which need no
// alignment. The type must be decodable. Any thread.
void dequantize(DType type, const std::byte* blocks, float* out, std::size_t n) noexcept;

}  // namespace minerva::formats
