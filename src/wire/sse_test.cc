#include "wire/sse.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace minerva::wire {
namespace {

using namespace std::string_literals;

std::vector<SseEvent> parse_all(std::string_view bytes) {
  SseParser parser;
  std::vector<SseEvent> events;
  EXPECT_TRUE(parser.feed(bytes, events));
  return events;
}

TEST(SseWriter, FramesOneBlock) {
  std::string out;
  sse_data(out, R"({"a":1})");
  sse_event(out, "ping", "{}");
  sse_comment(out, "keep-alive");
  EXPECT_EQ(out, "data: {\"a\":1}\n\nevent: ping\ndata: {}\n\n: keep-alive\n\n");
}

TEST(SseWriter, NothingOpensALineOfItsOwn) {
  std::string out;
  sse_data(out, "a\n\nevent: x\r\rdata: y\r\nz\n");
  EXPECT_EQ(out, "data: a\ndata: \ndata: event: x\ndata: \ndata: data: y\ndata: z\ndata: \n\n");
  EXPECT_EQ(parse_all(out), (std::vector<SseEvent>{{"", "a\n\nevent: x\n\ndata: y\nz\n"}}));
  out.clear();
  sse_event(out, "na\r\nme", "d");
  sse_comment(out, "a\n\ndata: b\0c"s);
  EXPECT_EQ(out, "event: name\ndata: d\n\n: a  data: b c\n\n");
}

TEST(SseParser, ReadsAsTheStandardSays) {
  EXPECT_EQ(parse_all("data: a\ndata:b\ndata:  c\n\n"), (std::vector<SseEvent>{{"", "a\nb\n c"}}));
  EXPECT_EQ(parse_all("data\n\n"), (std::vector<SseEvent>{{"", ""}}));
  EXPECT_EQ(parse_all("event: x\n\ndata: y\n\n"), (std::vector<SseEvent>{{"", "y"}}));
  EXPECT_EQ(parse_all("\xEF\xBB\xBF"
                      "data: y\n\n"),
            (std::vector<SseEvent>{{"", "y"}}));
  EXPECT_EQ(parse_all("data: y\n\xEF\xBB\xBF"
                      "data: z\n\n"),
            (std::vector<SseEvent>{{"", "y"}}));
  EXPECT_EQ(parse_all("retry: 10\nfoo: bar\ndata: a\n: c\n\n"), (std::vector<SseEvent>{{"", "a"}}));
  EXPECT_EQ(parse_all("data: half"), std::vector<SseEvent>());
}

TEST(SseParser, SaysWhereTheStreamStands) {
  SseParser parser;
  std::vector<SseEvent> events;
  ASSERT_TRUE(parser.feed(": hello\n\nid: 7\ndata: a\n\n", events));
  EXPECT_TRUE(parser.at_boundary());
  EXPECT_EQ(parser.comments(), 1U);
  EXPECT_EQ(parser.last_comment(), "hello");
  EXPECT_EQ(parser.last_id(), "7");
  ASSERT_TRUE(parser.feed("data: b\n", events));
  EXPECT_FALSE(parser.at_boundary());
  ASSERT_TRUE(parser.feed("\n:", events));
  EXPECT_FALSE(parser.at_boundary());
  EXPECT_EQ(events.size(), 2U);
}

TEST(SseParser, BoundsAnEvent) {
  std::vector<SseEvent> events;
  SseParser one_line(100);
  EXPECT_TRUE(one_line.feed("data: " + std::string(94, 'x'), events));
  const auto over = one_line.feed("x", events);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::TooLarge);
  EXPECT_FALSE(one_line.feed("\n\n", events)) << "a broken stream stays broken";

  SseParser many_lines(100);
  Result<void> fed;
  for (int i = 0; i < 100 && fed; ++i) fed = many_lines.feed("data: 0123456789\n", events);
  EXPECT_FALSE(fed);
  SseParser empty_lines(100);
  fed = {};
  for (int i = 0; i < 1000 && fed; ++i) fed = empty_lines.feed("data\n", events);
  EXPECT_FALSE(fed);
  EXPECT_TRUE(events.empty());
}

// Any split of the bytes and any line ending gives the same events.
TEST(SseParser, SplitsDoNotMatter) {
  const std::string unix_lines =
      "\xEF\xBB\xBF: start\n\nevent: delta\ndata: {\"a\":\"\xF0\x9F\x98\x80\"}\n\n"
      "id: 1\nretry: 5\ndata: one\ndata:\ndata: three\n\n\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n";
  const std::vector<SseEvent> expected = {{"delta", "{\"a\":\"\xF0\x9F\x98\x80\"}"},
                                          {"", "one\n\nthree"},
                                          {"", "{\"b\":2}"},
                                          {"", "[DONE]"}};
  for (const std::string& ending : {"\n"s, "\r"s, "\r\n"s}) {
    std::string bytes;
    for (const char c : unix_lines) c == '\n' ? bytes.append(ending) : bytes.append(1, c);
    EXPECT_EQ(parse_all(bytes), expected);
    for (std::size_t first = 0; first <= bytes.size(); ++first) {
      for (std::size_t second = first; second <= bytes.size(); ++second) {
        SseParser parser;
        std::vector<SseEvent> events;
        ASSERT_TRUE(parser.feed(std::string_view(bytes).substr(0, first), events));
        ASSERT_TRUE(parser.feed(std::string_view(bytes).substr(first, second - first), events));
        ASSERT_TRUE(parser.feed(std::string_view(bytes).substr(second), events));
        ASSERT_EQ(events, expected) << first << " " << second;
      }
    }
    SseParser byte_by_byte;
    std::vector<SseEvent> events;
    for (const char c : bytes) ASSERT_TRUE(byte_by_byte.feed({&c, 1}, events));
    EXPECT_EQ(events, expected);
  }
}

}  // namespace
}  // namespace minerva::wire
