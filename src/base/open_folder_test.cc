#include "base/open_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

namespace minerva {
namespace {

namespace fs = std::filesystem;

class OpenFolderTest : public ::testing::Test {
 protected:
  OpenFolderTest() {
    std::string name = (fs::temp_directory_path() / "minerva-open-folder-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) root_ = name;
    write("inside/plain", "12345");
    write("outside", "secret");
    fs::create_symlink("../outside", root_ / "inside/link");
    fs::create_directory(root_ / "inside/sub");
    ::mkfifo((root_ / "inside/pipe").c_str(), 0600);
  }
  ~OpenFolderTest() override { fs::remove_all(root_); }
  void write(const fs::path& name, std::string_view text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << text;
  }
  fs::path root_;
};

TEST_F(OpenFolderTest, SaysWhatIsThere) {
  const auto folder = OpenFolder::open((root_ / "inside").string());
  ASSERT_TRUE(folder) << folder.error().message;
  const auto items = folder->items(10);
  ASSERT_TRUE(items) << items.error().message;
  ASSERT_EQ(items->size(), 4U);
  EXPECT_EQ((*items)[0].name, "link");
  EXPECT_EQ((*items)[0].type, FileType::Symlink);
  EXPECT_EQ((*items)[0].link_target, "../outside");
  EXPECT_EQ((*items)[0].target_type, FileType::Regular);
  EXPECT_EQ((*items)[0].size_bytes, 6U);
  EXPECT_EQ((*items)[1].type, FileType::Other);
  EXPECT_EQ((*items)[2].type, FileType::Regular);
  EXPECT_EQ((*items)[2].size_bytes, 5U);
  EXPECT_GT((*items)[2].modified_ns, 0);
  EXPECT_EQ((*items)[3].type, FileType::Folder);
  EXPECT_EQ(folder->items(10)->size(), 4U) << "a second look sees the same";
  EXPECT_EQ(folder->items(3).error().code, ErrorCode::TooLarge);
}

TEST_F(OpenFolderTest, ReadsPlainFilesOnly) {
  const auto folder = OpenFolder::open((root_ / "inside").string());
  ASSERT_TRUE(folder);
  EXPECT_EQ(folder->read_file("plain", 5).value(), "12345");
  EXPECT_EQ(folder->read_file("plain", 4).error().code, ErrorCode::TooLarge);
  EXPECT_FALSE(folder->read_file("link", 100)) << "a link is not followed";
  EXPECT_FALSE(folder->read_file("pipe", 100)) << "a pipe is not waited for";
  EXPECT_FALSE(folder->read_file("sub", 100));
  EXPECT_EQ(folder->read_file("none", 100).error().code, ErrorCode::NotFound);
}

TEST_F(OpenFolderTest, HoldsTheFolderThatWasOpened) {
  auto folder = OpenFolder::open((root_ / "inside").string());
  ASSERT_TRUE(folder);
  fs::rename(root_ / "inside", root_ / "moved");
  write("inside/plain", "another");
  EXPECT_EQ(folder->read_file("plain", 100).value(), "12345");
  fs::create_directory_symlink(root_, root_ / "moved/up");
  EXPECT_FALSE(folder->open_inside("up")) << "a link to a folder is not followed";
  EXPECT_TRUE(folder->open_inside("sub"));
}

}  // namespace
}  // namespace minerva
