#include "text/special_matcher.h"

#include <gtest/gtest.h>

#include <string>

namespace minerva::text {
namespace {

std::string matches(const SpecialMatcher& matcher, std::string_view text) {
  std::string out;
  std::size_t at = 0;
  while (const auto match = matcher.next(text, at)) {
    out += std::to_string(match->begin) + "+" + std::to_string(match->length) + "=" +
           std::to_string(match->id) + " ";
    at = match->begin + match->length;
  }
  return out;
}

TEST(SpecialMatcher, TheLeftmostAndOfThoseTheLongest) {
  const SpecialMatcher matcher({{"<a>", 1}, {"<a>b", 2}, {"a", 3}, {"  ", 4}, {"   ", 5}});
  EXPECT_EQ(matches(matcher, "x<a>y"), "1+3=1 ");
  EXPECT_EQ(matches(matcher, "<a>b<a><"), "0+4=2 4+3=1 ");
  EXPECT_EQ(matches(matcher, "<a"), "1+1=3 ");
  EXPECT_EQ(matches(matcher, "     "), "0+3=5 3+2=4 ");
  EXPECT_EQ(matches(matcher, ""), "");
}

TEST(SpecialMatcher, OfEqualTextsTheLowestId) {
  const SpecialMatcher matcher({{"\xff\xfe", 9}, {"\xff\xfe", 2}, {"\xff", 5}});
  EXPECT_EQ(matches(matcher, "\xff\xfe\xff"), "0+2=2 2+1=5 ");
  EXPECT_EQ(matches(SpecialMatcher(), "anything"), "");
}

}  // namespace
}  // namespace minerva::text
