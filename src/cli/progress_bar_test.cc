#include "cli/progress_bar.h"

#include <gtest/gtest.h>

namespace minerva::cli {
namespace {

TEST(ProgressLine, ShowsTheShare) {
  EXPECT_EQ(progress_line("loading", 0, 0, 30), "loading [              ]   0 %");
  EXPECT_EQ(progress_line("loading", 1, 2, 30), "loading [=======       ]  50 %");
  EXPECT_EQ(progress_line("loading", 2, 2, 30), "loading [==============] 100 %");
  EXPECT_EQ(progress_line("loading", 9, 2, 30), "loading [==============] 100 %");
}

TEST(ProgressLine, NeverLongerThanTheTerminal) {
  for (std::size_t columns = 0; columns < 200; ++columns)
    EXPECT_LE(progress_line("evaluating", 1, 3, columns).size(), columns);
}

}  // namespace
}  // namespace minerva::cli
