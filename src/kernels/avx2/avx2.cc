#if defined(__x86_64__)
#include "kernels/avx2/lanes.h"
#include "kernels/isa_tables.h"

namespace minerva::kernels::avx2 {
namespace {

#include "kernels/generic/unroll.inl.h"

#include "kernels/generic/math.inl.h"

#include "kernels/generic/vector.inl.h"

inline constexpr int kDeltaVectors = 4;
#include "kernels/generic/recurrent.inl.h"

#include "kernels/generic/quantize.inl.h"

#include "kernels/generic/attend.inl.h"

inline constexpr int kFloatPanels = 2;
inline constexpr int kFloatTokens = 2;
#include "kernels/generic/gemm_float.inl.h"

#include "kernels/generic/table.inl.h"

}  // namespace

constinit const KernelTable kTable = make_table(Isa::Avx2, "avx2");

}  // namespace minerva::kernels::avx2

#endif
