#include "formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "support/gguf_cases.h"
#include "support/gguf_writer.h"

namespace minerva::formats {
namespace {

using test::GgufWriter;
using test::plain_gguf;
using test::rich_gguf;
using test::shard_path;
using test::TempFolder;
using test::write_file;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::shared_ptr<const GgufFile> parsed(const GgufWriter& writer) {
  auto file = GgufFile::parse(writer.bytes());
  EXPECT_TRUE(file.has_value()) << file.error().message;
  return file.has_value() ? *std::move(file) : nullptr;
}

TEST(Gguf, ReadsEveryMetadataType) {
  for (const std::uint32_t version : {2u, 3u}) {
    const auto file = parsed(rich_gguf().set_version(version));
    ASSERT_NE(file, nullptr);
    EXPECT_EQ(file->version(), version);
    EXPECT_EQ(file->get_uint("x.u8"), 200u);
    EXPECT_EQ(file->get_int("x.i8"), -100);
    EXPECT_EQ(file->get_uint("x.u16"), 60000u);
    EXPECT_EQ(file->get_int("x.i16"), -30000);
    EXPECT_EQ(file->get_uint("x.u32"), 4000000000u);
    EXPECT_EQ(file->get_int("x.i32"), -2000000000);
    EXPECT_EQ(file->get_uint("x.u64"), std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(file->get_int("x.i64"), std::numeric_limits<std::int64_t>::min());
    EXPECT_EQ(file->get_float("x.f32"), static_cast<double>(0.1f));
    EXPECT_EQ(file->get_float("x.f64"), 0.1);
    EXPECT_EQ(file->get_bool("x.true"), true);
    EXPECT_EQ(file->get_bool("x.false"), false);
    EXPECT_EQ(file->get_string("general.architecture"), "llama");
    EXPECT_EQ(file->get_string("x.empty"), "");
    EXPECT_THAT(file->get_strings("x.strings").value(), ElementsAre("a", "", "\xc4\xa0world"));
    EXPECT_THAT(file->get_floats("x.f32s").value(), ElementsAre(-1.5f, 2.5f));
    EXPECT_THAT(file->get_ints("x.i32s").value(), ElementsAre(-1, 0, 1));
    EXPECT_THAT(file->get_ints("x.u32s").value(), ElementsAre(7));
    EXPECT_THAT(file->get_ints("x.nothing").value(), IsEmpty());
    EXPECT_THAT(file->get_bools("x.bools").value(), ElementsAre(true, false));
  }
}

TEST(Gguf, KeepsTheOrderOfTheFile) {
  const auto file = parsed(GgufWriter().add_u8("z", 1).add_u8("a", 2).add_u8("m", 3));
  ASSERT_EQ(file->metadata().size(), 3u);
  EXPECT_EQ(file->metadata()[0].key, "z");
  EXPECT_EQ(file->metadata()[1].key, "a");
  EXPECT_EQ(file->metadata()[2].key, "m");
}

TEST(Gguf, FindsTensorsWithTheirShapeAndBytes) {
  const auto file = parsed(plain_gguf());
  ASSERT_EQ(file->tensors().size(), 2u);
  const GgufTensor* b = file->find_tensor("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b, &file->tensors()[1]);
  EXPECT_EQ(b->n_dims, 2u);
  EXPECT_THAT(b->dims, ElementsAre(2, 2, 1, 1));
  EXPECT_EQ(b->elements(), 4u);
  EXPECT_EQ(b->shape(), "2x2");
  ASSERT_EQ(b->data.size(), 16u);
  float first = 0;
  std::memcpy(&first, b->data.data(), sizeof first);
  EXPECT_EQ(first, 5.0f);
  EXPECT_EQ(file->find_tensor("c"), nullptr);
  EXPECT_EQ(file->find_tensor(""), nullptr);
}

TEST(Gguf, ReadsEveryDecodableType) {
  const auto file = parsed(rich_gguf());
  for (const DTypeInfo& info : all_dtypes()) {
    const GgufTensor* tensor = file->find_tensor(info.name);
    ASSERT_EQ(tensor != nullptr, info.decodable) << info.name;
    if (tensor == nullptr) continue;
    EXPECT_EQ(tensor->type, info.type);
    EXPECT_EQ(tensor->data.size(), info.block_bytes);
    EXPECT_EQ(tensor->data.front(), std::byte{0x35});
    EXPECT_EQ(tensor->data.back(), std::byte{0x35});
  }
}

TEST(Gguf, OpensHonestFiles) {
  for (const auto& honest : test::honest_gguf_cases()) {
    const auto file = GgufFile::parse(honest.bytes);
    EXPECT_TRUE(file.has_value()) << honest.name << ": " << file.error().message;
  }
}

TEST(Gguf, TensorsMayLieInAnyOrderAndWithGaps) {
  GgufWriter writer;
  const std::array<std::uint64_t, 1> dims{8};
  writer.add_tensor("second", DType::I8, dims, std::vector<std::byte>(8)).with_offset(96);
  writer.add_tensor("first", DType::I8, dims, std::vector<std::byte>(100)).with_offset(0);
  const auto file = parsed(writer);
  ASSERT_NE(file, nullptr);
  EXPECT_LT(file->find_tensor("first")->data.data(), file->find_tensor("second")->data.data());
}

TEST(Gguf, AMissingKeyIsNotFoundAndNamesIt) {
  const auto file = parsed(plain_gguf());
  const auto missing = file->get_uint("llama.block_count");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::NotFound);
  EXPECT_EQ(missing.error().param, "llama.block_count");
  EXPECT_THAT(missing.error().message, HasSubstr("\"llama.block_count\" (an integer from 0)"));
}

TEST(Gguf, AWrongTypeNamesBothTypes) {
  const auto file = parsed(rich_gguf());
  const auto text = file->get_uint("general.architecture");
  ASSERT_FALSE(text.has_value());
  EXPECT_EQ(text.error().code, ErrorCode::InvalidModel);
  EXPECT_EQ(
      text.error().message,
      "metadata \"general.architecture\" must be an integer from 0, it is \"llama\" (string)");
  EXPECT_THAT(file->get_uint("x.i8").error().message, HasSubstr("it is -100 (i8)"));
  EXPECT_THAT(file->get_int("x.u64").error().message, HasSubstr("(u64)"));
  EXPECT_THAT(file->get_bool("x.u8").error().message, HasSubstr("must be a bool"));
  EXPECT_THAT(file->get_float("x.u8").error().message, HasSubstr("must be a float"));
  EXPECT_THAT(file->get_string("x.f32").error().message, HasSubstr("must be a string"));
  EXPECT_THAT(file->get_strings("x.i32s").error().message, HasSubstr("(array of i32)"));
  EXPECT_THAT(file->get_floats("x.i32s").error().message, HasSubstr("[-1, 0, 1]"));
  EXPECT_THAT(file->get_ints("x.strings").error().message, HasSubstr("(array of string)"));
  EXPECT_THAT(file->get_ints("x.f32s").error().message, HasSubstr("(array of f32)"));
  EXPECT_THAT(file->get_ints("x.u8").error().message, HasSubstr("(u8)"));
  EXPECT_THAT(file->get_bools("x.u32s").error().message, HasSubstr("(array of u32)"));
}

TEST(Gguf, AFallbackStandsInForAMissingKeyOnly) {
  const auto file = parsed(rich_gguf());
  EXPECT_EQ(file->get_uint_or("none", 7), 7u);
  EXPECT_EQ(file->get_uint_or("x.u8", 7), 200u);
  EXPECT_FALSE(file->get_uint_or("x.f32", 7).has_value());
  EXPECT_EQ(file->get_float_or("none", 0.5), 0.5);
  EXPECT_FALSE(file->get_float_or("x.u8", 0.5).has_value());
  EXPECT_EQ(file->get_bool_or("none", true), true);
  EXPECT_EQ(file->get_string_or("none", "x"), "x");
}

TEST(Gguf, DescribesValuesOnOneLine) {
  const std::string text(500, 'x');
  const auto file = parsed(rich_gguf().add_string("esc", "a\n\x1b[2J").add_string("long", text));
  EXPECT_EQ(file->find("x.u8")->describe(), "200");
  EXPECT_EQ(file->find("x.f32")->describe(), "0.1");
  EXPECT_EQ(file->find("x.false")->describe(), "false");
  EXPECT_EQ(file->find("x.i32s")->describe(), "[-1, 0, 1]");
  EXPECT_EQ(file->find("x.i32s")->describe(2), "[-1, 0, ... 3 in all]");
  EXPECT_EQ(file->find("x.bools")->describe(), "[true, false]");
  EXPECT_THAT(file->find("long")->describe(), HasSubstr("(500 bytes)"));
  EXPECT_EQ(file->find("esc")->describe().find('\n'), std::string::npos);
  EXPECT_EQ(file->find("esc")->describe().find('\x1b'), std::string::npos);
}

TEST(Gguf, ALongTensorNameIsAWarning) {
  GgufWriter writer = plain_gguf();
  writer.add_f32_tensor(std::string(64, 'n'), std::array<std::uint64_t, 1>{1},
                        std::array<float, 1>{1});
  const auto file = parsed(writer);
  ASSERT_EQ(file->warnings().size(), 1u);
  EXPECT_THAT(file->warnings()[0], HasSubstr("64 bytes"));
}

TEST(GgufOpen, NamesTheFileInEveryError) {
  const TempFolder folder;
  const auto absent = GgufFile::open((folder.path() / "absent.gguf").string());
  ASSERT_FALSE(absent.has_value());
  EXPECT_EQ(absent.error().code, ErrorCode::NotFound);
  EXPECT_THAT(absent.error().message, HasSubstr("absent.gguf"));
  const auto path = folder.path() / "broken.gguf";
  write_file(path, std::array<std::byte, 3>{});
  const auto broken = GgufFile::open(path.string());
  ASSERT_FALSE(broken.has_value());
  EXPECT_EQ(broken.error().code, ErrorCode::InvalidModel);
  EXPECT_THAT(broken.error().message, HasSubstr(path.string()));
  EXPECT_FALSE(GgufFile::open(folder.path().string()).has_value());
}

TEST(GgufOpen, MapsAFile) {
  const TempFolder folder;
  const auto path = folder.path() / "m.gguf";
  const auto bytes = rich_gguf().bytes();
  write_file(path, bytes);
  const auto file = GgufFile::open(path.string());
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_EQ((*file)->path(), path.string());
  EXPECT_EQ((*file)->total_bytes(), bytes.size());
  EXPECT_EQ((*file)->shard_paths().size(), 1u);
  EXPECT_THAT((*file)->get_uint("absent").error().message, HasSubstr(path.string()));
}

// A split model of three parts, which a test then damages.
class GgufSplit : public ::testing::Test {
 protected:
  GgufSplit() : parts_(rich_gguf().shards(3)) { write_all(); }
  void write_all() {
    for (unsigned i = 0; i < 3; ++i) write_file(path(i + 1), parts_[i]);
  }
  std::filesystem::path path(unsigned number) const {
    return shard_path(folder_.path(), "m", number, 3);
  }
  std::string refusal() const {
    const auto file = GgufFile::open(path(1).string());
    EXPECT_FALSE(file.has_value());
    return file.has_value() ? "" : file.error().message;
  }
  TempFolder folder_;
  std::vector<std::vector<std::byte>> parts_;
};

TEST_F(GgufSplit, OpensAllParts) {
  const auto file = GgufFile::open(path(1).string());
  ASSERT_TRUE(file.has_value()) << file.error().message;
  const auto whole = parsed(rich_gguf());
  ASSERT_EQ((*file)->tensors().size(), whole->tensors().size());
  for (const GgufTensor& tensor : whole->tensors()) {
    const GgufTensor* found = (*file)->find_tensor(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(found->data, tensor.data)) << tensor.name;
  }
  EXPECT_EQ((*file)->get_uint("x.u8"), 200u);
  EXPECT_EQ((*file)->total_bytes(), parts_[0].size() + parts_[1].size() + parts_[2].size());
  ASSERT_EQ((*file)->shard_paths().size(), 3u);
  EXPECT_EQ((*file)->shard_paths()[2], path(3).string());
}

TEST_F(GgufSplit, AnotherPartNamesTheFirst) {
  const auto file = GgufFile::open(path(2).string());
  ASSERT_FALSE(file.has_value());
  EXPECT_THAT(file.error().message, HasSubstr("open the first part, " + path(1).string()));
}

TEST_F(GgufSplit, AMissingPartIsNamed) {
  std::filesystem::remove(path(3));
  EXPECT_THAT(refusal(), HasSubstr("part 3 of 3"));
  EXPECT_THAT(refusal(), HasSubstr(path(3).string()));
}

TEST_F(GgufSplit, ABrokenPartIsNamed) {
  parts_[1].resize(parts_[1].size() / 2);
  write_all();
  EXPECT_THAT(refusal(), HasSubstr(path(2).string()));
}

TEST_F(GgufSplit, PartsInTheWrongPlaceAreRefused) {
  std::swap(parts_[1], parts_[2]);
  write_all();
  EXPECT_THAT(refusal(), HasSubstr("split.no is 2 of 3, expected 1 of 3"));
}

TEST_F(GgufSplit, APartOfAnotherModelIsRefused) {
  parts_[2] = rich_gguf().shards(4)[2];
  write_all();
  EXPECT_THAT(refusal(), HasSubstr("split.no is 2 of 4, expected 2 of 3"));
  parts_[2] = plain_gguf().shards(3)[2];
  write_all();
  EXPECT_THAT(refusal(), HasSubstr("split.tensors.count is 16, but the 3 parts hold"));
}

TEST_F(GgufSplit, ATensorInTwoPartsIsRefused) {
  GgufWriter twice = plain_gguf();
  twice.add_f32_tensor("a", std::array<std::uint64_t, 1>{4}, std::array<float, 4>{});
  parts_ = twice.shards(3);
  write_all();
  EXPECT_THAT(refusal(), HasSubstr("tensor \"a\" is there twice"));
}

TEST_F(GgufSplit, ARenamedFirstPartIsRefused) {
  const auto renamed = folder_.path() / "model.gguf";
  write_file(renamed, parts_[0]);
  const auto file = GgufFile::open(renamed.string());
  ASSERT_FALSE(file.has_value());
  EXPECT_THAT(file.error().message, HasSubstr("-00001-of-00003.gguf"));
}

}  // namespace
}  // namespace minerva::formats
