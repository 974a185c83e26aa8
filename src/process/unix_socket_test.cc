#include "process/unix_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/gguf_writer.h"
#include "support/raw_client.h"

namespace minerva::process {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class UnixSocketTest : public ::testing::Test {
 protected:
  UnixSocketTest() {
    fs::create_directory(folder());
    fs::permissions(folder(), fs::perms::owner_all);
  }
  fs::path folder() const { return temp_.path() / "private"; }
  std::string socket() const { return (folder() / "socket").string(); }
  static Error refused(const std::string& path) {
    const auto made = listen_privately(path);
    EXPECT_FALSE(made) << path;
    if (!made) return made.error();
    ::close(*made);
    return {};
  }

  test::TempFolder temp_;
};

TEST_F(UnixSocketTest, ListensWhereOnlyWeMayGo) {
  const auto listener = listen_privately(socket());
  ASSERT_TRUE(listener) << listener.error().message;
  struct stat info{};
  ASSERT_EQ(::stat(socket().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 077U, 0U);
  const test::RawClient client(socket());
  EXPECT_TRUE(client.connected());
  const int accepted = ::accept(*listener, nullptr, nullptr);
  EXPECT_TRUE(check_same_user(accepted));
  ::close(accepted);
  ::close(*listener);
}

TEST_F(UnixSocketTest, AFolderThatOthersMayEnterIsRefused) {
  for (const auto extra : {fs::perms::group_exec, fs::perms::others_read, fs::perms::group_write}) {
    fs::permissions(folder(), fs::perms::owner_all | extra);
    const Error error = refused(socket());
    EXPECT_EQ(error.code, ErrorCode::Forbidden);
    EXPECT_THAT(error.message, HasSubstr("0700"));
    EXPECT_FALSE(fs::exists(socket()));
  }
}

TEST_F(UnixSocketTest, ASymlinkInPlaceOfTheFolderIsRefused) {
  fs::create_directory_symlink(folder(), temp_.path() / "link");
  const Error error = refused((temp_.path() / "link" / "socket").string());
  EXPECT_EQ(error.code, ErrorCode::Forbidden);
  EXPECT_FALSE(fs::exists(socket()));
}

TEST_F(UnixSocketTest, WhatIsThereAlreadyStaysThere) {
  std::ofstream(socket()) << "mine";
  EXPECT_EQ(refused(socket()).code, ErrorCode::Forbidden);
  EXPECT_EQ(fs::file_size(socket()), 4U);
  fs::remove(socket());
  fs::create_symlink(temp_.path() / "elsewhere", socket());
  EXPECT_EQ(refused(socket()).code, ErrorCode::Forbidden);
  EXPECT_FALSE(fs::exists(temp_.path() / "elsewhere"));
}

TEST_F(UnixSocketTest, PathsThatAreTooLongOrRelativeAreRefused) {
  EXPECT_EQ(refused("socket").code, ErrorCode::InvalidArgument);
  EXPECT_EQ(refused("").code, ErrorCode::InvalidArgument);
  const Error error = refused(folder().string() + "/" + std::string(108, 's'));
  EXPECT_EQ(error.code, ErrorCode::InvalidArgument);
  EXPECT_THAT(error.message, HasSubstr("107"));
}

TEST_F(UnixSocketTest, AnotherUsersFolderAndConnectionAreRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT RUN: only root can be another user";
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(::chown(folder().c_str(), kNobody, kNobody), 0);
  EXPECT_EQ(refused(socket()).code, ErrorCode::Forbidden);

  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  EXPECT_TRUE(check_same_user(pair[0]));  // both ends are ours
  ::close(pair[0]);
  ::close(pair[1]);
  ASSERT_EQ(::chown(folder().c_str(), 0, 0), 0);
  const auto listener = listen_privately(socket());
  ASSERT_TRUE(listener) << listener.error().message;
  // Even with the way to it opened.
  fs::permissions(temp_.path(), fs::perms::all);
  fs::permissions(folder(), fs::perms::all);
  fs::permissions(socket(), fs::perms::all);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setuid(kNobody) != 0) ::_exit(2);
    const test::RawClient client(socket());
    ::_exit(client.connected() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  const int accepted = ::accept(*listener, nullptr, nullptr);
  const auto peer = check_same_user(accepted);
  ASSERT_FALSE(peer);
  EXPECT_EQ(peer.error().code, ErrorCode::Forbidden);
  EXPECT_THAT(peer.error().message, HasSubstr("65534"));
  ::close(accepted);
  ::close(*listener);
}

}  // namespace
}  // namespace minerva::process
