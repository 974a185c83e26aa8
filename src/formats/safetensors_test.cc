#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "formats/json_text.h"
#include "support/gguf_writer.h"
#include "support/safetensors_writer.h"

namespace minerva::formats {
namespace {

using ::minerva::test::safetensors_bytes;
using ::minerva::test::small_mlx_safetensors;
using ::minerva::test::small_safetensors;
using ::minerva::test::TempFolder;
using ::minerva::test::write_file;

std::string tensor(std::string_view dtype, std::string_view shape, std::string_view offsets,
                   std::string_view name = "x") {
  return '"' + std::string(name) + R"(":{"dtype":")" + std::string(dtype) + R"(","shape":)" +
         std::string(shape) + R"(,"data_offsets":)" + std::string(offsets) + '}';
}

std::string problem_of(const std::vector<std::byte>& bytes) {
  const auto header = parse_safetensors(bytes);
  if (header) return {};
  EXPECT_EQ(header.error().code, ErrorCode::InvalidModel);
  return header.error().message;
}

void expect_problem(std::string_view header, std::size_t data_bytes, std::string_view wanted) {
  const std::string problem = problem_of(safetensors_bytes(header, data_bytes));
  EXPECT_NE(problem.find(wanted), std::string::npos) << header << "\n" << problem;
}

TEST(Safetensors, ReadsWhatIsThere) {
  const auto header = parse_safetensors(small_safetensors("pt"));
  ASSERT_TRUE(header) << header.error().message;
  EXPECT_EQ(header->framework(), "pt");
  ASSERT_EQ(header->tensors.size(), 2U);
  EXPECT_EQ(header->tensors[0].name, "a.weight");
  EXPECT_EQ(header->tensors[0].dtype, "BF16");
  EXPECT_EQ(header->tensors[0].shape, (std::vector<std::uint64_t>{4, 8}));
  EXPECT_EQ(header->tensors[1].bytes, 64U);
  EXPECT_EQ(header->tensors[1].offset + 64, header->file_bytes);
  EXPECT_EQ(parse_safetensors(small_mlx_safetensors())->framework(), "mlx");
  EXPECT_EQ(parse_safetensors(small_safetensors(""))->framework(), "");
}

TEST(Safetensors, WhatTheFormatAllows) {
  for (const auto& [header, data] : std::vector<std::pair<std::string, std::size_t>>{
           {"{}", 0},
           {"{}       ", 0},  // padded, so that the data begins at a multiple of 8
           {"{" + tensor("F32", "[]", "[0,4]") + "}", 4},
           {"{" + tensor("F32", "[0,7]", "[0,0]") + "}", 0},
           {"{" + tensor("F4", "[3,4]", "[0,6]") + "}", 6},
           {"{" + tensor("F6_E2M3", "[4]", "[0,3]") + "}", 3},
           {"{" + tensor("I8", "[4]", "[4,8]", "later") + "," +
                tensor("I8", "[4]", "[0,4]", "sooner") + "}",
            8}}) {
    EXPECT_EQ(problem_of(safetensors_bytes(header, data)), "") << header;
  }
}

TEST(Safetensors, LengthsThatLie) {
  const std::string whole = "{" + tensor("I8", "[4]", "[0,4]") + "}";
  EXPECT_NE(problem_of({}).find("0 bytes"), std::string::npos);
  EXPECT_NE(problem_of(std::vector<std::byte>(7)).find("7 bytes"), std::string::npos);
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{7}, std::uint64_t{whole.size() + 5},
        std::uint64_t{99'999'999}, std::uint64_t{100'000'001}, std::uint64_t{1} << 63,
        ~std::uint64_t{0}}) {
    EXPECT_NE(problem_of(safetensors_bytes(whole, 4, length)), "") << length;
  }
  EXPECT_NE(problem_of(safetensors_bytes(whole, 4, 1ULL << 63)).find("9223372036854775808"),
            std::string::npos);
}

TEST(Safetensors, HalfADownloadIsNamed) {
  std::vector<std::byte> bytes = small_safetensors();
  const std::size_t whole = bytes.size();
  for (const std::size_t cut : {std::size_t{1}, std::size_t{64}, std::size_t{100}}) {
    bytes.resize(whole - cut);
    EXPECT_NE(problem_of(bytes).find("not finished"), std::string::npos) << cut;
  }
  bytes.resize(20);
  EXPECT_NE(problem_of(bytes).find("not finished"), std::string::npos);
}

TEST(Safetensors, HeadersThatLie) {
  expect_problem("[]", 0, "begin with '{'");
  expect_problem(" {}", 0, "begin with '{'");
  expect_problem("{ ", 0, "not valid JSON");
  expect_problem("{nope", 0, "not valid JSON");
  expect_problem("{} {}", 0, "not valid JSON");
  expect_problem("{\"x\":1}", 0, "no object");
  expect_problem("{" + tensor("I8", "[4]", "[0,4]") + "," + tensor("I8", "[4]", "[4,8]") + "}", 8,
                 "twice");
  expect_problem("{" + tensor("I8", "[4]", "[0,4]") + "," + tensor("I8", "[4]", "[5,9]", "y") + "}",
                 9, "a hole");
  expect_problem("{" + tensor("I8", "[4]", "[0,4]") + "," + tensor("I8", "[4]", "[3,7]", "y") + "}",
                 7, "overlap");
  expect_problem("{" + tensor("I8", "[4]", "[1,5]") + "}", 5, "a hole");
  expect_problem("{" + tensor("I8", "[4]", "[0,4]") + "}", 9, "belong to nothing");
  expect_problem("{" + tensor("I8", "[4]", "[4,0]") + "}", 4, "before its begin");
  expect_problem("{" + tensor("I16", "[4]", "[0,4]") + "}", 4, "need 8 bytes");
  expect_problem("{" + tensor("Q4", "[4]", "[0,4]") + "}", 4, "not known");
  expect_problem("{" + tensor("F4", "[3]", "[0,1]") + "}", 1, "whole bytes");
  expect_problem("{" + tensor("I8", "[4294967296,4294967296]", "[0,0]") + "}", 0, "64 bits");
  expect_problem("{" + tensor("F4", "[9223372036854775808,2]", "[0,0]") + "}", 0, "64 bits");
  expect_problem("{" + tensor("I8", "[-4]", "[0,4]") + "}", 4, "whole number");
  expect_problem("{" + tensor("I8", "[4.0]", "[0,4]") + "}", 4, "whole number");
  expect_problem("{" + tensor("I8", "[4]", "[0,4,8]") + "}", 4, "data_offsets");
  expect_problem("{" + tensor("I8", "[4]", "[0,-1]") + "}", 4, "data_offsets");
  expect_problem("{" + tensor("I8", "4", "[0,4]") + "}", 4, "shape");
  expect_problem(R"({"__metadata__":{"format":1}})", 0, "no string");
  expect_problem(R"({"__metadata__":["format"]})", 0, "no object");
  expect_problem(R"({"__metadata__":{"a":"1","a":"2"}})", 0, "twice");
}

TEST(Safetensors, ADeepHeaderIsRefusedFlat) {
  const std::string deep(200'000, '[');
  expect_problem("{\"x\":" + deep, 0, "inside each other");
  const auto json = parse_json_text(deep);
  ASSERT_FALSE(json);
  EXPECT_NE(json.error().message.find("64"), std::string::npos);
}

TEST(Safetensors, AFileIsNamed) {
  const TempFolder folder;
  const std::string path = (folder.path() / "m.safetensors").string();
  write_file(path, safetensors_bytes("{", 0));
  const auto header = read_safetensors(path);
  ASSERT_FALSE(header);
  EXPECT_TRUE(header.error().message.starts_with(path)) << header.error().message;
  EXPECT_EQ(read_safetensors(path + "x").error().code, ErrorCode::NotFound);
}

TEST(SafetensorsIndex, NamesEachShardOnce) {
  const auto index = parse_safetensors_index(
      R"({"metadata":{},"weight_map":{"a":"m-2.safetensors","b":"m-1.safetensors",)"
      R"("c":"m-2.safetensors"}})");
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ(index->shards, (std::vector<std::string>{"m-1.safetensors", "m-2.safetensors"}));
  EXPECT_EQ(index->tensors, 3U);
}

TEST(SafetensorsIndex, AShardIsAPlainNameBesideIt) {
  for (const std::string name :
       {"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "..", ".", "",
        ".hidden.safetensors", "x.bin", "x.safetensors\\u0000", "a\\\\b.safetensors",
        "C:x.safetensors", "x .safetensors", "~x.safetensors", "%2e%2e.safetensors"}) {
    const auto index = parse_safetensors_index(R"({"weight_map":{"a":")" + name + "\"}}");
    EXPECT_FALSE(index) << name;
  }
  EXPECT_FALSE(parse_safetensors_index(R"({"weight_map":{"a":7}})"));
  EXPECT_FALSE(parse_safetensors_index(R"({"weight_map":{}})"));
  EXPECT_FALSE(parse_safetensors_index(R"({"weight_map":[]})"));
  EXPECT_FALSE(parse_safetensors_index("{}"));
  EXPECT_FALSE(parse_safetensors_index("[]"));
  EXPECT_FALSE(parse_safetensors_index(""));
}

}  // namespace
}  // namespace minerva::formats
