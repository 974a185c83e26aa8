#include "formats/dtype.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace minerva::formats {
namespace {

constexpr auto kTypes = std::to_array<DTypeInfo>({
    {DType::F32, "F32", 1, 4, true},
    {DType::F16, "F16", 1, 2, true},
    {DType::Q4_0, "Q4_0", 32, 18, true},
    {DType::Q4_1, "Q4_1", 32, 20, true},
    {DType::Q5_0, "Q5_0", 32, 22, true},
    {DType::Q5_1, "Q5_1", 32, 24, true},
    {DType::Q8_0, "Q8_0", 32, 34, true},
    // Q8_1 and Q8_K are what other engines make of activations; the sizes are those of the file
    // format's own table, which for Q8_1 counts two 32-bit scales.
    {DType::Q8_1, "Q8_1", 32, 40, false},
    {DType::Q2_K, "Q2_K", 256, 84, true},
    {DType::Q3_K, "Q3_K", 256, 110, true},
    {DType::Q4_K, "Q4_K", 256, 144, true},
    {DType::Q5_K, "Q5_K", 256, 176, true},
    {DType::Q6_K, "Q6_K", 256, 210, true},
    {DType::Q8_K, "Q8_K", 256, 292, false},
    {DType::IQ2_XXS, "IQ2_XXS", 256, 66, false},
    {DType::IQ2_XS, "IQ2_XS", 256, 74, false},
    {DType::IQ3_XXS, "IQ3_XXS", 256, 98, false},
    {DType::IQ1_S, "IQ1_S", 256, 50, false},
    {DType::IQ4_NL, "IQ4_NL", 32, 18, true},
    {DType::IQ3_S, "IQ3_S", 256, 110, false},
    {DType::IQ2_S, "IQ2_S", 256, 82, false},
    {DType::IQ4_XS, "IQ4_XS", 256, 136, true},
    {DType::I8, "I8", 1, 1, false},
    {DType::I16, "I16", 1, 2, false},
    {DType::I32, "I32", 1, 4, false},
    {DType::I64, "I64", 1, 8, false},
    {DType::F64, "F64", 1, 8, false},
    {DType::IQ1_M, "IQ1_M", 256, 56, false},
    {DType::BF16, "BF16", 1, 2, true},
    {DType::TQ1_0, "TQ1_0", 256, 54, false},
    {DType::TQ2_0, "TQ2_0", 256, 66, false},
    {DType::MXFP4, "MXFP4", 32, 17, true},
    {DType::NVFP4, "NVFP4", 64, 36, false},
    {DType::Q1_0, "Q1_0", 128, 18, false},
});
static_assert(std::ranges::is_sorted(kTypes, {}, &DTypeInfo::type));

constexpr auto kOwnTypes = std::to_array<DTypeInfo>({
    {DType::AFFINE4, "AFFINE4", 32, 24, true},
    {DType::AFFINE8, "AFFINE8", 32, 40, true},
    {DType::AFFINE4_BF16, "AFFINE4_BF16", 32, 20, true},
    {DType::AFFINE8_BF16, "AFFINE8_BF16", 32, 36, true},
});

}  // namespace

const DTypeInfo* find_dtype(std::uint32_t gguf_id) {
  const auto at =
      std::ranges::lower_bound(kTypes, static_cast<DType>(gguf_id), {}, &DTypeInfo::type);
  return at != kTypes.end() && at->type == static_cast<DType>(gguf_id) ? &*at : nullptr;
}

const DTypeInfo& dtype_info(DType type) {
  for (const DTypeInfo& own : kOwnTypes) {
    if (own.type == type) return own;
  }
  const DTypeInfo* info = find_dtype(static_cast<std::uint32_t>(type));
  MINERVA_CHECK(info != nullptr);
  return *info;
}

std::span<const DTypeInfo> all_dtypes() { return kTypes; }
std::span<const DTypeInfo> own_dtypes() { return kOwnTypes; }

}  // namespace minerva::formats
