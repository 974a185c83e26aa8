// How weights and activations lie in memory while kernels work on them. The pack step (engine/)
// turns every weight type of the file formats into one of a few packed kinds, so that a kernel is
// written for a kind and not for a file's type. Plain views; nothing here owns memory.
//
// A panel is 16 rows of the weight matrix; in every plane the 16 rows lie side by side, so that a
// vector lane is a row and no kernel needs a horizontal sum. Rows are padded to 16 with zeros.
#pragma once

#include <cstddef>
#include <cstdint>

namespace minerva::kernels {

// Grows whenever the layout below changes; part of the key of everything kept on disk.
inline constexpr std::uint32_t kPackedLayoutVersion = 3;

inline constexpr std::size_t kPanelRows = 16;
inline constexpr std::size_t kBlock = 32;        // k of one scale in the Block kinds
inline constexpr std::size_t kSuperBlock = 256;  // k of one d/dmin in the Super kinds

// A weight is  scale * (code - zero)  or  scale * code - minimum;  codes are unsigned.
//
//   kind        codes   table  scales                                  weight types
//   Block4      4 bit   -      d f16 per 32                            Q4_0 (zero 8)
//   Block4Min   4 bit   -      d, m f16 per 32 (w = d*q + m)           Q4_1
//   Block4Lut   4 bit   yes    d f32 per 32                            IQ4_NL (128), MXFP4 (16)
//   Block8      8 bit   -      d f16 per 32                            Q5_0 (16), Q8_0 (128)
//   Block8Min   8 bit   -      d, m f16 per 32                         Q5_1
//   Block4Wide  4 bit   -      d, m f32 per 32                         AFFINE4
//   Block8Wide  8 bit   -      d, m f32 per 32                         AFFINE8
//   Block4Brain 4 bit   -      d, m bf16 per 32                        AFFINE4_BF16
//   Block8Brain 8 bit   -      d, m bf16 per 32                        AFFINE8_BF16
//   Super4Min   4 bit   -      d, dmin f16 per 256; s, m u8 per 32     Q4_K
//   Super4Min16 4 bit   -      the same, s and m per 16                Q2_K
//   Super4x16   4 bit   -      d f16 per 256; s i8 per 16              Q3_K (zero 4)
//   Super4Lut   4 bit   yes    d f16 per 256; s i8 per 32              IQ4_XS (zero 128)
//   Super8Min   8 bit   -      d, dmin f16 per 256; s, m u8 per 32     Q5_K
//   Super8x16   8 bit   -      d f16 per 256; s i8 per 16              Q6_K (zero 32)
//
// A table kind's code c stands for the unsigned table[c], to which `zero` applies. Bounds that keep
// every integer exact: |code - zero| <= 128 in all kinds but Block8Wide and Block8Brain, whose
// codes go to 255 with a zero of 0; codes of Block8Min, Super8Min and Super8x16 are at most 63, so
// that two products with an int8 fit 16 bits.
enum class PackedKind : std::uint8_t {
  Block4,
  Block4Min,
  Block4Lut,
  Block8,
  Block8Min,
  Super4Min,
  Super4Min16,
  Super4x16,
  Super4Lut,
  Super8Min,
  Super8x16,
  Block4Wide,
  Block8Wide,
  Block4Brain,
  Block8Brain,
};
inline constexpr PackedKind kPackedKinds[] = {
    PackedKind::Block4,      PackedKind::Block4Min,   PackedKind::Block4Lut,
    PackedKind::Block8,      PackedKind::Block8Min,   PackedKind::Super4Min,
    PackedKind::Super4Min16, PackedKind::Super4x16,   PackedKind::Super4Lut,
    PackedKind::Super8Min,   PackedKind::Super8x16,   PackedKind::Block4Wide,
    PackedKind::Block8Wide,  PackedKind::Block4Brain, PackedKind::Block8Brain,
};

// Of d and m.
enum class ScaleType : std::uint8_t { F16, Bf16, F32 };
constexpr std::size_t bytes_of(ScaleType type) { return type == ScaleType::F32 ? 4 : 2; }

// What a kind means for the code that reads it.
struct KindTraits {
  bool wide_codes;  // 8 bit
  bool super;       // Super kinds: integer sub-scales and one float step per 256
  std::size_t sub;  // k of one sub-scale: 16 or 32
  bool minimum;     // has a minimum
  bool table;       // codes go through QuantMatrix::table
  ScaleType scales = ScaleType::F16;
};
constexpr KindTraits traits(PackedKind kind) {
  switch (kind) {
    case PackedKind::Block4:
      return {false, false, 32, false, false};
    case PackedKind::Block4Min:
      return {false, false, 32, true, false};
    case PackedKind::Block4Lut:
      return {false, false, 32, false, true, ScaleType::F32};
    case PackedKind::Block8:
      return {true, false, 32, false, false};
    case PackedKind::Block8Min:
      return {true, false, 32, true, false};
    case PackedKind::Super4Min:
      return {false, true, 32, true, false};
    case PackedKind::Super4Min16:
      return {false, true, 16, true, false};
    case PackedKind::Super4x16:
      return {false, true, 16, false, false};
    case PackedKind::Super4Lut:
      return {false, true, 32, false, true};
    case PackedKind::Super8Min:
      return {true, true, 32, true, false};
    case PackedKind::Super8x16:
      return {true, true, 16, false, false};
    case PackedKind::Block4Wide:
      return {false, false, 32, true, false, ScaleType::F32};
    case PackedKind::Block8Wide:
      return {true, false, 32, true, false, ScaleType::F32};
    case PackedKind::Block4Brain:
      return {false, false, 32, true, false, ScaleType::Bf16};
    case PackedKind::Block8Brain:
      return {true, false, 32, true, false, ScaleType::Bf16};
  }
  return {};
}

// A quantised weight matrix W[rows][cols]. Planes, panel by panel (P = 0 .. rows_padded/16 - 1),
// each contiguous, 64-byte aligned:
//
//   codes   [P][cols/32][..]  8 bit: 8 x 64 B; 64 B = 16 rows x 4 k:  byte 4*row + (k % 4)
//                             4 bit: 4 x 64 B; byte 4*row + j of the g-th 64 B holds in its low
//                             nibble k = 8g + j and in its high nibble k = 8g + 4 + j
//   scales  Block kinds:      [P][cols/32][16 rows] f16, bf16 or f32
//           Super kinds:      [P][cols/256][16 rows] f16
//   minimum the same shape and type (m of Block kinds, dmin of Super kinds)
//   sub_scales  Super kinds:  [P][cols/256][256/sub][16 rows] u8 or i8
//   sub_minimum Super kinds:  the same shape, u8
struct QuantMatrix {
  PackedKind kind = PackedKind::Block8;
  std::uint32_t zero = 0;
  std::size_t rows = 0;
  std::size_t rows_padded = 0;  // a multiple of 16
  std::size_t cols = 0;         // a multiple of 32 (256 for Super kinds)
  const std::uint8_t* codes = nullptr;
  const void* scales = nullptr;
  const void* minimum = nullptr;
  const void* sub_scales = nullptr;
  const std::uint8_t* sub_minimum = nullptr;
  std::uint8_t table[16] = {};
};

// Unquantised weights: [P][cols][16 rows], of the type named.
enum class FloatKind : std::uint8_t { F32, F16, BF16 };
struct FloatMatrix {
  FloatKind kind = FloatKind::F32;
  std::size_t rows = 0;
  std::size_t rows_padded = 0;
  std::size_t cols = 0;
  const void* values = nullptr;
};

// Activations quantised to int8. `group` is 32 for the Block kinds and 256 for the Super kinds, so
// that one input may be quantised both ways.
//   q[k] = round_half_even(x[k] * (127 / amax)), scale = amax / 127 over the group.
// An amax below 2^-100 counts as 0 (its inverse would overflow): scale 0, q 0. A group that holds a
// NaN or an infinity gets the scale NaN, so that the fault shows in every output.
//
// Tokens lie in tiles of 8, so that the multiply kernel reads each tile front to back. The last
// tile is as wide as what is left; `w` is a tile's width:
//   q       [tile][cols/4][w][4]
//   scales  [tile][cols/group][w]
//   sums16  [tile][cols/16][w]     sums of q
// A single token is thus a plain row. Tokens [8i, 8j) and [8i, tokens) are views of their own: move
// each pointer by 8i times its elements a token.
inline constexpr std::size_t kTokenTile = 8;
struct Activations {
  std::size_t tokens = 0;
  std::size_t cols = 0;
  std::size_t group = kBlock;
  std::int8_t* q = nullptr;        // tokens * cols
  float* scales = nullptr;         // tokens * cols / group
  std::int32_t* sums16 = nullptr;  // tokens * cols / 16
};

}  // namespace minerva::kernels
