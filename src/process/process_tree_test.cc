#include "process/process_tree.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "process/test_children.h"

namespace minerva::process {
namespace {

constexpr std::string_view kTail =
    " S 10 20 30 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 12345 1000 200 18446744073709551615\n";

TEST(ProcessStat, ReadsTheFields) {
  const auto stat = parse_process_stat("42 (sleep)" + std::string(kTail));
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->pid, 42);
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->parent, 10);
  EXPECT_EQ(stat->session, 30);
  EXPECT_EQ(stat->ticks, 124u);
}

// A program may call itself what it likes.
TEST(ProcessStat, ANameCannotLie) {
  for (const char* name : {"a b", ") R 1 1 1 ", "(((", "x) Z 7 7 7 (y", "", "\n"}) {
    const auto stat = parse_process_stat("42 (" + std::string(name) + ")" + std::string(kTail));
    ASSERT_TRUE(stat.has_value()) << name;
    EXPECT_EQ(stat->parent, 10) << name;
  }
}

TEST(ProcessStat, RefusesWhatIsNone) {
  const std::string whole = "42 (sleep)" + std::string(kTail);
  // The fields that it needs end with the first 15 behind the name.
  for (std::size_t size = 0; size < whole.find(" 20 0 1 0 12345"); ++size) {
    EXPECT_FALSE(parse_process_stat(whole.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(parse_process_stat("x (sleep)" + std::string(kTail)).has_value());
}

TEST(ProcessTree, FindsDescendantsSessionsAndMarks) {
  const std::string mark = fresh_mark();
  const auto child = shell("(sleep 1000 & wait) & wait", {mark});
  ASSERT_NE(child, nullptr);
  ASSERT_TRUE(eventually([&] { return descendants(child->pid()).size() == 2; }));
  const auto below = descendants(child->pid());
  EXPECT_EQ(below[0].parent, child->pid());
  EXPECT_EQ(below[1].parent, below[0].pid);
  EXPECT_EQ(members_of_session(child->pid()).size(), 3u);
  const auto ours = descendants(::getpid());
  EXPECT_TRUE(std::ranges::any_of(ours, [&](const auto& p) { return p.pid == child->pid(); }));
  EXPECT_EQ(processes_with_environment(mark).size(), 5u);
  EXPECT_TRUE(nobody_has(mark + "0"));
  EXPECT_TRUE(nobody_has(mark.substr(0, mark.size() - 1)));
}

TEST(ProcessTree, NeverKillsEverybody) {
  // As numbers for kill(), these mean groups, or the first process.
  for (const std::int64_t nobody : {-1, 0, 1}) kill_from_outside(nobody);
  SUCCEED();
}

}  // namespace
}  // namespace minerva::process
