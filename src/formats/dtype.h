// The tensor types a GGUF file may name, with the size of their blocks. `decodable` types are those
// that dequantize() turns into floats; the others are known so that a file that holds one can be
// listed, and refused by name.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace minerva::formats {

// The numbers are those in the file.
enum class DType : std::uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q8_1 = 9,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  Q8_K = 15,
  IQ2_XXS = 16,
  IQ2_XS = 17,
  IQ3_XXS = 18,
  IQ1_S = 19,
  IQ4_NL = 20,
  IQ3_S = 21,
  IQ2_S = 22,
  IQ4_XS = 23,
  I8 = 24,
  I16 = 25,
  I32 = 26,
  I64 = 27,
  F64 = 28,
  IQ1_M = 29,
  BF16 = 30,
  TQ1_0 = 34,
  TQ2_0 = 35,
  MXFP4 = 39,
  NVFP4 = 40,
  Q1_0 = 41,
  // Of no GGUF file: what weights of other formats become in memory. Blocks of 32 that begin with a
  // scale and a minimum, F32 or BF16:  w = scale * code + minimum.  Codes of 4 bit lie as Q4_1's
  // do.
  AFFINE4 = 0x10000,
  AFFINE8 = 0x10001,
  AFFINE4_BF16 = 0x10002,
  AFFINE8_BF16 = 0x10003,
};

struct DTypeInfo {
  DType type;
  std::string_view name;
  std::uint32_t block;        // weights in a block
  std::uint32_t block_bytes;  // bytes of a block
  bool decodable;
};

// nullptr when no GGUF file may say this id.
const DTypeInfo* find_dtype(std::uint32_t gguf_id);
// For the enumerators above only.
const DTypeInfo& dtype_info(DType type);
// Those of GGUF files, in ascending order of id.
std::span<const DTypeInfo> all_dtypes();
// Those of no GGUF file.
std::span<const DTypeInfo> own_dtypes();

}  // namespace minerva::formats
