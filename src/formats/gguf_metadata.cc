#include "formats/gguf_metadata.h"

#include "formats/gguf_bytes.h"

namespace minerva::formats {

void GgufMetadata::begin(std::string_view key, GgufType type) {
  put_string(entries_, key);
  put(entries_, type);
  ++count_;
}

void GgufMetadata::begin_array(std::string_view key, GgufType element, std::uint64_t count) {
  begin(key, GgufType::Array);
  put(entries_, element);
  put(entries_, count);
}

void GgufMetadata::add_u32(std::string_view key, std::uint32_t value) {
  begin(key, GgufType::U32);
  put(entries_, value);
}

void GgufMetadata::add_f32(std::string_view key, float value) {
  begin(key, GgufType::F32);
  put(entries_, value);
}

void GgufMetadata::add_bool(std::string_view key, bool value) {
  begin(key, GgufType::Bool);
  put(entries_, static_cast<std::uint8_t>(value ? 1 : 0));
}

void GgufMetadata::add_string(std::string_view key, std::string_view value) {
  begin(key, GgufType::String);
  put_string(entries_, value);
}

void GgufMetadata::add_strings(std::string_view key, std::span<const std::string_view> values) {
  begin_array(key, GgufType::String, values.size());
  for (const std::string_view value : values) put_string(entries_, value);
}

void GgufMetadata::add_u8s(std::string_view key, std::span<const std::byte> values) {
  begin_array(key, GgufType::U8, values.size());
  put_bytes(entries_, values);
}

void GgufMetadata::add_i32s(std::string_view key, std::span<const std::int32_t> values) {
  begin_array(key, GgufType::I32, values.size());
  put_bytes(entries_, std::as_bytes(values));
}

void GgufMetadata::add_f32s(std::string_view key, std::span<const float> values) {
  begin_array(key, GgufType::F32, values.size());
  put_bytes(entries_, std::as_bytes(values));
}

void GgufMetadata::add_bools(std::string_view key, const std::vector<bool>& values) {
  begin_array(key, GgufType::Bool, values.size());
  for (const bool value : values) put(entries_, static_cast<std::uint8_t>(value ? 1 : 0));
}

void GgufMetadata::add(std::string_view key, const GgufValue& value) {
  if (value.type == GgufType::Array) {
    begin_array(key, value.element_type, value.count);
  } else {
    begin(key, value.type);
    if (value.type == GgufType::String)
      put(entries_, static_cast<std::uint64_t>(value.bytes.size()));
  }
  put_bytes(entries_, value.bytes);
}

std::vector<std::byte> GgufMetadata::file() const {
  std::vector<std::byte> out;
  put_header(out, 0, count_);
  put_bytes(out, entries_);
  return out;
}

}  // namespace minerva::formats
