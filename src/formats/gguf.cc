#include "formats/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "formats/dequantize.h"
#include "formats/gguf_parser.h"

namespace minerva::formats {
namespace {

constexpr std::string_view kSplitNo = "split.no";
constexpr std::string_view kSplitCount = "split.count";
constexpr std::string_view kSplitTensorsCount = "split.tensors.count";

// The path of part `number` (from 1) of `count`, when `path` is named as parts are:
// <prefix>-00001-of-00003.gguf.
std::optional<std::string> part_path(const std::string& path, std::uint64_t number,
                                     std::uint64_t count) {
  constexpr std::size_t kTail = std::string_view("-00001-of-00003.gguf").size();
  const std::string end = fmt::format("-of-{:05}.gguf", count);
  if (path.size() < kTail || !path.ends_with(end)) return std::nullopt;
  return path.substr(0, path.size() - kTail) + fmt::format("-{:05}", number) + end;
}

// A split.* number; absent means 0.
Result<std::uint64_t> split_number(const GgufPart& part, std::string_view key) {
  const GgufKeyValue* entry = find_key(part.metadata, part.keys_sorted, key);
  if (entry == nullptr) return 0;
  const auto value = entry->value.as_uint();
  if (value) return *value;
  return fail(ErrorCode::InvalidModel,
              fmt::format("metadata \"{}\" must be an integer from 0, it is {} ({})", key,
                          entry->value.describe(), entry->value.type_name()),
              std::string(key));
}

Result<std::uint64_t> split_number(const GgufFile& file, std::string_view key) {
  return file.get_uint_or(key, 0);
}

// One getter for all types: `convert` gives nothing when the value does not suit.
template <class Convert>
auto get(const GgufFile& file, std::string_view key, std::string_view expected, Convert convert)
    -> Result<typename decltype(convert(std::declval<const GgufValue&>()))::value_type> {
  const auto where = [&file] { return file.path().empty() ? "" : " in " + file.path(); };
  const GgufValue* value = file.find(key);
  if (value == nullptr) {
    return fail(ErrorCode::NotFound,
                fmt::format("metadata \"{}\" ({}) is missing{}", key, expected, where()),
                std::string(key));
  }
  auto converted = convert(*value);
  if (converted) return *std::move(converted);
  return fail(ErrorCode::InvalidModel,
              fmt::format("metadata \"{}\" must be {}, it is {} ({}){}", key, expected,
                          value->describe(), value->type_name(), where()),
              std::string(key));
}

template <class T>
Result<T> or_else(const GgufFile& file, std::string_view key, T fallback, Result<T> found) {
  if (!found && !file.has(key)) return fallback;
  return found;
}

// The message is short enough that its string allocates nothing.
std::unexpected<Error> out_of_memory() { return fail(ErrorCode::OutOfMemory, "out of memory"); }

}  // namespace

std::string GgufTensor::shape() const {
  std::string out;
  for (std::uint32_t d = 0; d < n_dims; ++d) out += fmt::format("{}{}", d == 0 ? "" : "x", dims[d]);
  return out;
}

std::uint64_t GgufTensor::row_bytes() const {
  const DTypeInfo& info = dtype_info(type);
  return dims[0] / info.block * info.block_bytes;
}

Result<TensorBytes> read_rows(const GgufTensor& tensor, std::uint64_t first,
                              std::uint64_t count) try {
  MINERVA_CHECK(first <= tensor.row_count() && count <= tensor.row_count() - first);
  const std::uint64_t row = tensor.row_bytes();
  TensorBytes out;
  if (tensor.rows == nullptr) {
    out.bytes = tensor.data.subspan(first * row, count * row);
    return out;
  }
  out.owned.resize(count * row);
  tensor.rows->read(first, out.owned);
  out.bytes = out.owned;
  return out;
} catch (const std::bad_alloc&) {
  return out_of_memory();
}

Result<TensorBytes> read_tensor(const GgufTensor& tensor) {
  return read_rows(tensor, 0, tensor.row_count());
}

void dequantize_row(const GgufTensor& tensor, std::uint64_t row, float* out) {
  MINERVA_CHECK(row < tensor.row_count());
  const std::uint64_t bytes = tensor.row_bytes();
  if (tensor.rows == nullptr) {
    dequantize(tensor.type, tensor.data.data() + row * bytes, out, tensor.dims[0]);
    return;
  }
  std::vector<std::byte> made(bytes);
  tensor.rows->read(row, made);
  dequantize(tensor.type, made.data(), out, tensor.dims[0]);
}

Result<std::shared_ptr<const GgufFile>> GgufFile::open(const std::string& path) try {
  MINERVA_ASSIGN(auto mapping, MappedFile::open(path));
  std::shared_ptr<GgufFile> file(new GgufFile());
  file->path_ = path;
  const auto bytes = mapping->bytes();
  file->mappings_.push_back(std::move(mapping));
  file->shard_paths_.push_back(path);
  if (auto added = file->add_part(bytes); !added) {
    return fail(std::move(added).error().in(path));
  }
  MINERVA_ASSIGN(const std::uint64_t count, split_number(*file, kSplitCount));
  if (count > 1) MINERVA_TRY(file->add_shards(count));
  if (auto finished = file->finish(); !finished) {
    return fail(std::move(finished).error().in(path));
  }
  return file;
} catch (const std::bad_alloc&) {
  return out_of_memory();
}

Result<std::shared_ptr<const GgufFile>> GgufFile::parse(std::vector<std::byte> bytes) try {
  std::shared_ptr<GgufFile> file(new GgufFile());
  file->memory_ = std::move(bytes);
  MINERVA_TRY(file->add_part(file->memory_));
  MINERVA_ASSIGN(const std::uint64_t count, split_number(*file, kSplitCount));
  if (count > 1) {
    return fail(
        ErrorCode::InvalidModel,
        fmt::format("this is one of {} parts of a split model; the others are needed too", count),
        std::string(kSplitCount));
  }
  MINERVA_TRY(file->finish());
  return file;
} catch (const std::bad_alloc&) {
  return out_of_memory();
}

namespace {

Result<void> check_made(const GgufTensor& tensor) {
  const auto refuse = [&](std::string_view what) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("tensor \"{}\" ({}): {}", shown(tensor.name), tensor.shape(), what),
                std::string(shown(tensor.name)));
  };
  if (tensor.n_dims < 1 || tensor.n_dims > kGgufDimsMax) return refuse("1 to 4 dimensions");
  std::optional<std::uint64_t> elements = 1;
  for (std::uint32_t d = 0; d < kGgufDimsMax && elements; ++d) {
    if (tensor.dims[d] == 0 || (d >= tensor.n_dims && tensor.dims[d] != 1))
      return refuse("a dimension is 0");
    elements = checked_mul(*elements, tensor.dims[d]);
  }
  const DTypeInfo& info = dtype_info(tensor.type);
  // No block takes more than 8 bytes a weight.
  if (!elements || *elements > (std::uint64_t{1} << 59)) return refuse("too many weights");
  if (tensor.dims[0] % info.block != 0) {
    return refuse(
        fmt::format("its rows must be a multiple of {} long for {}", info.block, info.name));
  }
  if (tensor.rows == nullptr && tensor.data.size() != tensor.bytes()) {
    return refuse(
        fmt::format("{} bytes are there, {} are needed", tensor.data.size(), tensor.bytes()));
  }
  if (tensor.rows != nullptr && tensor.n_dims < 2)
    return refuse("one dimension, and not in memory");
  return {};
}

}  // namespace

Result<std::shared_ptr<const GgufFile>> GgufFile::assemble(GgufParts parts) try {
  std::shared_ptr<GgufFile> file(new GgufFile());
  file->path_ = std::move(parts.path);
  file->memory_ = std::move(parts.metadata);
  MINERVA_TRY(file->add_part(file->memory_));
  for (const GgufTensor& tensor : parts.tensors) {
    if (auto checked = check_made(tensor); !checked) {
      return fail(std::move(checked).error().in(file->path_));
    }
  }
  if (parts.tensors.size() > kGgufTensorCountMax) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}: {} tensors, at most {} are allowed", file->path_,
                            parts.tensors.size(), kGgufTensorCountMax));
  }
  file->tensors_ = std::move(parts.tensors);
  file->mappings_ = std::move(parts.mappings);
  file->rows_ = std::move(parts.rows);
  file->made_ = std::move(parts.memory);
  file->total_bytes_ = 0;
  for (const auto& mapping : file->mappings_) {
    file->total_bytes_ += mapping->bytes().size();
    file->shard_paths_.push_back(mapping->path());
  }
  MINERVA_TRY(file->finish());
  return file;
} catch (const std::bad_alloc&) {
  return out_of_memory();
}

// The first part brings the metadata, the others only tensors.
Result<void> GgufFile::add_part(std::span<const std::byte> bytes) {
  MINERVA_ASSIGN(GgufPart part, parse_gguf(bytes));
  if (version_ == 0) {
    version_ = part.version;
    metadata_ = std::move(part.metadata);
    keys_sorted_ = std::move(part.keys_sorted);
    tensors_ = std::move(part.tensors);
  } else {
    MINERVA_ASSIGN(const std::uint64_t number, split_number(part, kSplitNo));
    MINERVA_ASSIGN(const std::uint64_t count, split_number(part, kSplitCount));
    MINERVA_ASSIGN(const std::uint64_t expected_count, split_number(*this, kSplitCount));
    const std::size_t expected = shard_paths_.size() - 1;
    if (number != expected || count != expected_count) {
      return fail(
          ErrorCode::InvalidModel,
          fmt::format("split.no is {} of {}, expected {} of {}: a part of another model, or "
                      "renamed",
                      number, count, expected, expected_count),
          std::string(kSplitNo));
    }
    std::ranges::move(part.tensors, std::back_inserter(tensors_));
  }
  std::ranges::move(part.warnings, std::back_inserter(warnings_));
  total_bytes_ += bytes.size();
  return {};
}

Result<void> GgufFile::add_shards(std::uint64_t count) {
  MINERVA_ASSIGN(const std::uint64_t number, split_number(*this, kSplitNo));
  const auto first = part_path(path_, 1, count);
  if (number != 0) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} is part {} of {} of a split model; open the first part, {}", path_,
                            number, count, first.value_or("...-00001-of-0000N.gguf")),
                std::string(kSplitNo));
  }
  if (first != path_) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} is the first of {} parts, but is not named as parts must be: "
                            "<name>-00001-of-{:05}.gguf",
                            path_, count, count),
                std::string(kSplitCount));
  }
  for (std::uint64_t i = 1; i < count; ++i) {
    const std::string path = *part_path(path_, i + 1, count);
    auto mapping = MappedFile::open(path);
    if (!mapping) {
      return fail(
          std::move(mapping).error().in(fmt::format("part {} of {} of {}", i + 1, count, path_)));
    }
    const auto bytes = (*mapping)->bytes();
    mappings_.push_back(*std::move(mapping));
    shard_paths_.push_back(path);
    if (auto added = add_part(bytes); !added) return fail(std::move(added).error().in(path));
  }
  MINERVA_ASSIGN(const std::uint64_t declared, get_uint_or(kSplitTensorsCount, tensors_.size()));
  if (declared != tensors_.size()) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{}: split.tensors.count is {}, but the {} parts hold {} tensors",
                            path_, declared, count, tensors_.size()),
                std::string(kSplitTensorsCount));
  }
  return {};
}

Result<void> GgufFile::finish() {
  MINERVA_ASSIGN(names_sorted_, sort_tensor_names(tensors_));
  return {};
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const GgufKeyValue* entry = find_key(metadata_, keys_sorted_, key);
  return entry == nullptr ? nullptr : &entry->value;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto at = std::ranges::lower_bound(names_sorted_, name, {}, [this](std::uint32_t i) {
    return std::string_view(tensors_[i].name);
  });
  return at != names_sorted_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

Result<std::uint64_t> GgufFile::get_uint(std::string_view key) const {
  return get(*this, key, "an integer from 0", [](const GgufValue& v) { return v.as_uint(); });
}
Result<std::int64_t> GgufFile::get_int(std::string_view key) const {
  return get(*this, key, "an integer", [](const GgufValue& v) { return v.as_int(); });
}
Result<double> GgufFile::get_float(std::string_view key) const {
  return get(*this, key, "a float", [](const GgufValue& v) { return v.as_float(); });
}
Result<bool> GgufFile::get_bool(std::string_view key) const {
  return get(*this, key, "a bool", [](const GgufValue& v) { return v.as_bool(); });
}
Result<std::string_view> GgufFile::get_string(std::string_view key) const {
  return get(*this, key, "a string", [](const GgufValue& v) { return v.as_string(); });
}
Result<std::vector<std::string_view>> GgufFile::get_strings(std::string_view key) const {
  return get(*this, key, "an array of strings", [](const GgufValue& v) { return v.as_strings(); });
}
Result<std::vector<float>> GgufFile::get_floats(std::string_view key) const {
  return get(*this, key, "an array of floats", [](const GgufValue& v) { return v.as_floats(); });
}
Result<std::vector<std::int64_t>> GgufFile::get_ints(std::string_view key) const {
  return get(*this, key, "an array of integers", [](const GgufValue& v) { return v.as_ints(); });
}
Result<std::vector<bool>> GgufFile::get_bools(std::string_view key) const {
  return get(*this, key, "an array of bools", [](const GgufValue& v) { return v.as_bools(); });
}

Result<std::uint64_t> GgufFile::get_uint_or(std::string_view key, std::uint64_t fallback) const {
  return or_else(*this, key, fallback, get_uint(key));
}
Result<double> GgufFile::get_float_or(std::string_view key, double fallback) const {
  return or_else(*this, key, fallback, get_float(key));
}
Result<bool> GgufFile::get_bool_or(std::string_view key, bool fallback) const {
  return or_else(*this, key, fallback, get_bool(key));
}
Result<std::string_view> GgufFile::get_string_or(std::string_view key,
                                                 std::string_view fallback) const {
  return or_else(*this, key, fallback, get_string(key));
}

void GgufFile::forget(std::span<const std::byte> bytes) const {
  // Each ignores what is not its own.
  for (const auto& mapping : mappings_) mapping->forget(bytes);
}

void GgufFile::forget(const GgufTensor& tensor) const {
  if (tensor.rows == nullptr) return forget(tensor.data);
  for (const auto& source : tensor.rows->sources()) forget(source);
}

bool GgufFile::intact() const {
  for (const auto& mapping : mappings_) {
    if (!mapping->intact()) return false;
  }
  return true;
}

}  // namespace minerva::formats
