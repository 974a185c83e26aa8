#include "formats/gguf_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "formats/gguf.h"
#include "support/gguf_writer.h"

namespace minerva::formats {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::vector<std::byte> counted(std::size_t n) {
  std::vector<std::byte> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>(i * 7 + 1);
  return out;
}

class Writer : public testing::Test {
 protected:
  Result<std::unique_ptr<GgufWriter>> create(bool overwrite = false) {
    GgufMetadata metadata;
    metadata.add_string("general.architecture", "llama");
    metadata.add_u32("llama.block_count", 3);
    metadata.add_f32("llama.eps", 0.25F);
    metadata.add_bool("flag", true);
    const std::vector<std::string_view> words = {"a", "", "ccc"};
    metadata.add_strings("words", words);
    metadata.add_i32s("kinds", std::vector<std::int32_t>{1, -2});
    metadata.add_f32s("scores", std::vector<float>{0.5F, -1});
    metadata.add_bools("flags", {true, false, true});
    return GgufWriter::create(
        path_, overwrite, metadata,
        {{"a", DType::F32, 1, {5, 1, 1, 1}}, {"b", DType::Q8_0, 3, {32, 3, 2, 1}}});
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()));
  }

  test::TempFolder folder_;
  std::string path_ = (folder_.path() / "out.gguf").string();
};

TEST_F(Writer, WhatItWritesIsReadBack) {
  auto writer = create();
  ASSERT_TRUE(writer) << writer.error().message;
  const auto a = counted(20);
  const auto b = counted(6 * 34);
  // In pieces that keep to no tensor's end.
  std::vector<std::byte> all = a;
  all.insert(all.end(), b.begin(), b.end());
  ASSERT_TRUE((*writer)->write(std::span(all).first(30)));
  ASSERT_TRUE((*writer)->write(std::span(all).subspan(30)));
  EXPECT_FALSE(fs::exists(path_)) << "before it is whole";
  ASSERT_TRUE((*writer)->finish());
  EXPECT_EQ((*writer)->file_bytes(), fs::file_size(path_));
  writer->reset();
  EXPECT_EQ(files(), 1U);

  const auto file = GgufFile::open(path_);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE((*file)->warnings().empty());
  EXPECT_EQ((*file)->get_string("general.architecture").value(), "llama");
  EXPECT_EQ((*file)->get_uint("llama.block_count").value(), 3U);
  EXPECT_EQ((*file)->get_float("llama.eps").value(), 0.25);
  EXPECT_TRUE((*file)->get_bool("flag").value());
  EXPECT_EQ((*file)->get_strings("words").value(), (std::vector<std::string_view>{"a", "", "ccc"}));
  EXPECT_EQ((*file)->get_ints("kinds").value(), (std::vector<std::int64_t>{1, -2}));
  EXPECT_EQ((*file)->get_floats("scores").value(), (std::vector<float>{0.5F, -1}));
  EXPECT_EQ((*file)->get_bools("flags").value(), (std::vector<bool>{true, false, true}));
  ASSERT_EQ((*file)->tensors().size(), 2U);
  const GgufTensor& second = (*file)->tensors()[1];
  EXPECT_EQ(second.shape(), "32x3x2");
  EXPECT_EQ(second.type, DType::Q8_0);
  EXPECT_TRUE(std::ranges::equal((*file)->tensors()[0].data, a));
  EXPECT_TRUE(std::ranges::equal(second.data, b));
  // Taken over as they stand, for a file that is made of another.
  GgufMetadata copy;
  for (const GgufKeyValue& entry : (*file)->metadata()) copy.add(entry.key, entry.value);
  const auto again = GgufFile::parse(copy.file());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ((*again)->get_strings("words").value(), (*file)->get_strings("words").value());
  EXPECT_EQ((*again)->get_bools("flags").value(), (*file)->get_bools("flags").value());
  EXPECT_EQ((*again)->get_string("general.architecture").value(), "llama");
}

TEST_F(Writer, LeavesNothingBehindWhenItIsGivenUp) {
  std::ofstream(path_) << "old";
  {
    auto writer = create(true);
    ASSERT_TRUE(writer);
    ASSERT_TRUE((*writer)->write(counted(40)));
    EXPECT_EQ(files(), 2U);
  }
  EXPECT_EQ(files(), 1U);
  EXPECT_EQ(fs::file_size(path_), 3U);
}

TEST_F(Writer, ReplacesOnlyWhenTold) {
  std::ofstream(path_) << "old";
  const auto refused = create();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("--force"));
  auto writer = create(true);
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->write(counted(20 + 6 * 34)));
  ASSERT_TRUE((*writer)->finish());
  EXPECT_TRUE(GgufFile::open(path_));
}

TEST_F(Writer, TwoDoNotShareAFile) {
  const auto first = create();
  ASSERT_TRUE(first);
  const auto second = create();
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr(path_ + ".part is there"));
  EXPECT_TRUE(fs::exists(path_ + ".part")) << "it is the first one's";
}

// As a full disk does, a limit on the file's size ends a write half way.
TEST_F(Writer, AFullDiskIsAnErrorAndLeavesNothing) {
  ::rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const ::rlimit small{512, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  auto writer = create();
  Result<void> done;
  if (writer) done = (*writer)->write(counted(20 + 6 * 34));
  if (writer && done) done = (*writer)->finish();
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::Io);
  EXPECT_THAT(done.error().message, HasSubstr(path_ + ".part"));
  writer->reset();
  EXPECT_EQ(files(), 0U);
}

TEST_F(Writer, SaysWhereItCannotWrite) {
  path_ = (folder_.path() / "missing" / "out.gguf").string();
  const auto refused = create();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Io);
  EXPECT_THAT(refused.error().message, HasSubstr("missing"));
}

}  // namespace
}  // namespace minerva::formats
