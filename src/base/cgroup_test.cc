#include "base/cgroup.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "base/system.h"

namespace minerva {
namespace {

namespace fs = std::filesystem;
using Paths = std::vector<std::string>;

Paths paths(std::string_view controller, std::string_view cgroups, std::string_view mounts) {
  Paths result;
  for (const CgroupFolder& folder : cgroup_folders(controller, cgroups, mounts)) {
    result.push_back(folder.path + (folder.v2 ? " v2" : ""));
  }
  return result;
}

constexpr std::string_view kMountV2 =
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr std::string_view kMountsV1 =
    "24 1 0:22 / /proc rw shared:1 - proc proc rw\n"
    "31 25 0:27 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n"
    "32 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

TEST(CgroupFolders, GoUpToTheRoot) {
  EXPECT_EQ(paths("memory", "0::/user.slice/app.service\n", kMountV2),
            (Paths{"/sys/fs/cgroup/user.slice/app.service v2", "/sys/fs/cgroup/user.slice v2",
                   "/sys/fs/cgroup v2"}));
  EXPECT_EQ(paths("memory", "0::/\n", kMountV2), (Paths{"/sys/fs/cgroup v2"}));
}

TEST(CgroupFolders, OfVersion1AreTheControllersOwn) {
  constexpr std::string_view groups = "5:cpu,cpuacct:/c\n4:memory:/a/b\n3:cpuset:/d\n";
  EXPECT_EQ(
      paths("memory", groups, kMountsV1),
      (Paths{"/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory"}));
  EXPECT_EQ(paths("cpu", groups, kMountsV1),
            (Paths{"/sys/fs/cgroup/cpu,cpuacct/c", "/sys/fs/cgroup/cpu,cpuacct"}));
  EXPECT_EQ(paths("pids", groups, kMountsV1), Paths{});
}

TEST(CgroupFolders, OfBothVersionsAtOnce) {
  const std::string mounts =
      std::string(kMountsV1) + "33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  EXPECT_EQ(paths("memory", "4:memory:/a\n0::/b\n", mounts),
            (Paths{"/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory",
                   "/sys/fs/cgroup/unified/b v2", "/sys/fs/cgroup/unified v2"}));
}

// A container sees its own group as the root of the mount, whatever /proc/self/cgroup calls it.
TEST(CgroupFolders, InsideAContainer) {
  constexpr std::string_view mounts =
      "31 25 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
  EXPECT_EQ(paths("memory", "4:memory:/docker/abc\n", mounts), (Paths{"/sys/fs/cgroup/memory"}));
  EXPECT_EQ(paths("memory", "4:memory:/docker/abc/sub\n", mounts),
            (Paths{"/sys/fs/cgroup/memory/sub", "/sys/fs/cgroup/memory"}));
  EXPECT_EQ(paths("memory", "4:memory:/docker/abcdef\n", mounts), (Paths{"/sys/fs/cgroup/memory"}));
  EXPECT_EQ(paths("memory", "0::/../other\n", kMountV2), (Paths{"/sys/fs/cgroup v2"}));
}

TEST(CgroupFolders, OfTextThatIsNone) {
  for (const std::string_view text :
       {"", "\n", ":", "::", "0:", "x\ny\n", "4:memory:", " - ", "a - "}) {
    EXPECT_EQ(paths("memory", text, kMountV2), Paths{}) << text;
    EXPECT_EQ(paths("memory", "0::/a\n", text), Paths{}) << text;
  }
  EXPECT_EQ(paths("memory", "0::/a\n", "1 2 3 / /with\\040blank rw - cgroup2 c rw\n"),
            (Paths{"/with blank/a v2", "/with blank v2"}));
}

TEST(CgroupFiles, AreRead) {
  EXPECT_EQ(cgroup_number("1048576\n"), 1048576u);
  EXPECT_EQ(cgroup_number("max\n"), std::nullopt);
  EXPECT_EQ(cgroup_number("9223372036854771712\n"), std::nullopt);
  EXPECT_EQ(cgroup_number(""), std::nullopt);
  EXPECT_EQ(cgroup_number("-1\n"), std::nullopt);
  EXPECT_EQ(cgroup_number("12 13\n"), std::nullopt);

  constexpr std::string_view stat =
      "cache 1\ninactive_file 20\nactive_file 300\ntotal_inactive_file 4000\n"
      "total_active_file 50000\ntotal_rss 7\n";
  EXPECT_EQ(cgroup_reclaimable(stat, true), 320u);
  EXPECT_EQ(cgroup_reclaimable(stat, false), 54000u);
  EXPECT_EQ(cgroup_reclaimable("inactive_file", true), 0u);

  EXPECT_EQ(cgroup_cpus("150000 100000\n"), 1.5);
  EXPECT_EQ(cgroup_cpus("max 100000\n"), std::nullopt);
  EXPECT_EQ(cgroup_cpus("-1\n", "100000\n"), std::nullopt);
  EXPECT_EQ(cgroup_cpus("50000\n", "100000\n"), 0.5);
  EXPECT_EQ(cgroup_cpus("50000\n", "0\n"), std::nullopt);
  EXPECT_EQ(cgroup_cpus("nan", "inf"), std::nullopt);
}

// A group with a limit, one without below it, and a process in that.
class RealCgroup : public testing::Test {
 protected:
  static constexpr std::uint64_t kLimit = std::uint64_t{96} << 20;

  void SetUp() override {
    const auto read = [](const char* path) {
      std::ostringstream out;
      out << std::ifstream(path).rdbuf();
      return std::move(out).str();
    };
    std::string why = "no cgroup file system is mounted";
    for (const CgroupFolder& own :
         cgroup_folders("memory", read("/proc/self/cgroup"), read("/proc/self/mountinfo"))) {
      const fs::path outer = fs::path(own.path) / ("minerva_test" + std::to_string(::getpid()));
      std::error_code error;
      fs::create_directories(outer / "inner", error);
      std::ofstream limit(outer / (own.v2 ? "memory.max" : "memory.limit_in_bytes"));
      if (!error && limit << kLimit << std::flush) {
        outer_ = outer;
        return;
      }
      why = "cannot limit the memory of a group below " + own.path;
      remove(outer);
    }
    GTEST_SKIP() << "NOT RUN: " << why;
  }
  void TearDown() override { remove(outer_); }

  static void remove(const fs::path& outer) {
    if (outer.empty()) return;
    ::rmdir((outer / "inner").c_str());
    ::rmdir(outer.c_str());
  }

  // What memory_info() says in a process of the inner group, once `prepare` has run there.
  template <class Prepare>
  MemoryInfo info_inside(Prepare prepare) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) return {};
    const ::pid_t child = ::fork();
    if (child == 0) {
      std::ofstream(outer_ / "inner" / "cgroup.procs") << ::getpid() << std::flush;
      prepare();
      const MemoryInfo info = memory_info();
      ::_exit(::write(ends[1], &info, sizeof info) == sizeof info ? 0 : 1);
    }
    ::close(ends[1]);
    MemoryInfo info;
    if (::read(ends[0], &info, sizeof info) != sizeof info) info = {};
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    return info;
  }

  fs::path outer_;
};

TEST_F(RealCgroup, TheLimitOfAGroupAboveIsSeen) {
  const MemoryInfo outside = memory_info();
  ASSERT_GT(outside.total_bytes, kLimit);
  const MemoryInfo inside = info_inside([] {});
  EXPECT_EQ(inside.total_bytes, kLimit);
  EXPECT_LE(inside.available_bytes, kLimit);
  EXPECT_GT(inside.available_bytes, kLimit / 2);
}

TEST_F(RealCgroup, MemoryInUseIsNotAvailableButFilePagesAre) {
  // ThreadSanitizer's shadow takes four times as much again, and the group holds that, too.
  constexpr std::size_t kUsed = std::size_t{12} << 20;
  const MemoryInfo used = info_inside([] {
    // Never freed: it is still there when the figures are read.
    volatile char* bytes = new char[kUsed];
    for (std::size_t i = 0; i < kUsed; i += 1024) bytes[i] = 1;
  });
  EXPECT_EQ(used.total_bytes, kLimit);
  EXPECT_LT(used.available_bytes, kLimit - kUsed);

  constexpr std::size_t kBytes = std::size_t{48} << 20;

  const fs::path file = fs::path(testing::TempDir()) / ("cache" + std::to_string(::getpid()));
  const MemoryInfo cached = info_inside([&] {
    std::ofstream out(file, std::ios::binary);
    const std::string piece(std::size_t{1} << 20, 'x');
    for (std::size_t i = 0; i < kBytes; i += piece.size()) out << piece;
    out.close();
    ::sync();
  });
  fs::remove(file);
  EXPECT_GT(cached.available_bytes, kLimit - kBytes);
}

TEST(ProportionalBytes, CountWhatWeUse) {
  const ProportionalBytes before = proportional_bytes();
  ASSERT_GT(before.total, 0u);
  EXPECT_GT(before.files, 0u) << "our own program is a file";
  EXPECT_LT(before.files, before.total);
  constexpr std::size_t kBytes = std::size_t{32} << 20;
  const std::unique_ptr<char[]> bytes(new char[kBytes]);
  volatile char* written = bytes.get();
  for (std::size_t i = 0; i < kBytes; i += 1024) written[i] = 1;
  EXPECT_GE(proportional_bytes(::getpid()).total, before.total + kBytes / 2);
  EXPECT_EQ(proportional_bytes(-1).total, 0u);
}

}  // namespace
}  // namespace minerva
