#if defined(__x86_64__)
#include "kernels/avx512/lanes.h"
#include "kernels/isa_tables.h"

namespace minerva::kernels::avx512 {
namespace {

#include "kernels/generic/unroll.inl.h"

#include "kernels/generic/math.inl.h"

#include "kernels/generic/vector.inl.h"

inline constexpr int kDeltaVectors = 8;
#include "kernels/generic/recurrent.inl.h"

#include "kernels/generic/quantize.inl.h"

#include "kernels/generic/attend.inl.h"

inline constexpr int kFloatPanels = 4;
inline constexpr int kFloatTokens = 4;
#include "kernels/generic/gemm_float.inl.h"

#include "kernels/generic/table.inl.h"

}  // namespace

constinit const KernelTable kTable = make_table(Isa::Avx512, "avx512");

}  // namespace minerva::kernels::avx512

#endif
