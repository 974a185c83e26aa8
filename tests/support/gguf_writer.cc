#include "support/gguf_writer.h"

#include <stdlib.h>

#include <fstream>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace minerva::test {

using formats::DType;
using formats::GgufType;

void append_text(std::vector<std::byte>& out, std::string_view text) {
  const auto* at = reinterpret_cast<const std::byte*>(text.data());
  out.insert(out.end(), at, at + text.size());
}

void append_string(std::vector<std::byte>& out, std::string_view text) {
  append(out, static_cast<std::uint64_t>(text.size()));
  append_text(out, text);
}

GgufWriter& GgufWriter::add_raw(std::string_view key, std::uint32_t type_id, Bytes value) {
  entries_.push_back({std::string(key), type_id, std::move(value)});
  return *this;
}

template <class T>
GgufWriter& GgufWriter::add_scalar(std::string_view key, GgufType type, T value) {
  Bytes bytes;
  append(bytes, value);
  return add_raw(key, static_cast<std::uint32_t>(type), std::move(bytes));
}

template <class T>
GgufWriter& GgufWriter::add_array(std::string_view key, GgufType type, std::span<const T> values) {
  Bytes bytes;
  append(bytes, type);
  append(bytes, static_cast<std::uint64_t>(values.size()));
  for (const T& value : values) append(bytes, value);
  return add_raw(key, static_cast<std::uint32_t>(GgufType::Array), std::move(bytes));
}

GgufWriter& GgufWriter::add_u8(std::string_view key, std::uint8_t value) {
  return add_scalar(key, GgufType::U8, value);
}
GgufWriter& GgufWriter::add_i8(std::string_view key, std::int8_t value) {
  return add_scalar(key, GgufType::I8, value);
}
GgufWriter& GgufWriter::add_u16(std::string_view key, std::uint16_t value) {
  return add_scalar(key, GgufType::U16, value);
}
GgufWriter& GgufWriter::add_i16(std::string_view key, std::int16_t value) {
  return add_scalar(key, GgufType::I16, value);
}
GgufWriter& GgufWriter::add_u32(std::string_view key, std::uint32_t value) {
  return add_scalar(key, GgufType::U32, value);
}
GgufWriter& GgufWriter::add_i32(std::string_view key, std::int32_t value) {
  return add_scalar(key, GgufType::I32, value);
}
GgufWriter& GgufWriter::add_u64(std::string_view key, std::uint64_t value) {
  return add_scalar(key, GgufType::U64, value);
}
GgufWriter& GgufWriter::add_i64(std::string_view key, std::int64_t value) {
  return add_scalar(key, GgufType::I64, value);
}
GgufWriter& GgufWriter::add_f32(std::string_view key, float value) {
  return add_scalar(key, GgufType::F32, value);
}
GgufWriter& GgufWriter::add_f64(std::string_view key, double value) {
  return add_scalar(key, GgufType::F64, value);
}
GgufWriter& GgufWriter::add_bool(std::string_view key, bool value) {
  return add_scalar(key, GgufType::Bool, static_cast<std::uint8_t>(value ? 1 : 0));
}
GgufWriter& GgufWriter::add_string(std::string_view key, std::string_view value) {
  Bytes bytes;
  append_string(bytes, value);
  return add_raw(key, static_cast<std::uint32_t>(GgufType::String), std::move(bytes));
}
GgufWriter& GgufWriter::add_strings(std::string_view key, std::span<const std::string> values) {
  Bytes bytes;
  append(bytes, GgufType::String);
  append(bytes, static_cast<std::uint64_t>(values.size()));
  for (const std::string& value : values) append_string(bytes, value);
  return add_raw(key, static_cast<std::uint32_t>(GgufType::Array), std::move(bytes));
}
GgufWriter& GgufWriter::add_f32s(std::string_view key, std::span<const float> values) {
  return add_array(key, GgufType::F32, values);
}
GgufWriter& GgufWriter::add_i32s(std::string_view key, std::span<const std::int32_t> values) {
  return add_array(key, GgufType::I32, values);
}
GgufWriter& GgufWriter::add_bools(std::string_view key, const std::vector<bool>& values) {
  std::vector<std::uint8_t> bytes;
  for (const bool value : values) bytes.push_back(value ? 1 : 0);
  return add_array(key, GgufType::Bool, std::span<const std::uint8_t>(bytes));
}
GgufWriter& GgufWriter::add_u32s(std::string_view key, std::span<const std::uint32_t> values) {
  return add_array(key, GgufType::U32, values);
}

GgufWriter& GgufWriter::remove(std::string_view key) {
  std::erase_if(entries_, [key](const Entry& entry) { return entry.key == key; });
  return *this;
}

GgufWriter& GgufWriter::remove_tensor(std::string_view name) {
  std::erase_if(tensors_, [name](const Tensor& tensor) { return tensor.name == name; });
  return *this;
}

GgufWriter& GgufWriter::add_tensor(std::string_view name, DType type,
                                   std::span<const std::uint64_t> dims, Bytes data) {
  tensors_.push_back({std::string(name),
                      static_cast<std::uint32_t>(type),
                      static_cast<std::uint32_t>(dims.size()),
                      {dims.begin(), dims.end()},
                      std::nullopt,
                      std::move(data)});
  return *this;
}

GgufWriter& GgufWriter::add_f32_tensor(std::string_view name, std::span<const std::uint64_t> dims,
                                       std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return add_tensor(name, DType::F32, dims, {bytes.begin(), bytes.end()});
}

GgufWriter& GgufWriter::with_type_id(std::uint32_t type_id) {
  tensors_.back().type_id = type_id;
  return *this;
}
GgufWriter& GgufWriter::with_dim_count(std::uint32_t count) {
  tensors_.back().dim_count = count;
  return *this;
}
GgufWriter& GgufWriter::with_offset(std::uint64_t offset) {
  tensors_.back().offset_override = offset;
  return *this;
}

GgufWriter& GgufWriter::set_alignment(std::uint32_t alignment) {
  alignment_ = alignment;
  return add_u32("general.alignment", alignment);
}
GgufWriter& GgufWriter::set_version(std::uint32_t version) {
  version_ = version;
  return *this;
}

GgufWriter::Bytes GgufWriter::bytes() const {
  // A lying alignment still needs some layout.
  const std::uint64_t align = alignment_ != 0 && alignment_ <= 4096 ? alignment_ : 32;
  const auto pad = [align](Bytes& out) { out.resize((out.size() + align - 1) / align * align); };
  Bytes out;
  append_text(out, "GGUF");
  append(out, version_);
  append(out, tensor_count_override.value_or(tensors_.size()));
  append(out, metadata_count_override.value_or(entries_.size()));
  for (const Entry& entry : entries_) {
    append_string(out, entry.key);
    append(out, entry.type_id);
    out.insert(out.end(), entry.value.begin(), entry.value.end());
  }
  Bytes data;
  for (const Tensor& tensor : tensors_) {
    append_string(out, tensor.name);
    append(out, tensor.dim_count);
    for (const std::uint64_t dim : tensor.dims) append(out, dim);
    append(out, tensor.type_id);
    append(out, tensor.offset_override.value_or(data.size()));
    data.insert(data.end(), tensor.data.begin(), tensor.data.end());
    pad(data);
  }
  if (!tensors_.empty()) pad(out);
  out.insert(out.end(), data.begin(), data.end());
  return out;
}

std::vector<GgufWriter::Bytes> GgufWriter::shards(std::uint16_t count) const {
  std::vector<Bytes> out;
  for (std::uint16_t i = 0; i < count; ++i) {
    GgufWriter part;
    part.version_ = version_;
    part.alignment_ = alignment_;
    if (i == 0) part.entries_ = entries_;
    if (i != 0 && alignment_ != 32) part.set_alignment(static_cast<std::uint32_t>(alignment_));
    part.add_u16("split.no", i);
    part.add_u16("split.count", count);
    part.add_i32("split.tensors.count", static_cast<std::int32_t>(tensors_.size()));
    const std::size_t begin = tensors_.size() * i / count;
    const std::size_t end = tensors_.size() * (i + 1u) / count;
    for (std::size_t t = begin; t < end; ++t) part.tensors_.push_back(tensors_[t]);
    out.push_back(part.bytes());
  }
  return out;
}

std::filesystem::path shard_path(const std::filesystem::path& folder, std::string_view prefix,
                                 unsigned number, unsigned count) {
  return folder / fmt::format("{}-{:05}-of-{:05}.gguf", prefix, number, count);
}

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path.string());
}

TempFolder::TempFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "minerva-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  path_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace minerva::test
