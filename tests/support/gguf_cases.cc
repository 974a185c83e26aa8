#include "support/gguf_cases.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>

namespace minerva::test {
namespace {

using formats::DType;
using formats::DTypeInfo;
using Bytes = GgufWriter::Bytes;

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
// The counts that broke other readers: just past 31 and 32 bits, where n * size wraps, the sign
// bit.
constexpr std::uint64_t kHugeCounts[] = {
    1ull << 31, (1ull << 32) - 1, 1ull << 32, (1ull << 32) + 1, 1ull << 60,
    1ull << 61, 1ull << 62,       1ull << 63, kMax - 7,         kMax};

Bytes text(std::string_view s) {
  Bytes out;
  append_text(out, s);
  return out;
}

// A value of an array: element type, length as declared, then what is really there.
Bytes array_bytes(std::uint32_t element_type, std::uint64_t declared, const Bytes& items = {}) {
  Bytes out;
  append(out, element_type);
  append(out, declared);
  out.insert(out.end(), items.begin(), items.end());
  return out;
}

class HostileCases {
 public:
  std::vector<HostileCase> build() {
    not_gguf();
    versions();
    counts();
    strings_and_arrays();
    values();
    shapes();
    offsets();
    return std::move(cases_);
  }

 private:
  void add(std::string name, Bytes bytes, std::string part,
           ErrorCode code = ErrorCode::InvalidModel) {
    cases_.push_back({std::move(name), std::move(bytes), std::move(part), code});
  }
  void add(std::string name, const GgufWriter& writer, std::string part) {
    add(std::move(name), writer.bytes(), std::move(part));
  }

  void not_gguf() {
    add("empty", Bytes{}, "the file is empty");
    add("magic_cut", text("GGU"), "4 bytes needed, 3 there");
    add("lfs_pointer",
        text("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 98362432\n"),
        "Git LFS pointer, not the model (98362432 bytes)");
    Bytes safetensors;
    append(safetensors, std::uint64_t{27});
    append_text(safetensors, R"({"__metadata__":{"a":"b"}}  )");
    add("safetensors", safetensors, "safetensors");
    add("zip", text("PK\x03\x04rest"), "zip archive");
    add("gzip", text("\x1f\x8b\x08"), "gzip");
    add("old_ggml", text("tjgg\x03"), "before GGUF");
    add("web_page", text("<!DOCTYPE html><title>404</title>"), "web page");
    add("json_error", text("{\"error\":\"Repository not found\"}"), "JSON");
    add("zeros", Bytes(64), "zeros");
    add("other", text("\x1b[2Jwhat"), "begins with");
  }

  void versions() {
    for (const std::uint32_t version : {1u, 99u, 4u, 0xffffffffu}) {
      add(fmt::format("version_{}", version), plain_gguf().set_version(version).bytes(),
          fmt::format("version {}", version), ErrorCode::Unsupported);
    }
    add("version_0", plain_gguf().set_version(0), "version is 0");
    add("big_endian", plain_gguf().set_version(0x03000000).bytes(), "big-endian",
        ErrorCode::Unsupported);
  }

  void counts() {
    for (const std::uint64_t n : kHugeCounts) {
      GgufWriter tensors = plain_gguf();
      tensors.tensor_count_override = n;
      add(fmt::format("tensor_count_{}", n), tensors, fmt::format("tensor count is {}", n));
      GgufWriter metadata = plain_gguf();
      metadata.metadata_count_override = n;
      add(fmt::format("metadata_count_{}", n), metadata, fmt::format("metadata count is {}", n));
      add(fmt::format("string_length_{}", n), plain_gguf().add_raw("s", 8, string_bytes(n)),
          fmt::format("\"s\" says it is {} bytes long", n));
      add(fmt::format("array_length_{}", n), plain_gguf().add_raw("v", 9, array_bytes(4, n)),
          fmt::format("\"v\" array length is {}", n));
      add(fmt::format("string_array_length_{}", n), plain_gguf().add_raw("v", 9, array_bytes(8, n)),
          fmt::format("\"v\" array length is {}", n));
      add(fmt::format("string_in_array_{}", n),
          plain_gguf().add_raw("v", 9, array_bytes(8, 1, string_bytes(n))),
          fmt::format("\"v\" string 0 says it is {} bytes long", n));
    }
    GgufWriter more_tensors = plain_gguf();
    more_tensors.tensor_count_override = 3;
    add("tensor_count_one_more", more_tensors, "tensor 2 name");
    GgufWriter more_metadata = plain_gguf();
    more_metadata.metadata_count_override = 5;
    add("metadata_count_more", more_metadata, "metadata");
    GgufWriter limit;
    limit.tensor_count_override = 65536;
    add("tensor_count_at_limit", limit, "tensor count is 65536, which takes at least");
    limit.tensor_count_override = 65537;
    add("tensor_count_over_limit", limit, "tensor count is 65537, the limit is 65536");
  }

  // A string that says it is `declared` bytes long.
  static Bytes string_bytes(std::uint64_t declared) {
    Bytes out;
    append(out, declared);
    append_text(out, "abc");
    return out;
  }

  void strings_and_arrays() {
    const std::uint64_t string_max = formats::kGgufStringBytesMax;
    const std::uint64_t array_max = formats::kGgufArrayCountMax;
    add("string_at_limit", plain_gguf().add_raw("s", 8, string_bytes(string_max)),
        fmt::format("{} bytes needed", string_max));
    add("string_over_limit", plain_gguf().add_raw("s", 8, string_bytes(string_max + 1)),
        fmt::format("the limit is {}", string_max));
    add("array_at_limit", plain_gguf().add_raw("v", 9, array_bytes(0, array_max)),
        fmt::format("takes at least {} bytes", array_max));
    add("array_over_limit", plain_gguf().add_raw("v", 9, array_bytes(0, array_max + 1)),
        fmt::format("the limit is {}", array_max));
    add("string_past_end", GgufWriter().add_raw("s", 8, string_bytes(4)),
        "4 bytes needed at offset 45, 3 there");
    add("array_one_too_many", GgufWriter().add_raw("v", 9, array_bytes(4, 2, Bytes(7))),
        "takes at least 8 bytes, but 7 are left");
    add("nested_array", plain_gguf().add_raw("v", 9, array_bytes(9, 1, array_bytes(4, 0))),
        "\"v\" is an array of arrays");
    add("array_of_unknown", plain_gguf().add_raw("v", 9, array_bytes(13, 1, Bytes(8))),
        "\"v\" element type is 13");
  }

  void values() {
    add("value_type_13", plain_gguf().add_raw("x", 13, Bytes(8)), "\"x\" type is 13");
    add("value_type_minus_1", plain_gguf().add_raw("x", 0xffffffff, Bytes(8)), "\"x\" type is -1");
    add("bool_2", plain_gguf().add_raw("x", 7, Bytes{std::byte{2}}), "\"x\" holds 2 as a bool");
    add("bool_in_array",
        plain_gguf().add_raw("x", 9,
                             array_bytes(7, 3, {std::byte{1}, std::byte{0}, std::byte{255}})),
        "\"x\" holds 255 as a bool");
    add("duplicate_key", plain_gguf().add_u32("general.file_type", 7),
        "\"general.file_type\" is there twice");
    add("empty_key", plain_gguf().add_u32("", 7), "metadata key 2 is empty");
    add("key_not_utf8", plain_gguf().add_u32("a\xff", 7), "metadata key 2 is not UTF-8");
    for (const std::uint32_t alignment : {0u, 1u, 3u, 4u, 48u, 1u << 21, 1u << 31, 0xffffffffu}) {
      add(fmt::format("alignment_{}", alignment),
          plain_gguf().add_u32("general.alignment", alignment),
          fmt::format("general.alignment is {} ", alignment));
    }
    add("alignment_text", plain_gguf().add_string("general.alignment", "32"),
        "general.alignment is \"32\" (string)");
    add("alignment_negative", plain_gguf().add_i32("general.alignment", -32),
        "general.alignment is -32 (i32)");
  }

  void tensor(std::string name, const std::function<void(GgufWriter&)>& lie, std::string part) {
    GgufWriter writer = plain_gguf();
    lie(writer);
    add(std::move(name), writer, std::move(part));
  }
  // One more tensor "t" with 64 bytes of data and these dimensions.
  void shape(std::string name, std::vector<std::uint64_t> dims, DType type, std::string part) {
    tensor(
        std::move(name), [&](GgufWriter& w) { w.add_tensor("t", type, dims, Bytes(64)); },
        std::move(part));
  }

  void shapes() {
    for (const std::uint32_t id : {4u, 31u, 33u, 36u, 42u, 200u, 0x7fffffffu}) {
      tensor(
          fmt::format("tensor_type_{}", id), [id](GgufWriter& w) { w.with_type_id(id); },
          fmt::format("\"b\" type is {}", id));
    }
    tensor(
        "tensor_type_minus_1", [](GgufWriter& w) { w.with_type_id(0xffffffff); },
        "\"b\" type is -1");
    for (const std::uint32_t n : {0u, 5u, 0xffffffffu}) {
      tensor(
          fmt::format("dim_count_{}", n), [n](GgufWriter& w) { w.with_dim_count(n); },
          fmt::format("\"b\" has {} dimensions", n));
    }
    shape("dim_0", {0}, DType::F32, "\"t\" dimension 0 is 0");
    shape("dim_0_second", {4, 0}, DType::F32, "\"t\" dimension 1 is 0");
    shape("dim_minus_1", {4, kMax}, DType::F32, "\"t\" dimension 1 is -1");
    shape("dim_2_63", {1ull << 63}, DType::F32, "\"t\" dimension 0 is -9223372036854775808");
    shape("product_wraps_to_0", {1ull << 32, 1ull << 32}, DType::F32,
          "\"t\" shape 4294967296x4294967296 has more than 2^63");
    shape("product_wraps_to_16", {(1ull << 32) + 4, 1ull << 32, 4}, DType::F32, "more than 2^63");
    shape("product_wraps_negative", {1ull << 62, 2}, DType::I8, "more than 2^63");
    shape("bytes_wrap_to_0", {1ull << 62}, DType::F32, "has more than 2^64 bytes");
    shape("bytes_wrap_f64", {(1ull << 61) + 8}, DType::F64, "has more than 2^64 bytes");
    shape("bytes_exabyte", {1ull << 40, 1ull << 20}, DType::Q8_0,
          "is 1224979098644774912 bytes at offset");
    shape("row_no_multiple_of_block", {33}, DType::Q4_0, "rows of 33");
    shape("row_of_k_quant", {576, 1}, DType::Q4_K, "rows of 576");
    shape("one_past_the_end", {17}, DType::F32, "68 bytes at offset 64");
  }

  void offsets() {
    tensor(
        "duplicate_tensor",
        [](GgufWriter& w) {
          w.add_tensor("a", DType::F32, std::array<std::uint64_t, 1>{1}, Bytes(4));
        },
        "tensor \"a\" is there twice");
    tensor(
        "empty_tensor_name",
        [](GgufWriter& w) {
          w.add_tensor("", DType::F32, std::array<std::uint64_t, 1>{1}, Bytes(4));
        },
        "tensor 2 name is empty");
    tensor(
        "offset_unaligned", [](GgufWriter& w) { w.with_offset(33); },
        "\"b\" offset 33 is no multiple of the alignment 32");
    tensor("offset_same", [](GgufWriter& w) { w.with_offset(0); }, "overlaps tensor");
    tensor(
        "offset_past_end", [](GgufWriter& w) { w.with_offset(64); },
        "\"b\" (F32, 2x2) is 16 bytes at offset 64");
    for (const std::uint64_t offset :
         {std::uint64_t{1} << 31, std::uint64_t{1} << 32, std::uint64_t{1} << 63, kMax - 31}) {
      tensor(
          fmt::format("offset_{}", offset), [offset](GgufWriter& w) { w.with_offset(offset); },
          fmt::format("16 bytes at offset {}", offset));
    }
    GgufWriter overlap;
    overlap.add_tensor("long", DType::I8, std::array<std::uint64_t, 1>{64}, Bytes(64));
    overlap.add_tensor("inside", DType::I8, std::array<std::uint64_t, 1>{8}, Bytes(8))
        .with_offset(32);
    add("overlap", overlap, "\"inside\" at offset 32 overlaps tensor \"long\", which ends at 64");
    // Each fits 64 bits, the sum of both does not: a running total would wrap to a few bytes.
    GgufWriter pair;
    const std::array<std::uint64_t, 1> half{(1ull << 63) - 32};
    pair.add_tensor("x", DType::I8, half, Bytes(32));
    pair.add_tensor("y", DType::I8, half, Bytes(32)).with_offset((1ull << 63) - 32);
    add("pair_wraps", pair, fmt::format("is {} bytes at offset 0", half[0]));
    GgufWriter pair_end;
    pair_end.add_tensor("x", DType::I8, std::array<std::uint64_t, 1>{32}, Bytes(32));
    pair_end.add_tensor("y", DType::I8, std::array<std::uint64_t, 1>{64}, Bytes(32))
        .with_offset(kMax - 31);
    add("offset_plus_length_wraps", pair_end, "is 64 bytes at offset 18446744073709551584");
    // The table is whole, nothing follows it.
    GgufWriter no_data;
    no_data.add_tensor("x", DType::F32, std::array<std::uint64_t, 1>{4}, {});
    Bytes table = no_data.bytes();
    table.resize(61);
    add("no_data", table, "the padding before the data");
    add("part_of_split", plain_gguf().shards(3)[1], "one of 3 parts");
    add("split_count_text", plain_gguf().add_string("split.count", "3"), "split.count");
  }

  std::vector<HostileCase> cases_;
};

}  // namespace

GgufWriter plain_gguf() {
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  writer.add_u32("general.file_type", 0);
  writer.add_f32_tensor("a", std::array<std::uint64_t, 1>{4}, std::array<float, 4>{1, 2, 3, 4});
  writer.add_f32_tensor("b", std::array<std::uint64_t, 2>{2, 2}, std::array<float, 4>{5, 6, 7, 8});
  return writer;
}

GgufWriter rich_gguf() {
  GgufWriter writer;
  writer.add_string("general.architecture", "llama")
      .add_u8("x.u8", 200)
      .add_i8("x.i8", -100)
      .add_u16("x.u16", 60000)
      .add_i16("x.i16", -30000)
      .add_u32("x.u32", 4000000000)
      .add_i32("x.i32", -2000000000)
      .add_u64("x.u64", kMax)
      .add_i64("x.i64", std::numeric_limits<std::int64_t>::min())
      .add_f32("x.f32", 0.1f)
      .add_f64("x.f64", 0.1)
      .add_bool("x.true", true)
      .add_bool("x.false", false)
      .add_string("x.empty", "")
      .add_strings("x.strings", std::array<std::string, 3>{"a", "", "\xc4\xa0world"})
      .add_f32s("x.f32s", std::array<float, 2>{-1.5f, 2.5f})
      .add_i32s("x.i32s", std::array<std::int32_t, 3>{-1, 0, 1})
      .add_u32s("x.u32s", std::array<std::uint32_t, 1>{7})
      .add_i32s("x.nothing", {})
      .add_raw("x.bools", 9, array_bytes(7, 2, {std::byte{1}, std::byte{0}}));
  for (const DTypeInfo& info : formats::all_dtypes()) {
    if (!info.decodable) continue;
    const std::array<std::uint64_t, 1> dims{info.block};
    writer.add_tensor(info.name, info.type, dims, Bytes(info.block_bytes, std::byte{0x35}));
  }
  return writer;
}

std::vector<HonestCase> honest_gguf_cases() {
  std::vector<HonestCase> cases;
  cases.push_back({"rich_v3", rich_gguf().bytes()});
  cases.push_back({"rich_v2", rich_gguf().set_version(2).bytes()});
  cases.push_back({"plain", plain_gguf().bytes()});
  cases.push_back(
      {"alignment_8", GgufWriter()
                          .set_alignment(8)
                          .add_tensor("x", DType::I8, std::array<std::uint64_t, 1>{3}, Bytes(3))
                          .bytes()});
  cases.push_back({"nothing", GgufWriter().bytes()});
  cases.push_back({"only_metadata", GgufWriter().add_bool("a", true).bytes()});
  return cases;
}

std::vector<HostileCase> hostile_gguf_cases() { return HostileCases().build(); }

}  // namespace minerva::test
