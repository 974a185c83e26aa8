#include "text/utf8_stream.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace minerva::text {
namespace {

TEST(Utf8Stream, KeepsAnUnfinishedCharacterBack) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xf0\x9f"), "a");
  EXPECT_EQ(stream.push("\xa6"), "");
  EXPECT_EQ(stream.push("\x99!"), "\xf0\x9f\xa6\x99!");
  EXPECT_EQ(stream.push(""), "");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, WhatCanBeNoCharacterIsReplacedAtOnce) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("\xff"), "\xef\xbf\xbd");
  EXPECT_EQ(stream.push("\xe2\x82"), "");
  EXPECT_EQ(stream.push("x"), "\xef\xbf\xbd\xef\xbf\xbdx");
  EXPECT_EQ(stream.push("\xe2"), "");
  EXPECT_EQ(stream.finish(), "\xef\xbf\xbd");
  EXPECT_EQ(stream.push("\x82\xac"), "\xef\xbf\xbd\xef\xbf\xbd") << "finish() forgot nothing";
}

// Every way of cutting a text gives the same text.
TEST(Utf8Stream, HowTheBytesArriveMakesNoDifference) {
  const std::string text = "h\xc3\xa9\xe2\x82\xac\xf0\x9f\xa6\x99\xff\xc3(\xe2\x82\xf0\x9f\x98";
  for (std::size_t first = 0; first <= text.size(); ++first) {
    for (std::size_t second = first; second <= text.size(); ++second) {
      Utf8Stream stream;
      std::string out = stream.push(text.substr(0, first));
      out += stream.push(text.substr(first, second - first));
      out += stream.push(text.substr(second));
      out += stream.finish();
      ASSERT_EQ(out, utf8_replace_invalid(text)) << first << ", " << second;
    }
  }
}

}  // namespace
}  // namespace minerva::text
