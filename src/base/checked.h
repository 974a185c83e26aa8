// Arithmetic on numbers that come from outside. Every + and * on a length read from a file goes
// through here; each returns nothing when the result does not fit.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

namespace minerva {

template <std::integral T>
constexpr std::optional<T> checked_add(T a, T b) {
  T out{};
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

template <std::integral T>
constexpr std::optional<T> checked_mul(T a, T b) {
  T out{};
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

// a rounded up to a multiple of `alignment`, a power of two.
constexpr std::optional<std::uint64_t> checked_align_up(std::uint64_t a, std::uint64_t alignment) {
  const auto sum = checked_add(a, alignment - 1);
  if (!sum) return std::nullopt;
  return *sum & ~(alignment - 1);
}

// True when [offset, offset + length) lies inside [0, size). Cannot wrap.
constexpr bool in_bounds(std::uint64_t offset, std::uint64_t length, std::uint64_t size) {
  return length <= size && offset <= size - length;
}

// The value as another integer type, or nothing when it does not fit.
template <std::integral To, std::integral From>
constexpr std::optional<To> checked_cast(From value) {
  if (!std::in_range<To>(value)) return std::nullopt;
  return static_cast<To>(value);
}

}  // namespace minerva
