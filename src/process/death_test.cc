// Nobody is left behind, whoever is killed: us, either guard, both, or the program. The processes
// are known by a mark in their environment.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>
#include <thread>

#include "process/file_descriptor.h"
#include "process/test_children.h"

namespace minerva::process {
namespace {

std::int64_t parent_of(std::int64_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(in, line, '\0');
  const auto stat = parse_process_stat(line);
  return stat ? stat->parent : 0;
}

void signal_to(std::int64_t pid, int number) {
  ASSERT_GT(pid, 1);  // anything else means a group of processes, perhaps our own
  ::kill(static_cast<::pid_t>(pid), number);
}

// A process of its own that starts the engine through a guard. Its pid, once the engine runs.
::pid_t start_parent(const std::string& mark, const std::string& flag) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return -1;
  const FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);
  const ::pid_t parent = ::fork();
  if (parent == 0) {
    ::dup2(write_end.number(), 1);
    ::execl(GUARD_PROGRAM, GUARD_PROGRAM, "spawn", mark.c_str(), FAKE_ENGINE, "--ignore-sigterm",
            flag.c_str(), nullptr);
    ::_exit(127);
  }
  write_end.reset();
  std::array<char, 32> pid{};
  return ::read(read_end.number(), pid.data(), pid.size()) > 0 ? parent : -1;
}

struct Case {
  const char* name;
  const char* flag;
  std::size_t processes;  // with two guards
};

class Death : public testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<Child> start_engine() {
    auto child = start(options_of({FAKE_ENGINE, "--ignore-sigterm", GetParam().flag}, {mark_}));
    EXPECT_TRUE(eventually(
        [&] { return processes_with_environment(mark_).size() == GetParam().processes; }));
    return child;
  }
  const std::string mark_ = fresh_mark();
};

TEST_P(Death, OfUs) {
  const ::pid_t parent = start_parent(mark_, GetParam().flag);
  ASSERT_GT(parent, 0);
  // One that asks for the environment of a process between fork and exec sees that of its parent.
  ASSERT_TRUE(
      eventually([&] { return processes_with_environment(mark_).size() == GetParam().processes; }));
  signal_to(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return nobody_has(mark_); }));
}

TEST_P(Death, OfTheOuterGuard) {
  const auto child = start_engine();
  ASSERT_NE(child, nullptr);
  signal_to(parent_of(parent_of(child->pid())), SIGKILL);
  EXPECT_TRUE(child->wait_for(kBounded));
  EXPECT_EQ(child->stop(kShortLadder).words(), "SIGKILL");
  EXPECT_TRUE(eventually([&] { return nobody_has(mark_); }));
}

TEST_P(Death, OfTheInnerGuard) {
  const auto child = start_engine();
  ASSERT_NE(child, nullptr);
  signal_to(parent_of(child->pid()), SIGKILL);
  EXPECT_TRUE(child->wait_for(kBounded));
  EXPECT_EQ(child->stop(kShortLadder).words(), "SIGKILL");
  EXPECT_TRUE(nobody_has(mark_));
}

TEST_P(Death, OfTheProgram) {
  const auto child = start_engine();
  ASSERT_NE(child, nullptr);
  signal_to(child->pid(), SIGKILL);
  EXPECT_TRUE(child->wait_for(kBounded));
  EXPECT_EQ(child->exit_status()->words(), "SIGKILL");
  child->stop(kShortLadder);
  EXPECT_TRUE(nobody_has(mark_));
}

INSTANTIATE_TEST_SUITE_P(Engines, Death,
                         testing::Values(Case{"Alone", "--never-ready", 3},
                                         Case{"WithGrandchild", "--grandchild", 4}),
                         [](const auto& info) { return std::string(info.param.name); });

// A guard that is stopped does not answer; stop() is bounded all the same.
TEST(DeathOfAGuardThatIsStopped, IsDoneFromOutside) {
  const std::string mark = fresh_mark();
  const auto child = start(options_of({FAKE_ENGINE, "--grandchild"}, {mark}));
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(eventually([&] { return child->usage().processes == 2; }));
  signal_to(parent_of(child->pid()), SIGSTOP);
  child->kill();
  EXPECT_EQ(child->stop(kShortLadder).words(), "SIGKILL");
  EXPECT_TRUE(nobody_has(mark));
}

// Both guards at once: the kernel ends the program, we end what is of its session.
TEST(DeathOfBoth, EndsTheSession) {
  const std::string mark = fresh_mark();
  const auto child = shell("sleep 1000 & sleep 1001 & wait", {mark});
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(eventually([&] { return child->usage().processes == 3; }));
  const std::int64_t inner = parent_of(child->pid());
  const std::int64_t outer = parent_of(inner);
  // Stopped first, so that neither sees the other die.
  signal_to(outer, SIGSTOP);
  signal_to(inner, SIGSTOP);
  signal_to(outer, SIGKILL);
  signal_to(inner, SIGKILL);
  EXPECT_TRUE(child->wait_for(kBounded));
  child->stop(kShortLadder);
  EXPECT_TRUE(eventually([&] { return nobody_has(mark); }));
}

// All of us at once, so that nobody is left to do anything: the kernel ends the program.
TEST(DeathOfAll, EndsTheProgram) {
  const std::string mark = fresh_mark();
  const ::pid_t parent = start_parent(mark, "--never-ready");
  ASSERT_GT(parent, 0);
  std::int64_t program = 0;
  ASSERT_TRUE(eventually([&] {
    const auto below = descendants(parent);
    program = below.size() == 3 ? below[2].pid : 0;
    return program != 0;
  }));
  const std::int64_t inner = parent_of(program);
  const std::int64_t outer = parent_of(inner);
  for (const std::int64_t pid : {outer, inner}) signal_to(pid, SIGSTOP);
  for (const std::int64_t pid : {std::int64_t{parent}, outer, inner}) signal_to(pid, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return nobody_has(mark); }));
}

// The thread that has started a child may end before it (PR_SET_PDEATHSIG alone would end the
// child with it).
TEST(DeathOfTheThread, EndsNothing) {
  std::unique_ptr<Child> child;
  std::thread([&] { child = shell("echo ready; exec sleep 1000"); }).join();
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(eventually([&] { return printed(*child, "ready"); }));
  const auto stat_of_guard = parent_of(child->pid());
  EXPECT_GT(stat_of_guard, 1);
  EXPECT_FALSE(child->wait_for(std::chrono::milliseconds(20)));
}

}  // namespace
}  // namespace minerva::process
