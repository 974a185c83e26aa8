// The integer half of the quantised product, as plain C++.
#pragma once

#include "kernels/packed.h"
#include "kernels/scalar/lanes.h"

namespace minerva::kernels::scalar {
namespace {

struct I16 {
  std::int32_t lane[16];
};

inline I16 splat_integer(std::int32_t a) {
  I16 out;
  for (int i = 0; i < 16; ++i) out.lane[i] = a;
  return out;
}
template <class Byte>  // std::uint8_t or std::int8_t
inline I16 load_bytes(const Byte* from) {
  I16 out;
  for (int i = 0; i < 16; ++i) out.lane[i] = from[i];
  return out;
}
// a * b + c, which the callers keep within 32 bits.
inline I16 multiply_add(I16 a, I16 b, I16 c) {
  for (int i = 0; i < 16; ++i) c.lane[i] += a.lane[i] * b.lane[i];
  return c;
}
inline V16 to_float(I16 a) {
  return each_lane([&](int i) { return static_cast<float>(a.lane[i]); });
}

// Four activations that multiply the four codes of every row.
struct Four {
  std::int32_t x[4];
};
inline Four load_four(const std::int8_t* from) { return {{from[0], from[1], from[2], from[3]}}; }

struct Codes {
  std::int32_t value[64];
};

// Turns packed codes of one block into the values that are multiplied.
template <PackedKind kind>
struct CodeReader {
  explicit CodeReader(const QuantMatrix& w) : table(w.table) {}

  // Codes of k = 4 group .. 4 group + 3 of the block, 16 rows.
  template <int group>
  Codes read(const std::uint8_t* block) const {
    Codes out;
    if constexpr (traits(kind).wide_codes) {
      for (int i = 0; i < 64; ++i) out.value[i] = block[64 * group + i];
    } else {
      for (int i = 0; i < 64; ++i) {
        out.value[i] = (block[64 * (group / 2) + i] >> (4 * (group % 2))) & 15;
        if constexpr (traits(kind).table) out.value[i] = table[out.value[i]];
      }
    }
    return out;
  }

  const std::uint8_t* table;
};

// What reading takes off the codes of a kind with a minimum, which the caller gives back.
template <PackedKind>
inline constexpr std::int32_t kCodeShift = 0;

// One row's running sum of (code - zero) * activation; start = -zero * sum(activations).
template <PackedKind kind>
struct SubSum {
  void start(std::int32_t at) { sum = splat_integer(at); }
  void dot(const Codes& codes, Four x) {
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < 4; ++j) sum.lane[i] += codes.value[4 * i + j] * x.x[j];
    }
  }
  I16 total(std::int32_t) const { return sum; }
  I16 sum;
};

// Panels and tokens of one register tile (gemm_quant.inl.h); bytes to fetch ahead of the codes.
inline constexpr int kTilePanels = 1;
inline constexpr int kTileTokens = 1;
inline constexpr std::size_t kPrefetchBytes = 0;

}  // namespace
}  // namespace minerva::kernels::scalar
