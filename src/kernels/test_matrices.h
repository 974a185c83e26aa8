// Random packed matrices and activations for the tests and benches of this room.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <new>
#include <random>
#include <string_view>
#include <vector>

#include "kernels/kernel_table.h"
#include "kernels/packed.h"

namespace minerva::kernels {

inline std::string_view kind_name(PackedKind kind) {
  static constexpr std::string_view kNames[] = {
      "Block4",    "Block4Min",   "Block4Lut",  "Block8",      "Block8Min",
      "Super4Min", "Super4Min16", "Super4x16",  "Super4Lut",   "Super8Min",
      "Super8x16", "Block4Wide",  "Block8Wide", "Block4Brain", "Block8Brain"};
  return kNames[static_cast<std::size_t>(kind)];
}

// A positive f16 between 2^-10 and 2^-6, with `sign`.
inline std::uint16_t small_half(std::mt19937& rng) {
  return static_cast<std::uint16_t>((5U << 10) + rng() % (4U << 10) + (rng() % 2 << 15));
}

// The same of a bf16.
inline std::uint16_t small_bfloat16(std::mt19937& rng) {
  return static_cast<std::uint16_t>((117U << 7) + rng() % (4U << 7) + (rng() % 2 << 15));
}

// A 64-byte aligned plane.
template <class T>
class Plane {
 public:
  Plane() = default;
  explicit Plane(std::size_t n) : values_(n + 64 / sizeof(T)) {}
  T* data() {
    const auto at = reinterpret_cast<std::uintptr_t>(values_.data());
    return values_.data() + (64 - at % 64) % 64 / sizeof(T);
  }

 private:
  std::vector<T> values_;
};

// Owns a matrix of a kind, every code value of which occurs.
struct RandomQuantMatrix {
  RandomQuantMatrix(PackedKind kind, std::size_t rows, std::size_t cols, std::mt19937& rng) {
    const KindTraits k = traits(kind);
    m.kind = kind;
    m.rows = rows;
    m.rows_padded = (rows + kPanelRows - 1) / kPanelRows * kPanelRows;
    m.cols = cols;
    m.zero = kind == PackedKind::Block4      ? 8
             : kind == PackedKind::Block8    ? 128
             : k.table                       ? 128
             : kind == PackedKind::Super4x16 ? 4
             : kind == PackedKind::Super8x16 ? 32
                                             : 0;
    const std::size_t weights = m.rows_padded * cols;
    codes = Plane<std::uint8_t>(k.wide_codes ? weights : weights / 2);
    const bool any = kind == PackedKind::Block8 || kind == PackedKind::Block8Wide ||
                     kind == PackedKind::Block8Brain;
    const unsigned largest = any || !k.wide_codes ? 255 : 63;
    for (std::size_t i = 0; i < (k.wide_codes ? weights : weights / 2); ++i) {
      codes.data()[i] = static_cast<std::uint8_t>(rng() & largest);
    }
    m.codes = codes.data();
    const std::size_t groups = m.rows_padded * (cols / (k.super ? kSuperBlock : kBlock));
    scales = Plane<std::uint16_t>(groups);
    wide_scales = Plane<float>(groups);
    wide_minimum = Plane<float>(groups);
    minimum = Plane<std::uint16_t>(groups);
    for (std::size_t i = 0; i < groups; ++i) {
      scales.data()[i] = small_half(rng);
      minimum.data()[i] = small_half(rng);
      if (k.scales == ScaleType::Bf16) {
        scales.data()[i] = small_bfloat16(rng);
        minimum.data()[i] = small_bfloat16(rng);
      }
      wide_scales.data()[i] = static_cast<float>(rng() % 1000) * 1e-5F - 0.005F;
      wide_minimum.data()[i] = static_cast<float>(rng() % 1000) * 1e-3F - 0.5F;
    }
    const bool wide = k.scales == ScaleType::F32;
    m.scales = wide ? static_cast<const void*>(wide_scales.data()) : scales.data();
    if (k.minimum)
      m.minimum = wide ? static_cast<const void*>(wide_minimum.data()) : minimum.data();
    if (k.super) {
      const std::size_t subs = m.rows_padded * (cols / k.sub);
      sub_scales = Plane<std::uint8_t>(subs);
      sub_minimum = Plane<std::uint8_t>(subs);
      for (std::size_t i = 0; i < subs; ++i) {
        // Unsigned ones are at most 63; signed ones may be any byte.
        sub_scales.data()[i] = static_cast<std::uint8_t>(rng() & (k.minimum ? 63U : 255U));
        sub_minimum.data()[i] = static_cast<std::uint8_t>(rng() & 63U);
      }
      m.sub_scales = sub_scales.data();
      if (k.minimum) m.sub_minimum = sub_minimum.data();
    }
    for (std::uint8_t& entry : m.table) entry = static_cast<std::uint8_t>(rng());
    m.table[3] = 0;    // -128
    m.table[7] = 255;  // 127
  }

  QuantMatrix m;
  Plane<std::uint8_t> codes, sub_scales, sub_minimum;
  Plane<std::uint16_t> scales, minimum;
  Plane<float> wide_scales, wide_minimum;
};

inline std::vector<float> random_floats(std::size_t n, std::mt19937& rng, float deviation = 1) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> out(n);
  for (float& v : out) v = normal(rng);
  return out;
}

struct OwnedActivations {
  OwnedActivations(std::size_t tokens, std::size_t cols, std::size_t group)
      : q(tokens * cols), scales(tokens * (cols / group)), sums(tokens * (cols / 16)) {
    view = {tokens, cols, group, q.data(), scales.data(), sums.data()};
  }
  std::vector<std::int8_t> q;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;
  Activations view;
};

// Every table that this processor can run; the scalar one first.
inline std::vector<const KernelTable*> tables_here() {
  std::vector<const KernelTable*> out;
  for (const Isa isa : {Isa::Scalar, Isa::Avx2, Isa::Avx512}) {
    if (const KernelTable* table = find_kernels(isa)) out.push_back(table);
  }
  return out;
}

}  // namespace minerva::kernels
