#include "kernels/isa_tables.h"
#include "kernels/scalar/lanes.h"

namespace minerva::kernels::scalar {
namespace {

#include "kernels/generic/unroll.inl.h"

#include "kernels/generic/math.inl.h"

#include "kernels/generic/vector.inl.h"

inline constexpr int kDeltaVectors = 4;
#include "kernels/generic/recurrent.inl.h"

#include "kernels/generic/quantize.inl.h"

#include "kernels/generic/attend.inl.h"

inline constexpr int kFloatPanels = 1;
inline constexpr int kFloatTokens = 4;
#include "kernels/generic/gemm_float.inl.h"

#include "kernels/generic/table.inl.h"

}  // namespace

constinit const KernelTable kTable = make_table(Isa::Scalar, "scalar");

}  // namespace minerva::kernels::scalar
