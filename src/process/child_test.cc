#include "process/child.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "process/test_children.h"

namespace minerva::process {
namespace {

namespace fs = std::filesystem;

std::string contents_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

fs::path proc(const Child& child, const char* file) {
  return fs::path("/proc") / std::to_string(child.pid()) / file;
}

TEST(Child, ReportsTheExitCodeAndTheSignal) {
  auto child = shell("echo out; echo err >&2; exit 3");
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(child->wait_for(kBounded));
  EXPECT_EQ(child->exit_status()->code, 3);
  EXPECT_EQ(child->exit_status()->words(), "exit code 3");
  // All that it has printed is there when it is known to have ended.
  EXPECT_EQ(child->last_log_lines(10), (std::vector<std::string>{"out", "err"}));
  EXPECT_EQ(child->last_log_lines(1), (std::vector<std::string>{"err"}));
  EXPECT_FALSE(child->signal(SIGTERM).has_value());

  child = shell("kill -SEGV $$");
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(child->wait_for(kBounded));
  EXPECT_EQ(child->exit_status()->code, 128 + SIGSEGV);
  EXPECT_EQ(child->exit_status()->words(), "SIGSEGV");
}

TEST(Child, StopsByTheFirstSignalWhenItListens) {
  const auto child =
      shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(eventually([&] { return printed(*child, "ready"); }));
  EXPECT_FALSE(child->wait_for(Duration(0)));
  EXPECT_EQ(child->stop({kBounded, kBounded}).words(), "exit code 0");
  EXPECT_TRUE(printed(*child, "bye"));
  EXPECT_EQ(child->stop(kShortLadder).words(), "exit code 0");  // again: nothing to do
}

// The second SIGTERM ends what the first one only makes hang.
TEST(Child, SendsTheSecondSignal) {
  const auto child = shell(
      "trap 'trap \"exit 7\" TERM; echo first' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(eventually([&] { return printed(*child, "ready"); }));
  EXPECT_EQ(child->stop({std::chrono::milliseconds(500), kBounded}).words(), "exit code 7");
}

TEST(Child, IsKilledWhenItIgnoresSignals) {
  const std::string mark = fresh_mark();
  const auto child = start(options_of({FAKE_ENGINE, "--ignore-sigterm"}, {mark}));
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(eventually([&] { return printed(*child, "listening on"); }));
  EXPECT_EQ(child->stop(kShortLadder).words(), "SIGKILL");
  EXPECT_TRUE(nobody_has(mark));
}

// One that is stopped gets to see SIGTERM, since SIGCONT comes with it.
TEST(Child, StopsWhenItIsStopped) {
  const auto child = shell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(eventually([&] { return printed(*child, "ready"); }));
  ASSERT_TRUE(child->signal(SIGSTOP).has_value());
  ASSERT_TRUE(eventually([&] {
    const auto stat = parse_process_stat(contents_of(proc(*child, "stat")));
    return stat && stat->state == 'T';
  }));
  EXPECT_EQ(child->stop({kBounded, kBounded}).words(), "exit code 5");
}

TEST(Child, GrandchildrenDieWithIt) {
  const std::string mark = fresh_mark();
  const auto child = start(options_of({FAKE_ENGINE, "--ignore-sigterm", "--grandchild"}, {mark}));
  ASSERT_NE(child, nullptr);
  // The engine and its grandchild, which is in a session of its own and holds the pipes; guards.
  ASSERT_TRUE(
      eventually([&] { return printed(*child, "listening on") && child->usage().processes == 2; }));
  EXPECT_EQ(processes_with_environment(mark).size(), 4u);
  EXPECT_EQ(child->stop(kShortLadder).words(), "SIGKILL");
  EXPECT_TRUE(nobody_has(mark));
}

TEST(Child, GrandchildrenEndAfterIt) {
  const std::string mark = fresh_mark();
  const auto child = shell("trap '' TERM; setsid sleep 1000 & echo ready; exit 4", {mark});
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(child->wait_for(kBounded));
  EXPECT_EQ(child->exit_status()->code, 4);
  EXPECT_TRUE(eventually([&] { return nobody_has(mark); }));
}

TEST(Child, TheDestructorEndsTheTree) {
  const std::string mark = fresh_mark();
  {
    const auto child = start(options_of({FAKE_ENGINE, "--ignore-sigterm", "--grandchild"}, {mark}));
    ASSERT_NE(child, nullptr);
    ASSERT_TRUE(eventually([&] { return child->usage().processes == 2; }));
  }
  EXPECT_TRUE(nobody_has(mark));
}

// A fork bomb of a kind: each process makes the next one and ends.
TEST(Child, ATreeThatRunsAwayIsCaught) {
  const std::string mark = fresh_mark();
  const auto child =
      shell("f() { sleep 0.002; (f &) ; exit 0; }; (f &); (f &); echo ready; sleep 1000", {mark});
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(eventually([&] { return printed(*child, "ready"); }));
  EXPECT_FALSE(child->stop(kShortLadder).code == 0);
  EXPECT_TRUE(nobody_has(mark));
}

TEST(Child, SaysWhyItDoesNotStart) {
  const fs::path folder = fs::path(testing::TempDir()) / ("spawn" + std::to_string(::getpid()));
  fs::create_directories(folder);
  const auto write = [&](const char* name, const char* text, fs::perms mode) {
    std::ofstream(folder / name) << text;
    fs::permissions(folder / name, mode);
    return (folder / name).string();
  };
  const auto error_of = [](std::vector<std::string> argv) {
    const auto child = Child::spawn(options_of(std::move(argv)));
    return child ? std::string("it started") : child.error().message;
  };
  using fs::perms;
  EXPECT_NE(error_of({(folder / "missing").string()}).find("missing: no such file"),
            std::string::npos);
  EXPECT_NE(error_of({folder.string()}).find("is a folder"), std::string::npos);
  EXPECT_NE(error_of({write("plain", "#!/bin/sh\n", perms::owner_read)}).find("chmod +x"),
            std::string::npos);
  EXPECT_NE(error_of({write("bad", "#!/no/such/interpreter\n", perms::owner_all)})
                .find("the interpreter or loader"),
            std::string::npos);
  EXPECT_NE(error_of({write("text", "not a program", perms::owner_all)})
                .find("is not a program of this machine"),
            std::string::npos);
  EXPECT_NE(error_of({"sh"}).find("absolute path, not 'sh'"), std::string::npos);
  EXPECT_NE(error_of({}).find("absolute path"), std::string::npos);
  EXPECT_NE(error_of({"/bin/sh", std::string("a\0b", 3)}).find("zero byte"), std::string::npos);

  ChildOptions options = options_of({"/bin/true"});
  options.working_directory = (folder / "nowhere").string();
  EXPECT_NE(Child::spawn(options).error().message.find("nowhere: No such file"), std::string::npos);
  options = options_of({"/bin/true"});
  options.guard = {(folder / "no_guard").string()};
  EXPECT_NE(Child::spawn(options).error().message.find("cannot start its guard"),
            std::string::npos);
  options.guard = {"/bin/sh", "-c", "echo what is this; exit 1"};
  EXPECT_NE(Child::spawn(options).error().message.find("ended at once: what is this"),
            std::string::npos);
  fs::remove_all(folder);
}

TEST(Child, ArgumentsArriveByteForByte) {
  const std::vector<std::string> argv{
      "/bin/sh", "-c", "sleep 1000; :", "sh",          "--flag=a b", "; rm -rf $HOME", "two\nlines",
      "-m",      "",   "\"'\\`$(id)",   "\xc3\xa9\xff"};
  const auto child = start(options_of(argv, {"PATH=/usr/bin:/bin"}));
  ASSERT_NE(child, nullptr);
  std::string wanted;
  for (const std::string& argument : argv) wanted += argument + '\0';
  EXPECT_EQ(contents_of(proc(*child, "cmdline")), wanted);
}

TEST(Child, GetsItsEnvironmentAndNothingOfOurs) {
  ::setenv("MINERVA_TEST_POISON", "1", 1);
  const auto child = shell("sleep 1000; :", {"B=2", "A=1 1"});
  ::unsetenv("MINERVA_TEST_POISON");
  ASSERT_NE(child, nullptr);
  const std::string wanted("B=2\0A=1 1\0PATH=/usr/bin:/bin\0", 29);
  EXPECT_EQ(contents_of(proc(*child, "environ")), wanted);
}

TEST(Child, GetsNoneOfOurFiles) {
  // Not even those that were opened without O_CLOEXEC.
  std::FILE* leak = std::fopen("/proc/self/status", "r");
  ASSERT_NE(leak, nullptr);
  const auto child = shell("echo ready; exec sleep 1000");
  ASSERT_NE(child, nullptr);
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(proc(*child, "fd"))) {
    files[entry.path().filename()] = fs::read_symlink(entry.path());
  }
  std::fclose(leak);
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files["0"], "/dev/null");
  EXPECT_EQ(files["1"], files["2"]);
  EXPECT_TRUE(files["1"].starts_with("pipe:"));
}

TEST(Child, RunsWithLessThanWeMayDo) {
  ChildOptions options = options_of({"/bin/sh", "-c", "umask; ulimit -c; pwd; exec sleep 1000"},
                                    {"PATH=/usr/bin:/bin"});
  options.cpus = 1;
  const auto child = start(options);
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(eventually([&] { return child->last_log_lines(3).size() == 3; }));
  EXPECT_EQ(child->last_log_lines(3), (std::vector<std::string>{"0077", "0", "/"}));
  std::ifstream status(proc(*child, "status"));
  std::map<std::string, std::string> fields;
  for (std::string name, value; status >> name && std::getline(status >> std::ws, value);) {
    fields[name] = value;
  }
  EXPECT_EQ(fields["NoNewPrivs:"], "1");
  EXPECT_EQ(fields["SigBlk:"], "0000000000000000");
  EXPECT_EQ(fields["SigIgn:"], "0000000000000000");
  EXPECT_EQ(fields["Cpus_allowed_list:"].find_first_of(",-"), std::string::npos);
  const int ours = std::stoi(contents_of("/proc/self/oom_score_adj"));
  EXPECT_EQ(std::stoi(contents_of(proc(*child, "oom_score_adj"))), std::min(ours + 100, 1000));
  const auto stat = parse_process_stat(contents_of(proc(*child, "stat")));
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->session, child->pid());
}

TEST(Child, AFloodNeitherBlocksNorFills) {
  const fs::path log = fs::path(testing::TempDir()) / ("flood" + std::to_string(::getpid()));
  // One line of 20 MB, then 20 MB of lines.
  ChildOptions options = options_of({"/bin/sh", "-c",
                                     "head -c 20000000 /dev/zero | tr '\\0' x; echo; "
                                     "yes \"$(head -c 199 /dev/zero | tr '\\0' y)\" | "
                                     "head -n 100000; echo the end"},
                                    {"PATH=/usr/bin:/bin"});
  options.log_path = log;
  options.log_lines_max = 20;
  const auto child = start(options);
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(child->wait_for(kBounded));
  const auto lines = child->last_log_lines(1000);
  EXPECT_EQ(lines.size(), 20u);
  EXPECT_EQ(lines.back(), "the end");
  constexpr std::uintmax_t kFileMax = std::uintmax_t{8} << 20;
  EXPECT_LE(fs::file_size(log), kFileMax);
  EXPECT_LE(fs::file_size(log.string() + ".1"), kFileMax);
  EXPECT_EQ(fs::status(log).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  fs::remove(log);
  fs::remove(log.string() + ".1");
}

TEST(Child, CountsWhatItsTreeUses) {
  const auto child = shell("sleep 1000 & while :; do :; done");
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(eventually([&] {
    const TreeUsage usage = child->usage();
    return usage.processes == 2 && usage.cpu_time > std::chrono::milliseconds(20) &&
           usage.pss_bytes > 0 && usage.mapped_bytes > 0 && usage.mapped_bytes < usage.pss_bytes;
  }));
  child->stop(kShortLadder);
  EXPECT_EQ(child->usage().processes, 0u);
}

std::size_t open_files() {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), {}));
}

TEST(Child, LeavesNoFilesAndNoZombies) {
  {
    const auto warm_up = shell("exit 0");
  }
  const std::size_t before = open_files();
  for (int i = 0; i < 200; ++i) {
    const auto child = Child::spawn(options_of({i % 4 == 3 ? "/no/such" : "/bin/sleep", "1000"}));
    ASSERT_EQ(child.has_value(), i % 4 != 3);
    if (i % 2 == 0) (*child)->stop(kShortLadder);
  }
  EXPECT_EQ(open_files(), before);
  EXPECT_TRUE(descendants(::getpid()).empty());
}

TEST(Child, IsForManyThreads) {
  const auto child = start(options_of({FAKE_ENGINE, "--ignore-sigterm"}));
  ASSERT_NE(child, nullptr);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      child->usage();
      child->last_log_lines(5);
      EXPECT_EQ(child->stop(kShortLadder).signal != 0, true);
      EXPECT_FALSE(child->running());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace minerva::process
