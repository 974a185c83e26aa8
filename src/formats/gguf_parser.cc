#include "formats/gguf_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <optional>

#include "base/checked.h"
#include "base/log.h"
#include "base/utf8.h"
#include "formats/byte_reader.h"
#include "formats/gguf_sniff.h"

namespace minerva::formats {
namespace {

constexpr std::uint64_t kDefaultAlignment = 32;
// The format says "a multiple of 8"; kernels may read floats where they lie.
constexpr std::uint64_t kAlignmentMin = 8;
// The least that an entry takes in the file: a count is judged by it before anything is reserved.
constexpr std::uint64_t kMetadataBytesMin = 8 + 1 + 4 + 1;        // name, type, one byte
constexpr std::uint64_t kTensorBytesMin = 8 + 1 + 4 + 8 + 4 + 8;  // name, n_dims, dim, type, offset
// llama.cpp keeps 64 bytes for a name, with its NUL.
constexpr std::size_t kTensorNameBytesUsual = 63;

std::unexpected<Error> refuse(std::string param, std::string message) {
  return fail(ErrorCode::InvalidModel, std::move(message), std::move(param));
}

class Parser {
 public:
  explicit Parser(std::span<const std::byte> bytes) : bytes_(bytes), reader_(bytes) {}

  Result<GgufPart> run() {
    MINERVA_TRY(header());
    MINERVA_TRY(metadata());
    MINERVA_TRY(find_alignment());
    MINERVA_TRY(tensor_table());
    MINERVA_TRY(tensor_data());
    return std::move(part_);
  }

 private:
  std::unexpected<Error> truncated(const std::string& field, std::uint64_t needed) const {
    return refuse(field, fmt::format("the file ends inside {}: {} bytes needed at offset {}, {} "
                                     "there (a download that was not finished?)",
                                     field, needed, reader_.position(), reader_.left()));
  }

  template <class T>
  Result<T> number(const std::string& field) {
    T value{};
    if (!reader_.read(value)) return truncated(field, sizeof(T));
    return value;
  }

  Result<std::span<const std::byte>> string(const std::string& field) {
    MINERVA_ASSIGN(const auto length, number<std::uint64_t>(field + " length"));
    if (length > kGgufStringBytesMax) {
      return refuse(field, fmt::format("{} says it is {} bytes long, the limit is {}", field,
                                       length, kGgufStringBytesMax));
    }
    std::span<const std::byte> text;
    if (!reader_.read_bytes(length, text)) return truncated(field, length);
    return text;
  }

  Result<std::string_view> name(const std::string& field) {
    MINERVA_ASSIGN(const auto bytes, string(field));
    const std::string_view text = as_text(bytes);
    if (text.empty()) return refuse(field, field + " is empty");
    if (!utf8_valid(text)) {
      return refuse(field, fmt::format("{} is not UTF-8: \"{}\"", field, shown(text)));
    }
    return text;
  }

  Result<std::uint64_t> count(const std::string& field, std::uint64_t limit,
                              std::uint64_t bytes_min) {
    MINERVA_ASSIGN(const auto value, number<std::uint64_t>(field));
    if (value > limit) {
      return refuse(field, fmt::format("{} is {}, the limit is {}", field, value, limit));
    }
    // Cannot wrap: value <= limit, which is at most 2^26.
    const std::uint64_t needed = value * bytes_min;
    if (needed > reader_.left()) {
      return refuse(field,
                    fmt::format("{} is {}, which takes at least {} bytes, but {} are left in "
                                "the file (a download that was not finished?)",
                                field, value, needed, reader_.left()));
    }
    return value;
  }

  Result<void> header() {
    if (!as_text(bytes_).starts_with("GGUF")) {
      return refuse("magic", "not a GGUF file: " + what_it_is_instead(bytes_));
    }
    std::uint32_t magic = 0;
    reader_.read(magic);
    MINERVA_ASSIGN(const auto version, number<std::uint32_t>("version"));
    if (version == 0) return refuse("version", "version is 0; 2 and 3 can be read");
    if (version == 1) {
      return fail(
          ErrorCode::Unsupported,
          "GGUF version 1 (of August 2023) cannot be read, 2 and 3 can; convert the original "
          "model again",
          "version");
    }
    const std::uint32_t swapped = std::byteswap(version);
    if (version > 0xffff && swapped <= 0xffff) {
      return fail(
          ErrorCode::Unsupported,
          fmt::format("a big-endian GGUF file (version {}); only little-endian files can be "
                      "read",
                      swapped),
          "version");
    }
    if (version > 3) {
      return fail(ErrorCode::Unsupported,
                  fmt::format("GGUF version {} cannot be read, 2 and 3 can; the file was made by a "
                              "newer tool, or is damaged",
                              version),
                  "version");
    }
    part_.version = version;
    // Both counts come first in the file; the tensors' is judged when their table is reached.
    MINERVA_ASSIGN(tensor_count_, count("tensor count", kGgufTensorCountMax, kTensorBytesMin));
    MINERVA_ASSIGN(metadata_count_,
                   count("metadata count", kGgufMetadataCountMax, kMetadataBytesMin));
    return {};
  }

  Result<void> metadata() {
    part_.metadata.reserve(std::min(metadata_count_, reader_.left() / sizeof(GgufKeyValue)));
    for (std::uint64_t i = 0; i < metadata_count_; ++i) {
      MINERVA_ASSIGN(const std::string_view key, name(fmt::format("metadata key {}", i)));
      const std::string field = fmt::format("metadata \"{}\"", shown(key));
      MINERVA_ASSIGN(const GgufType type, value_type(field + " type"));
      auto value = type == GgufType::Array ? array_value(field) : scalar_value(field, type);
      if (!value) return fail(std::move(value).error());
      part_.metadata.push_back({key, *value});
    }
    return sort_keys();
  }

  Result<GgufType> value_type(const std::string& field) {
    MINERVA_ASSIGN(const auto id, number<std::uint32_t>(field));
    if (id >= kGgufTypeCount) {
      return refuse(field, fmt::format("{} is {}, the known types are 0 to {}", field,
                                       static_cast<std::int32_t>(id), kGgufTypeCount - 1));
    }
    return static_cast<GgufType>(id);
  }

  Result<GgufValue> scalar_value(const std::string& field, GgufType type) {
    GgufValue value{type, type, 1, {}};
    if (type == GgufType::String) {
      MINERVA_ASSIGN(value.bytes, string(field));
      return value;
    }
    const std::uint64_t length = gguf_type_bytes(type);
    if (!reader_.read_bytes(length, value.bytes)) return truncated(field, length);
    if (type == GgufType::Bool) MINERVA_TRY(check_bools(field, value.bytes));
    return value;
  }

  Result<GgufValue> array_value(const std::string& field) {
    MINERVA_ASSIGN(const GgufType type, value_type(field + " element type"));
    if (type == GgufType::Array) {
      return refuse(field, field + " is an array of arrays, which no known model uses");
    }
    const std::uint64_t item_bytes = type == GgufType::String ? 8 : gguf_type_bytes(type);
    MINERVA_ASSIGN(const std::uint64_t n,
                   count(field + " array length", kGgufArrayCountMax, item_bytes));
    GgufValue value{GgufType::Array, type, n, {}};
    if (type == GgufType::String) {
      MINERVA_ASSIGN(value.bytes, string_items(field, n));
      return value;
    }
    if (!reader_.read_bytes(n * item_bytes, value.bytes)) return truncated(field, n * item_bytes);
    if (type == GgufType::Bool) MINERVA_TRY(check_bools(field, value.bytes));
    return value;
  }

  // Steps over the strings without keeping them: a vocabulary has hundreds of thousands. Nothing is
  // built unless there is an error to report.
  Result<std::span<const std::byte>> string_items(const std::string& field, std::uint64_t n) {
    const std::uint64_t start = reader_.position();
    for (std::uint64_t i = 0; i < n; ++i) {
      std::uint64_t length = 0;
      std::span<const std::byte> text;
      if (!reader_.read(length)) return truncated(fmt::format("{} string {}", field, i), 8);
      if (length > kGgufStringBytesMax) {
        return refuse(field, fmt::format("{} string {} says it is {} bytes long, the limit is {}",
                                         field, i, length, kGgufStringBytesMax));
      }
      if (!reader_.read_bytes(length, text)) {
        return truncated(fmt::format("{} string {}", field, i), length);
      }
    }
    return bytes_.subspan(start, reader_.position() - start);
  }

  static Result<void> check_bools(const std::string& field, std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) {
      if (b > std::byte{1}) {
        return refuse(field, fmt::format("{} holds {} as a bool, which must be 0 or 1", field,
                                         std::to_integer<unsigned>(b)));
      }
    }
    return {};
  }

  Result<void> sort_keys() {
    auto& sorted = part_.keys_sorted;
    sorted.resize(part_.metadata.size());
    std::iota(sorted.begin(), sorted.end(), 0u);
    const auto key = [this](std::uint32_t i) { return part_.metadata[i].key; };
    std::ranges::sort(sorted, {}, key);
    const auto twice = std::ranges::adjacent_find(sorted, {}, key);
    if (twice == sorted.end()) return {};
    const std::string field = fmt::format("metadata \"{}\"", shown(key(*twice)));
    return refuse(field, field + " is there twice");
  }

  Result<void> find_alignment() {
    const GgufKeyValue* entry = find_key(part_.metadata, part_.keys_sorted, "general.alignment");
    if (entry == nullptr) return {};
    const auto value = entry->value.as_uint();
    if (!value || !std::has_single_bit(*value) || *value < kAlignmentMin ||
        *value > kGgufAlignmentMax) {
      return refuse(
          "general.alignment",
          fmt::format("general.alignment is {} ({}), it must be a power of two from {} to {}",
                      entry->value.describe(), entry->value.type_name(), kAlignmentMin,
                      kGgufAlignmentMax));
    }
    alignment_ = *value;
    return {};
  }

  Result<void> tensor_table() {
    part_.tensors.reserve(std::min(tensor_count_, reader_.left() / sizeof(GgufTensor)));
    offsets_.reserve(std::min(tensor_count_, reader_.left() / sizeof(Extent)));
    for (std::uint64_t i = 0; i < tensor_count_; ++i) {
      MINERVA_ASSIGN(const std::string_view tensor_name, name(fmt::format("tensor {} name", i)));
      const std::string field = fmt::format("tensor \"{}\"", shown(tensor_name));
      if (tensor_name.size() > kTensorNameBytesUsual) {
        part_.warnings.push_back(fmt::format("{}: the name has {} bytes, other engines take {}",
                                             field, tensor_name.size(), kTensorNameBytesUsual));
      }
      GgufTensor tensor{std::string(tensor_name), DType::F32, 0, {1, 1, 1, 1}, {}, nullptr};
      MINERVA_TRY(dimensions(field, tensor));
      MINERVA_ASSIGN(const auto type_id, number<std::uint32_t>(field + " type"));
      MINERVA_ASSIGN(const std::uint64_t length, tensor_bytes(field, type_id, tensor));
      MINERVA_ASSIGN(const auto offset, number<std::uint64_t>(field + " offset"));
      if (offset % alignment_ != 0) {
        return refuse(field, fmt::format("{} offset {} is no multiple of the alignment {}", field,
                                         offset, alignment_));
      }
      part_.tensors.push_back(std::move(tensor));
      offsets_.push_back({offset, length});
    }
    return {};
  }

  Result<void> dimensions(const std::string& field, GgufTensor& tensor) {
    MINERVA_ASSIGN(tensor.n_dims, number<std::uint32_t>(field + " dimension count"));
    if (tensor.n_dims < 1 || tensor.n_dims > kGgufDimsMax) {
      return refuse(field, fmt::format("{} has {} dimensions, it must be 1 to {}", field,
                                       tensor.n_dims, kGgufDimsMax));
    }
    for (std::uint32_t d = 0; d < tensor.n_dims; ++d) {
      MINERVA_ASSIGN(tensor.dims[d],
                     number<std::uint64_t>(fmt::format("{} dimension {}", field, d)));
    }
    return {};
  }

  // Sets the type and gives the data's length, from it and the shape. Dimensions are signed in the
  // format: a huge one is a negative number.
  Result<std::uint64_t> tensor_bytes(const std::string& field, std::uint32_t type_id,
                                     GgufTensor& tensor) {
    const DTypeInfo* info = find_dtype(type_id);
    if (info == nullptr) {
      return refuse(field, fmt::format("{} type is {}, which is unknown (a private type of another "
                                       "engine, or a newer one)",
                                       field, static_cast<std::int32_t>(type_id)));
    }
    tensor.type = info->type;
    std::int64_t elements = 1;
    for (std::uint32_t d = 0; d < tensor.n_dims; ++d) {
      const auto dim = checked_cast<std::int64_t>(tensor.dims[d]);
      if (!dim || *dim < 1) {
        return refuse(field, fmt::format("{} dimension {} is {}, it must be 1 to 2^63-1", field, d,
                                         static_cast<std::int64_t>(tensor.dims[d])));
      }
      const auto product = checked_mul(elements, *dim);
      if (!product) {
        return refuse(
            field, fmt::format("{} shape {} has more than 2^63 elements", field, tensor.shape()));
      }
      elements = *product;
    }
    if (tensor.dims[0] % info->block != 0) {
      return refuse(field,
                    fmt::format("{} has rows of {}, which is no multiple of the {} weights in "
                                "a block of {}",
                                field, tensor.dims[0], info->block, info->name));
    }
    const auto blocks = static_cast<std::uint64_t>(elements) / info->block;
    const auto length = checked_mul<std::uint64_t>(blocks, info->block_bytes);
    if (!length) {
      return refuse(field, fmt::format("{} of shape {} and type {} has more than 2^64 bytes", field,
                                       tensor.shape(), info->name));
    }
    return *length;
  }

  Result<void> tensor_data() {
    if (part_.tensors.empty()) return {};
    const auto start = checked_align_up(reader_.position(), alignment_);
    if (!start || *start > bytes_.size())
      return truncated("the padding before the data", alignment_);
    const std::span<const std::byte> data = bytes_.subspan(*start);
    for (std::size_t i = 0; i < part_.tensors.size(); ++i) {
      const auto [offset, length] = offsets_[i];
      GgufTensor& tensor = part_.tensors[i];
      if (!in_bounds(offset, length, data.size())) {
        return refuse(
            fmt::format("tensor \"{}\"", shown(tensor.name)),
            fmt::format("the data of tensor \"{}\" ({}, {}) is {} bytes at offset {}, but "
                        "the data section has {} (a download that was not finished?)",
                        shown(tensor.name), dtype_info(tensor.type).name, tensor.shape(), length,
                        offset, data.size()));
      }
      tensor.data = data.subspan(offset, length);
    }
    return check_overlap();
  }

  Result<void> check_overlap() const {
    std::vector<std::uint32_t> order(part_.tensors.size());
    std::iota(order.begin(), order.end(), 0u);
    std::ranges::sort(order, {}, [this](std::uint32_t i) { return offsets_[i].offset; });
    for (std::size_t i = 1; i < order.size(); ++i) {
      const GgufTensor& before = part_.tensors[order[i - 1]];
      const GgufTensor& after = part_.tensors[order[i]];
      // Cannot wrap: both lie inside the file.
      const std::uint64_t end = offsets_[order[i - 1]].offset + offsets_[order[i - 1]].length;
      if (end > offsets_[order[i]].offset) {
        return refuse(
            fmt::format("tensor \"{}\"", shown(after.name)),
            fmt::format("tensor \"{}\" at offset {} overlaps tensor \"{}\", which ends at {}",
                        shown(after.name), offsets_[order[i]].offset, shown(before.name), end));
      }
    }
    return {};
  }

  struct Extent {
    std::uint64_t offset;
    std::uint64_t length;
  };

  std::span<const std::byte> bytes_;
  ByteReader reader_;
  GgufPart part_;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t metadata_count_ = 0;
  std::uint64_t alignment_ = kDefaultAlignment;
  std::vector<Extent> offsets_;  // of part_.tensors, relative to the data section
};

}  // namespace

Result<GgufPart> parse_gguf(std::span<const std::byte> bytes) { return Parser(bytes).run(); }

const GgufKeyValue* find_key(const std::vector<GgufKeyValue>& metadata,
                             const std::vector<std::uint32_t>& sorted, std::string_view key) {
  const auto at = std::ranges::lower_bound(
      sorted, key, {}, [&metadata](std::uint32_t i) { return metadata[i].key; });
  return at != sorted.end() && metadata[*at].key == key ? &metadata[*at] : nullptr;
}

Result<std::vector<std::uint32_t>> sort_tensor_names(const std::vector<GgufTensor>& tensors) {
  std::vector<std::uint32_t> sorted(tensors.size());
  std::iota(sorted.begin(), sorted.end(), 0u);
  const auto name = [&tensors](std::uint32_t i) { return std::string_view(tensors[i].name); };
  std::ranges::sort(sorted, {}, name);
  const auto twice = std::ranges::adjacent_find(sorted, {}, name);
  if (twice == sorted.end()) return sorted;
  const std::string field = fmt::format("tensor \"{}\"", shown(name(*twice)));
  return refuse(field, field + " is there twice");
}

std::string shown(std::string_view name) {
  constexpr std::size_t kShown = 100;
  if (name.size() <= kShown) return escape_controls(name);
  return escape_controls(name.substr(0, kShown)) + "...";
}

}  // namespace minerva::formats
