#include "process/output_log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace minerva::process {
namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

std::string contents_of(const fs::path& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return std::move(out).str();
}

OutputLog in_memory(OutputLog::Limits limits) {
  return std::move(OutputLog::open("", limits).value());
}

class OutputLogFile : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  const fs::path folder_ = fs::path(testing::TempDir()) / ("log" + std::to_string(::getpid()));
};

// Whatever the pieces in which the bytes come.
TEST(OutputLog, MakesLinesOfPieces) {
  const std::string text = "one\ntwo\r\n\n  0%|\r 50%|\r100%|\nred \x1b[31m\nlast";
  const Lines wanted{"one", "two", "", "100%|", "red \\x1b[31m", "last"};
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    OutputLog log = in_memory({});
    log.append(text.substr(0, cut));
    log.append(text.substr(cut));
    log.finish();
    log.finish();
    EXPECT_EQ(log.last(10), wanted) << cut;
  }
}

TEST(OutputLog, KeepsTheNewestAndCutsLongOnes) {
  OutputLog log = in_memory({.lines_max = 3, .line_bytes_max = 5});
  log.append("1\n2\n3\n12345\n1234567\n");
  EXPECT_EQ(log.last(10), (Lines{"3", "12345", "12345 [2 bytes more]"}));
  EXPECT_EQ(log.last(1), (Lines{"12345 [2 bytes more]"}));
  EXPECT_EQ(log.last(0), Lines{});
}

TEST_F(OutputLogFile, IsAppendedToAndNeverLarge) {
  const std::string path = folder_ / "a.log";
  std::ofstream(path) << "from before\n";
  fs::permissions(path, fs::perms::all);
  auto log = OutputLog::open(path, {.file_bytes_max = 40});
  ASSERT_TRUE(log.has_value()) << log.error().message;
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  log->append("twenty bytes, or so.\n");
  EXPECT_EQ(contents_of(path), "from before\ntwenty bytes, or so.\n");
  log->append("this one is too much\n");
  EXPECT_EQ(contents_of(path), "this one is too much\n");
  EXPECT_EQ(contents_of(path + ".1"), "from before\ntwenty bytes, or so.\n");
  log->append("that one, again, too\n");
  EXPECT_EQ(contents_of(path + ".1"), "this one is too much\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);
}

TEST_F(OutputLogFile, FollowsNoLinkAndWaitsForNoPipe) {
  const std::string victim = folder_ / "victim";
  std::ofstream(victim) << "precious";
  fs::create_symlink(victim, folder_ / "link");
  const auto link = OutputLog::open(folder_ / "link", {});
  ASSERT_FALSE(link.has_value());
  EXPECT_NE(link.error().message.find("symlink"), std::string::npos);
  EXPECT_EQ(contents_of(victim), "precious");

  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_FALSE(OutputLog::open(folder_ / "pipe", {}).has_value());
  EXPECT_FALSE(OutputLog::open(folder_, {}).has_value());
  EXPECT_FALSE(OutputLog::open(folder_ / "no" / "folder", {}).has_value());
}

// A full disk ends the file, not the child.
TEST_F(OutputLogFile, WithoutSpaceLinesAreStillKept) {
  auto log = OutputLog::open(folder_ / "b.log", {.file_bytes_max = 4});
  ASSERT_TRUE(log.has_value());
  log->append("first\n");
  fs::remove_all(folder_);  // neither can it be renamed nor opened anew
  log->append("second\nthird\n");
  EXPECT_EQ(log->last(10), (Lines{"first", "second", "third"}));
}

}  // namespace
}  // namespace minerva::process
