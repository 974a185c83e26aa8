// One metadata value of a GGUF file: a type and a view of its bytes in the file. Nothing is copied,
// so it is valid as long as the file it came from; the parser has checked every length, so no
// accessor can read past it. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace minerva::formats {

// The numbers are those in the file.
enum class GgufType : std::uint32_t {
  U8 = 0,
  I8 = 1,
  U16 = 2,
  I16 = 3,
  U32 = 4,
  I32 = 5,
  F32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  U64 = 10,
  I64 = 11,
  F64 = 12,
};
inline constexpr std::uint32_t kGgufTypeCount = 13;

std::string_view to_string(GgufType type);
// Bytes of one value; 0 for String and Array, whose size is in the file.
std::uint32_t gguf_type_bytes(GgufType type);

struct GgufValue {
  GgufType type;
  GgufType element_type;  // of an Array; otherwise `type` again
  std::uint64_t count;    // elements of an Array; otherwise 1
  // Little endian and unaligned. A String: its characters. An Array: its elements as in the file
  // (strings with their 8-byte lengths).
  std::span<const std::byte> bytes;

  // "array of string", for messages.
  std::string type_name() const;

  // Nothing when the type is another, or the number does not fit.
  std::optional<std::uint64_t> as_uint() const;  // any integer type
  std::optional<std::int64_t> as_int() const;    // any integer type
  std::optional<double> as_float() const;        // F32 or F64
  std::optional<bool> as_bool() const;
  std::optional<std::string_view> as_string() const;
  std::optional<std::vector<std::string_view>> as_strings() const;
  std::optional<std::vector<float>> as_floats() const;       // of F32 or F64
  std::optional<std::vector<std::int64_t>> as_ints() const;  // of any integer type
  std::optional<std::vector<bool>> as_bools() const;

  // One line for a person: control characters escaped, long strings cut, at most `items_max`
  // elements of an array and then their number.
  std::string describe(std::size_t items_max = 8) const;
};

struct GgufKeyValue {
  std::string_view key;
  GgufValue value;
};

}  // namespace minerva::formats
