// Floats to weights in a file's block layout, rounded as llama.cpp rounds them when it converts.
#pragma once

#include <cstddef>

#include "formats/dtype.h"

namespace minerva::formats {

// F32, F16, BF16, Q8_0 and Q4_0.
bool can_quantize(DType type);
// `n` weights, a multiple of the type's block, to `n / block * block_bytes` bytes, which need no
// alignment. A NaN or an infinity in a block of Q8_0 or Q4_0 makes its scale one. Any thread.
void quantize(DType type, const float* in, std::byte* out, std::size_t n) noexcept;

}  // namespace minerva::formats
