#include "cli/terminal_filter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/utf8.h"

namespace minerva::cli {
namespace {

std::string filtered(std::string_view text) {
  TerminalFilter filter;
  return filter.push(text);
}

TEST(TerminalFilter, TextStaysAsItIs) {
  const std::string text = "a\tb\nÄ漢字🙂 \u05e9\u200f e\u0301";
  EXPECT_EQ(filtered(text), text);
}

TEST(TerminalFilter, EscapeSequencesGoWithAllOfThem) {
  EXPECT_EQ(filtered("a\x1b[31;1mred\x1b[0mb"), "aredb");
  EXPECT_EQ(filtered("a\x1b[2J\x1b[Hb"), "ab");
  EXPECT_EQ(filtered("a\x1b]0;title\x07z"), "az");
  EXPECT_EQ(filtered("a\x1b]52;c;aGVsbG8=\x1b\\z"), "az");  // would fill the clipboard
  EXPECT_EQ(filtered("a\x1bP1$qm\x1b\\z"), "az");
  EXPECT_EQ(filtered("a\x1b_app\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\z"), "az");
  EXPECT_EQ(filtered("a\x1b(0z"), "az");
  EXPECT_EQ(filtered("a\x1b"
                     "cz"),
            "az");
  EXPECT_EQ(filtered("a\x1b\x1b[31mz"), "az");
}

TEST(TerminalFilter, ControlsOfOneByteOrOneCharacterGo) {
  EXPECT_EQ(filtered(std::string("a\0\x07\x08\x0b\x0c\x0d\x0e\x7fz", 10)), "az");
  EXPECT_EQ(filtered("a\u009b31mz"), "az");            // CSI of C1
  EXPECT_EQ(filtered("a\u009d0;title\u009cz"), "az");  // OSC and ST of C1
  EXPECT_EQ(filtered("a\u0085\u008dz"), "az");
  EXPECT_EQ(filtered("a\u202e\u2066z"), "az");
}

TEST(TerminalFilter, InvalidBytesBecomeTheReplacement) {
  EXPECT_EQ(filtered("a\x9b"
                     "31mz"),
            "a\ufffd31mz");
}

TEST(TerminalFilter, ASequenceWithoutEndDoesNotSwallowTheAnswer) {
  EXPECT_EQ(filtered("a\x1b]0;title\nnext line"), "a\nnext line");
  const std::string flood(5000, 'x');
  EXPECT_GT(filtered("\x1b]" + flood).size(), 3000U);
}

TEST(TerminalFilter, CuttingAnywhereChangesNothing) {
  const std::string text = "a\x1b[31mred\x1b]0;t\x1b\\\u009b1mÄ\x1b(Bz\x1bP..\x07q";
  const std::string whole = filtered(text);
  std::vector<std::string> characters;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t length = utf8_next(rest).length;
    characters.emplace_back(rest.substr(0, length));
    rest.remove_prefix(length);
  }
  TerminalFilter filter;
  std::string out;
  for (const std::string& c : characters) out += filter.push(c);
  EXPECT_EQ(out, whole);
}

TEST(TerminalFilter, NothingThatATerminalObeysComesOut) {
  // Every pair of a byte behind an escape and a byte behind that.
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      std::string text = "x\x1b";
      text += static_cast<char>(first);
      text += static_cast<char>(second);
      const std::string out = filtered(text);
      for (std::string_view rest = out; !rest.empty();) {
        const Utf8Char c = utf8_next(rest);
        const bool control =
            (c.code_point < 0x20 && c.code_point != '\n' && c.code_point != '\t') ||
            (c.code_point >= 0x7f && c.code_point < 0xa0);
        EXPECT_FALSE(control) << first << " " << second;
        rest.remove_prefix(c.length);
      }
    }
  }
}

}  // namespace
}  // namespace minerva::cli
