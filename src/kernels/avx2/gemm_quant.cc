// The quantised product has a file of its own because it is most of the compile time.
#if defined(__x86_64__)
#include "kernels/avx2/integers.h"
#include "kernels/isa_tables.h"

namespace minerva::kernels::avx2 {
namespace {

#include "kernels/generic/unroll.inl.h"

#include "kernels/generic/gemm_quant.inl.h"

}  // namespace

void gemm_quant(const QuantMatrix& w, const Activations& x, std::size_t panel_begin,
                std::size_t panel_end, float* out, std::size_t out_stride) noexcept {
  gemm_quant_any(w, x, panel_begin, panel_end, out, out_stride);
}

}  // namespace minerva::kernels::avx2

#endif
