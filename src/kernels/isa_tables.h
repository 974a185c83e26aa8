// The tables that the ISA folders define. Each folder is compiled with its own flags, so nothing
// but its table may leave it: a weak symbol of an AVX-512 file could become everybody's at link
// time.
#pragma once

#include "kernels/kernel_table.h"

namespace minerva::kernels {

namespace scalar {
extern const KernelTable kTable;
void gemm_quant(const QuantMatrix& w, const Activations& x, std::size_t panel_begin,
                std::size_t panel_end, float* out, std::size_t out_stride) noexcept;
}  // namespace scalar
namespace avx2 {
extern const KernelTable kTable;
void gemm_quant(const QuantMatrix& w, const Activations& x, std::size_t panel_begin,
                std::size_t panel_end, float* out, std::size_t out_stride) noexcept;
}  // namespace avx2
namespace avx512 {
extern const KernelTable kTable;
void gemm_quant(const QuantMatrix& w, const Activations& x, std::size_t panel_begin,
                std::size_t panel_end, float* out, std::size_t out_stride) noexcept;
}  // namespace avx512

}  // namespace minerva::kernels
