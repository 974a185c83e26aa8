#include "process/port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "process/file_descriptor.h"
#include "process/test_children.h"

namespace minerva::process {
namespace {

namespace fs = std::filesystem;

FileDescriptor listen_at(std::uint16_t port, bool shared) {
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = shared ? 1 : 0;
  ::setsockopt(socket.number(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  ::sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(socket.number(), reinterpret_cast<::sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.number(), 1) != 0) {
    socket.reset();
  }
  return socket;
}

TEST(LoopbackPort, CanBeListenedAt) {
  const auto port = free_loopback_port();
  ASSERT_TRUE(port.has_value());
  EXPECT_GE(*port, 1024);
  const FileDescriptor socket = listen_at(*port, false);
  ASSERT_TRUE(socket);
  EXPECT_TRUE(listens(::getpid(), *port));
}

TEST(LoopbackPort, KnowsWhoListens) {
  const auto port = free_loopback_port();
  ASSERT_TRUE(port.has_value());
  const auto engine = start(options_of({FAKE_ENGINE, "--port", std::to_string(*port)}));
  const auto other = shell("sleep 1000; :");
  ASSERT_NE(engine, nullptr);
  ASSERT_NE(other, nullptr);
  ASSERT_TRUE(eventually([&] { return printed(*engine, "listening on"); }));
  EXPECT_TRUE(listens(engine->pid(), *port));
  EXPECT_TRUE(listens(::getpid(), *port)) << "of a descendant";
  EXPECT_FALSE(listens(other->pid(), *port)) << "of another process";
  EXPECT_FALSE(listens(engine->pid(), static_cast<std::uint16_t>(*port ^ 1)));
  engine->stop(kShortLadder);
  EXPECT_FALSE(listens(::getpid(), *port));
}

// Two programs at one port, as SO_REUSEPORT has it: connections could go to either.
TEST(LoopbackPort, ASharedPortIsNobodys) {
  const auto port = free_loopback_port();
  ASSERT_TRUE(port.has_value());
  FileDescriptor first = listen_at(*port, true);
  const FileDescriptor second = listen_at(*port, true);
  ASSERT_TRUE(first && second);
  // A process that has one of the two only.
  const ::pid_t child = ::fork();
  if (child == 0) {
    first.reset();
    while (true) ::pause();
  }
  EXPECT_TRUE(eventually([&] { return !listens(child, *port); }));
  EXPECT_TRUE(listens(::getpid(), *port));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST(LoopbackPort, ReadsTheTables) {
  const std::string head = "  sl  local_address rem_address   st tx_queue rx_queue tr\n";
  const auto line = [](const char* address, const char* state, int inode) {
    return "   0: " + std::string(address) + " 00000000:0000 " + state +
           " 00000000:00000000 00:00000000 00000000     0        0 " + std::to_string(inode) +
           " 1 0000000000000000 100 0 0 10 0\n";
  };
  const std::string tcp = head + line("0100007F:1F90", "0A", 11) + line("0100007F:1F90", "01", 12) +
                          line("00000000:1F90", "0A", 13) + line("0100007F:1F91", "0A", 14) +
                          line("0200007F:1F90", "0A", 15) + "   1: 0100007F:1F90 cut\n";
  const std::string tcp6 = head + line("00000000000000000000000000000000:1F90", "0A", 21) +
                           line("00000000000000000000000001000000:1F90", "0A", 22) +
                           line("0000000000000000FFFF00000100007F:1F90", "0A", 23);
  std::vector<std::uint64_t> inodes;
  for (const auto& socket : listening_sockets(tcp, tcp6, 0x1f90)) inodes.push_back(socket.inode);
  EXPECT_EQ(inodes, (std::vector<std::uint64_t>{11, 13, 21, 23}));
  EXPECT_TRUE(listening_sockets("", "\n\n \n", 0x1f90).empty());
}

class PrivateFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "mXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    parent_ = pattern;
  }
  void TearDown() override { fs::remove_all(parent_); }
  std::string parent_;
};

unsigned mode_of(const std::string& path) {
  struct ::stat info{};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

TEST_F(PrivateFolderTest, IsOursAloneAndGoesWithItsOwner) {
  std::string path;
  for (const ::mode_t mask : {0u, 022u, 0777u}) {
    const ::mode_t before = ::umask(mask);
    const auto folder = PrivateFolder::make(parent_ + "/run-");
    const auto secret = folder ? folder->write_secret("key", "sesame") : std::string();
    ::umask(before);
    ASSERT_TRUE(folder.has_value()) << folder.error().message;
    ASSERT_TRUE(secret.has_value()) << secret.error().message;
    path = folder->path();
    EXPECT_TRUE(path.starts_with(parent_ + "/run-"));
    EXPECT_EQ(mode_of(path), 0700u);
    EXPECT_EQ(*secret, path + "/key");
    EXPECT_EQ(mode_of(*secret), 0600u);
    std::ofstream(path + "/other") << "left by a child";
    fs::create_directories(path + "/sub/folder");
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(fs::is_empty(parent_));
}

TEST_F(PrivateFolderTest, MovesWithoutLosingAFolder) {
  auto first = PrivateFolder::make(parent_ + "/a");
  auto second = PrivateFolder::make(parent_ + "/b");
  ASSERT_TRUE(first && second);
  const std::string kept = second->path();
  *first = std::move(*second);
  EXPECT_EQ(first->path(), kept);
  EXPECT_TRUE(fs::exists(kept));
}

TEST_F(PrivateFolderTest, SecretsGoToNoOtherPlace) {
  const auto folder = PrivateFolder::make(parent_ + "/run-");
  ASSERT_TRUE(folder.has_value());
  const std::string victim = parent_ + "/victim";
  std::ofstream(victim) << "precious";
  fs::create_symlink(victim, folder->path() + "/key");
  const auto path = folder->write_secret("key", "one");
  ASSERT_TRUE(path.has_value());
  EXPECT_TRUE(folder->write_secret("key", "two").has_value());
  std::stringstream written;
  written << std::ifstream(*path).rdbuf();
  EXPECT_EQ(written.str(), "two");
  EXPECT_EQ(fs::file_size(victim), 8u);
  for (const std::string_view bad : {"", ".", "..", "../key", "a/b", "/abs"}) {
    EXPECT_FALSE(folder->write_secret(bad, "x").has_value()) << bad;
  }
}

TEST_F(PrivateFolderTest, RefusesParentsThatOthersControl) {
  const auto refusal = [](const std::string& prefix) {
    const auto folder = PrivateFolder::make(prefix);
    return folder ? "made " + folder->path() : folder.error().message;
  };
  fs::create_directory(parent_ + "/real");
  fs::create_directory_symlink(parent_ + "/real", parent_ + "/link");
  EXPECT_NE(refusal(parent_ + "/link/run-").find("symlink"), std::string::npos);
  std::ofstream(parent_ + "/file") << "x";
  EXPECT_NE(refusal(parent_ + "/file/run-").find("no folder"), std::string::npos);
  EXPECT_NE(refusal(parent_ + "/missing/run-").find("No such file"), std::string::npos);
  fs::permissions(parent_ + "/real", fs::perms::all);
  EXPECT_NE(refusal(parent_ + "/real/run-").find("chmod go-w"), std::string::npos);
  ASSERT_EQ(::chmod((parent_ + "/real").c_str(), 01777), 0);
  EXPECT_TRUE(refusal(parent_ + "/real/run-").starts_with("made ")) << "sticky, like a /tmp";
  EXPECT_NE(refusal("relative/run-").find("absolute"), std::string::npos);
  const std::string deep = parent_ + "/" + std::string(90, 'd');
  fs::create_directory(deep);
  EXPECT_NE(refusal(deep + "/run-").find("at most 82"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(parent_ + "/real"));
}

TEST_F(PrivateFolderTest, RefusesAnotherUsersParent) {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT RUN: only root can make another user's folder";
  ASSERT_EQ(::chown(parent_.c_str(), 65534, 65534), 0);
  const auto folder = PrivateFolder::make(parent_ + "/run-");
  ASSERT_FALSE(folder.has_value());
  EXPECT_NE(folder.error().message.find("belongs to user 65534"), std::string::npos);
}

TEST_F(PrivateFolderTest, AnotherUserCannotEnter) {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT RUN: only root can become another user";
  ASSERT_EQ(::chmod(parent_.c_str(), 0755), 0);  // so that only the folder itself is in the way
  const auto folder = PrivateFolder::make(parent_ + "/run-");
  ASSERT_TRUE(folder.has_value());
  const auto secret = folder->write_secret("key", "sesame");
  ASSERT_TRUE(secret.has_value());
  ASSERT_EQ(::chmod(secret->c_str(), 0644), 0);  // even a careless file is out of reach
  const ::pid_t other = ::fork();
  if (other == 0) {
    if (::setresuid(65534, 65534, 65534) != 0 || ::access(parent_.c_str(), X_OK) != 0) ::_exit(2);
    ::_exit(::open(secret->c_str(), O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(other, &status, 0), other);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(PrivateFolderDefault, IsMadeForTheRunningUser) {
  const auto folder = PrivateFolder::make("minerva-");
  ASSERT_TRUE(folder.has_value()) << folder.error().message;
  EXPECT_EQ(mode_of(folder->path()), 0700u);
}

TEST(RandomKey, Is256BitsAndNeverTheSame) {
  std::set<std::string> keys;
  for (int i = 0; i < 100; ++i) {
    const std::string key = random_key();
    EXPECT_EQ(key.size(), 64u);
    EXPECT_EQ(key.find_first_not_of("0123456789abcdef"), std::string::npos);
    keys.insert(key);
  }
  EXPECT_EQ(keys.size(), 100u);
}

}  // namespace
}  // namespace minerva::process
