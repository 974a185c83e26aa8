#include "formats/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <utility>

#include "base/checked.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "formats/byte_reader.h"
#include "formats/json_text.h"

namespace minerva::formats {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::size_t kShownBytesMax = 80;
constexpr std::size_t kDimsMax = 32;
constexpr std::size_t kShardNameBytesMax = 255;
// A tensor takes about ten; so many in one file are 400,000 tensors.
constexpr JsonTextLimits kHeaderLimits = {.depth_max = 8, .values_max = 4'000'000};

constexpr std::array<std::pair<std::string_view, std::uint64_t>, 21> kDTypes = {{
    {"BOOL", 8},    {"U8", 8},          {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8},
    {"F8_E8M0", 8}, {"F8_E5M2FNUZ", 8}, {"F8_E4M3FNUZ", 8}, {"F4", 4},      {"F6_E2M3", 6},
    {"F6_E3M2", 6}, {"I16", 16},        {"U16", 16},        {"F16", 16},    {"BF16", 16},
    {"I32", 32},    {"U32", 32},        {"F32", 32},        {"I64", 64},    {"U64", 64},
    {"F64", 64},
}};
constexpr std::uint64_t kComplexBits = 64;  // C64: two F32

std::string shown(std::string_view name) {
  return fmt::format("\"{}{}\"", escape_controls(name.substr(0, kShownBytesMax)),
                     name.size() > kShownBytesMax ? "…" : "");
}

std::unexpected<Error> refused(std::string message, std::string param = {}) {
  return fail(ErrorCode::InvalidModel, std::move(message), std::move(param));
}

// Header and data, apart.
struct Parts {
  std::string_view header;
  std::uint64_t data_begin = 0;
  std::uint64_t data_bytes = 0;
};

Result<Parts> split(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  std::uint64_t length = 0;
  if (!reader.read(length)) {
    return refused(
        fmt::format("the file has {} bytes, a safetensors header begins with 8: a "
                    "download that was not finished?",
                    bytes.size()));
  }
  if (length > kSafetensorsHeaderBytesMax) {
    return refused(fmt::format("the header's length is {}, at most {} are allowed: not a "
                               "safetensors file, or a damaged one",
                               length, kSafetensorsHeaderBytesMax),
                   "header length");
  }
  if (length < 2) {
    return refused(fmt::format("the header's length is {}, at least 2 are needed", length),
                   "header length");
  }
  std::span<const std::byte> header;
  if (!reader.read_bytes(length, header)) {
    return refused(fmt::format("the header should have {} bytes, {} are there: a download that "
                               "was not finished?",
                               length, reader.left()),
                   "header length");
  }
  if (as_text(header)[0] != '{') return refused("the header does not begin with '{'", "header");
  return Parts{as_text(header), kLengthBytes + length, reader.left()};
}

Result<void> read_metadata(const Json& value, SafetensorsHeader& out) {
  if (!value.is_object()) return refused("__metadata__ is no object", "__metadata__");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      return refused(fmt::format("__metadata__: {} is no string", shown(key)), "__metadata__");
    }
    out.metadata.emplace(key, text.get<std::string>());
  }
  return {};
}

// What dtype and shape need; nothing when it fits no 64 bits or no whole bytes.
std::optional<std::uint64_t> wanted_bytes(const SafetensorsTensor& tensor) {
  std::optional<std::uint64_t> bits = safetensors_dtype_bits(tensor.dtype);
  for (const std::uint64_t dim : tensor.shape) {
    bits = checked_mul(*bits, dim);
    if (!bits) return std::nullopt;
  }
  if (*bits % 8 != 0) return std::nullopt;
  return *bits / 8;
}

Result<SafetensorsTensor> read_tensor(const std::string& name, const Json& value,
                                      const Parts& parts) {
  const auto bad = [&](std::string what) {
    return refused(fmt::format("tensor {}: {}", shown(name), what), name.substr(0, kShownBytesMax));
  };
  if (!value.is_object()) return bad("its entry is no object");
  const auto dtype = value.find("dtype");
  const auto shape = value.find("shape");
  const auto offsets = value.find("data_offsets");
  if (dtype == value.end() || !dtype->is_string()) return bad("dtype is missing or no string");
  if (shape == value.end() || !shape->is_array()) return bad("shape is missing or no array");
  if (offsets == value.end() || !offsets->is_array() || offsets->size() != 2 ||
      !(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned()) {
    return bad("data_offsets is missing or no pair of whole numbers");
  }
  SafetensorsTensor tensor;
  tensor.name = name;
  tensor.dtype = dtype->get<std::string>();
  if (safetensors_dtype_bits(tensor.dtype) == 0)
    return bad(fmt::format("its dtype {} is not known", shown(tensor.dtype)));
  if (shape->size() > kDimsMax)
    return bad(fmt::format("{} dimensions, at most {} are allowed", shape->size(), kDimsMax));
  for (const Json& dim : *shape) {
    if (!dim.is_number_unsigned()) return bad("a dimension is no whole number");
    tensor.shape.push_back(dim.get<std::uint64_t>());
  }
  const auto begin = (*offsets)[0].get<std::uint64_t>();
  const auto end = (*offsets)[1].get<std::uint64_t>();
  if (end < begin) return bad(fmt::format("it ends at {}, before its begin {}", end, begin));
  const auto wanted = wanted_bytes(tensor);
  if (!wanted) return bad("dtype and shape give no size in whole bytes that fits 64 bits");
  if (*wanted != end - begin) {
    return bad(
        fmt::format("dtype and shape need {} bytes, its offsets give {}", *wanted, end - begin));
  }
  if (end > parts.data_bytes) {
    return bad(
        fmt::format("it ends at byte {} of the data, which has {}: a download that was "
                    "not finished?",
                    end, parts.data_bytes));
  }
  tensor.offset = parts.data_begin + begin;
  tensor.bytes = *wanted;
  return tensor;
}

// Bytes that no tensor claims could be another file in the same bytes.
Result<void> check_cover(const SafetensorsHeader& header, const Parts& parts) {
  std::uint64_t at = parts.data_begin;
  for (const SafetensorsTensor& tensor : header.tensors) {
    if (tensor.offset != at) {
      return refused(fmt::format("tensor {} begins at byte {} of the file, the one before it ends "
                                 "at {}: {}",
                                 shown(tensor.name), tensor.offset, at,
                                 tensor.offset < at ? "they overlap" : "a hole"),
                     tensor.name.substr(0, kShownBytesMax));
    }
    at += tensor.bytes;
  }
  const std::uint64_t end = parts.data_begin + parts.data_bytes;
  if (at != end) {
    return refused(
        fmt::format("the last tensor ends at byte {}, the file at {}: {} bytes belong "
                    "to nothing",
                    at, end, end - at));
  }
  return {};
}

bool is_plain_file_name(std::string_view name) {
  if (name.empty() || name.size() > kShardNameBytesMax || name.front() == '.') return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

}  // namespace

std::string_view SafetensorsHeader::framework() const {
  const auto at = metadata.find("format");
  return at == metadata.end() ? std::string_view() : at->second;
}

std::uint64_t safetensors_dtype_bits(std::string_view dtype) {
  if (dtype == "C64") return kComplexBits;
  const auto at = std::ranges::find(kDTypes, dtype, &decltype(kDTypes)::value_type::first);
  return at == kDTypes.end() ? 0 : at->second;
}

Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> bytes) {
  MINERVA_ASSIGN(const Parts parts, split(bytes));
  auto json = parse_json_text(parts.header, kHeaderLimits);
  if (!json) return fail(std::move(json).error().in("the header"));
  if (!json->is_object()) return refused("the header is no object", "header");
  SafetensorsHeader header;
  header.file_bytes = bytes.size();
  for (const auto& [name, value] : json->items()) {
    if (name == "__metadata__") {
      MINERVA_TRY(read_metadata(value, header));
      continue;
    }
    MINERVA_ASSIGN(SafetensorsTensor tensor, read_tensor(name, value, parts));
    header.tensors.push_back(std::move(tensor));
  }
  std::ranges::sort(header.tensors, {}, [](const SafetensorsTensor& tensor) {
    return std::tuple(tensor.offset, tensor.bytes, std::string_view(tensor.name));
  });
  MINERVA_TRY(check_cover(header, parts));
  return header;
}

Result<SafetensorsHeader> read_safetensors(const std::string& path) {
  MINERVA_ASSIGN(const auto file, MappedFile::open(path));
  auto header = parse_safetensors(file->bytes());
  if (!header) return fail(std::move(header).error().in(path));
  return header;
}

Result<SafetensorsIndex> parse_safetensors_index(std::string_view text) {
  MINERVA_ASSIGN(const Json json, parse_json_text(text, kHeaderLimits));
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object())
    return refused("weight_map is missing or no object", "weight_map");
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string()) {
      return refused(fmt::format("weight_map: the file of {} is no string", shown(tensor)),
                     "weight_map");
    }
    std::string name = shard.get<std::string>();
    if (!is_plain_file_name(name) || !name.ends_with(".safetensors")) {
      return refused(fmt::format("weight_map: {} is not the name of a .safetensors file beside it",
                                 shown(name)),
                     "weight_map");
    }
    shards.insert(std::move(name));
  }
  if (shards.empty()) return refused("weight_map names no file", "weight_map");
  return SafetensorsIndex{{shards.begin(), shards.end()}, map->size()};
}

}  // namespace minerva::formats
