// Typed reading of JSON fields. No number of a request becomes a C++ number anywhere else: every
// refusal names the field and what it accepts. Integers may be written as 3 or 3.0 (some clients
// only have floats), but not past 2^53, where a float no longer says which integer it means.
// Strings never count as numbers, nor 0 and 1 as booleans. Pure functions; any thread.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "wire/json_guard.h"

namespace minerva::wire {

// An accepted range; both ends belong to it unless `above_min`.
template <class T>
struct Range {
  T min;
  T max;
  bool above_min = false;
};

// What the value is, for a message: `a string ("abc")`, `-3`, `an object`.
std::string describe(const Json& value);

// "FIELD must be WANTED, got VALUE".
std::unexpected<Error> wrong_value(std::string_view field, std::string_view wanted,
                                   const Json& value);

// The value as a mathematical integer, where it is one and fits either type.
struct JsonInteger {
  bool negative = false;
  std::uint64_t bits = 0;  // two's complement where negative
};
std::optional<JsonInteger> exact_integer(const Json& value);

Result<double> bounded_double(const Json& value, std::string_view field, Range<double> range);
// The range holds for the value as a float too: 1e-60 is not above 0.
Result<float> bounded_float(const Json& value, std::string_view field, Range<double> range);
std::unexpected<Error> outside_range(const Json& value, std::string_view field,
                                     std::string_view min, std::string_view max);

template <std::integral T>
Result<T> bounded(const Json& value, std::string_view field, Range<T> range) {
  const auto integer = exact_integer(value);
  if (integer) {
    if (integer->negative) {
      const auto number = static_cast<std::int64_t>(integer->bits);
      if (std::in_range<T>(number)) {
        const T out = static_cast<T>(number);
        if (out >= range.min && out <= range.max) return out;
      }
    } else if (std::in_range<T>(integer->bits)) {
      const T out = static_cast<T>(integer->bits);
      if (out >= range.min && out <= range.max) return out;
    }
  }
  return outside_range(value, field, std::to_string(range.min), std::to_string(range.max));
}

Result<bool> boolean(const Json& value, std::string_view field);
// At most `bytes_max` bytes.
Result<std::string> string(const Json& value, std::string_view field, std::size_t bytes_max);
Result<void> must_be_object(const Json& value, std::string_view field);
Result<void> must_be_array(const Json& value, std::string_view field);

// The member, unless it is missing or null: null everywhere asks for nothing.
const Json* find(const Json& object, std::string_view key);

}  // namespace minerva::wire
