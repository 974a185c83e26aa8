#include "formats/gguf_value.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "base/log.h"
#include "formats/byte_reader.h"

namespace minerva::formats {
namespace {

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Calls `use` with the number at `at`, as its own type. False: not an integer type.
template <class Use>
bool with_integer(GgufType type, const std::byte* at, Use use) {
  switch (type) {
    case GgufType::U8:
      return use(load<std::uint8_t>(at)), true;
    case GgufType::I8:
      return use(load<std::int8_t>(at)), true;
    case GgufType::U16:
      return use(load<std::uint16_t>(at)), true;
    case GgufType::I16:
      return use(load<std::int16_t>(at)), true;
    case GgufType::U32:
      return use(load<std::uint32_t>(at)), true;
    case GgufType::I32:
      return use(load<std::int32_t>(at)), true;
    case GgufType::U64:
      return use(load<std::uint64_t>(at)), true;
    case GgufType::I64:
      return use(load<std::int64_t>(at)), true;
    default:
      return false;
  }
}

template <class To>
std::optional<To> integer_at(GgufType type, const std::byte* at) {
  std::optional<To> out;
  with_integer(type, at, [&out](auto value) { out = checked_cast<To>(value); });
  return out;
}

bool is_float(GgufType type) { return type == GgufType::F32 || type == GgufType::F64; }

double float_at(GgufType type, const std::byte* at) {
  return type == GgufType::F32 ? static_cast<double>(load<float>(at)) : load<double>(at);
}

// Long strings (a chat template, say) are cut in what a person reads.
std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 120;
  if (text.size() <= kShown) return "\"" + escape_controls(text) + "\"";
  return fmt::format("\"{}\"... ({} bytes)", escape_controls(text.substr(0, kShown)), text.size());
}

std::string describe_number(GgufType type, const std::byte* at) {
  std::string out;
  if (with_integer(type, at, [&out](auto value) { out = fmt::format("{}", +value); })) return out;
  if (type == GgufType::F32) return fmt::format("{}", load<float>(at));
  if (type == GgufType::F64) return fmt::format("{}", load<double>(at));
  return load<std::uint8_t>(at) != 0 ? "true" : "false";
}

}  // namespace

std::string_view to_string(GgufType type) {
  switch (type) {
    case GgufType::U8:
      return "u8";
    case GgufType::I8:
      return "i8";
    case GgufType::U16:
      return "u16";
    case GgufType::I16:
      return "i16";
    case GgufType::U32:
      return "u32";
    case GgufType::I32:
      return "i32";
    case GgufType::F32:
      return "f32";
    case GgufType::Bool:
      return "bool";
    case GgufType::String:
      return "string";
    case GgufType::Array:
      return "array";
    case GgufType::U64:
      return "u64";
    case GgufType::I64:
      return "i64";
    case GgufType::F64:
      return "f64";
  }
  return "unknown";
}

std::uint32_t gguf_type_bytes(GgufType type) {
  switch (type) {
    case GgufType::U8:
    case GgufType::I8:
    case GgufType::Bool:
      return 1;
    case GgufType::U16:
    case GgufType::I16:
      return 2;
    case GgufType::U32:
    case GgufType::I32:
    case GgufType::F32:
      return 4;
    case GgufType::U64:
    case GgufType::I64:
    case GgufType::F64:
      return 8;
    case GgufType::String:
    case GgufType::Array:
      return 0;
  }
  return 0;
}

std::string GgufValue::type_name() const {
  if (type != GgufType::Array) return std::string(to_string(type));
  return fmt::format("array of {}", to_string(element_type));
}

std::optional<std::uint64_t> GgufValue::as_uint() const {
  return integer_at<std::uint64_t>(type, bytes.data());
}

std::optional<std::int64_t> GgufValue::as_int() const {
  return integer_at<std::int64_t>(type, bytes.data());
}

std::optional<double> GgufValue::as_float() const {
  if (!is_float(type)) return std::nullopt;
  return float_at(type, bytes.data());
}

std::optional<bool> GgufValue::as_bool() const {
  if (type != GgufType::Bool) return std::nullopt;
  return bytes[0] != std::byte{0};
}

std::optional<std::string_view> GgufValue::as_string() const {
  if (type != GgufType::String) return std::nullopt;
  return as_text(bytes);
}

std::optional<std::vector<std::string_view>> GgufValue::as_strings() const {
  if (type != GgufType::Array || element_type != GgufType::String) return std::nullopt;
  std::vector<std::string_view> out;
  out.reserve(count);  // safe: the parser saw `count` strings of at least 8 bytes in the file
  ByteReader reader(bytes);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t length = 0;
    std::span<const std::byte> text;
    MINERVA_CHECK(reader.read(length) && reader.read_bytes(length, text));
    out.push_back(as_text(text));
  }
  return out;
}

std::optional<std::vector<float>> GgufValue::as_floats() const {
  if (type != GgufType::Array || !is_float(element_type)) return std::nullopt;
  std::vector<float> out(count);
  const std::uint32_t step = gguf_type_bytes(element_type);
  for (std::uint64_t i = 0; i < count; ++i) {
    out[i] = static_cast<float>(float_at(element_type, bytes.data() + i * step));
  }
  return out;
}

std::optional<std::vector<std::int64_t>> GgufValue::as_ints() const {
  if (type != GgufType::Array) return std::nullopt;
  const std::uint32_t step = gguf_type_bytes(element_type);
  if (step == 0 || is_float(element_type) || element_type == GgufType::Bool) return std::nullopt;
  std::vector<std::int64_t> out(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto value = integer_at<std::int64_t>(element_type, bytes.data() + i * step);
    if (!value) return std::nullopt;
    out[i] = *value;
  }
  return out;
}

std::optional<std::vector<bool>> GgufValue::as_bools() const {
  if (type != GgufType::Array || element_type != GgufType::Bool) return std::nullopt;
  std::vector<bool> out(count);
  for (std::uint64_t i = 0; i < count; ++i) out[i] = bytes[i] != std::byte{0};
  return out;
}

std::string GgufValue::describe(std::size_t items_max) const {
  if (type == GgufType::String) return quoted(as_text(bytes));
  if (type != GgufType::Array) return describe_number(type, bytes.data());
  std::string out = "[";
  ByteReader reader(bytes);
  for (std::uint64_t i = 0; i < count && i < items_max; ++i) {
    if (i != 0) out += ", ";
    std::uint64_t length = gguf_type_bytes(element_type);
    if (element_type == GgufType::String) MINERVA_CHECK(reader.read(length));
    std::span<const std::byte> item;
    MINERVA_CHECK(reader.read_bytes(length, item));
    out += element_type == GgufType::String ? quoted(as_text(item))
                                            : describe_number(element_type, item.data());
  }
  if (count > items_max) out += fmt::format(", ... {} in all", count);
  return out + "]";
}

}  // namespace minerva::formats
