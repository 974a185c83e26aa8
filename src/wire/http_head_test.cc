#include "wire/http_head.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace minerva::wire {
namespace {

HeadParser parse(std::string_view bytes) {
  HeadParser parser(1024, 8);
  parser.feed(bytes);
  return parser;
}

unsigned status_of(const HeadParser& parser) {
  if (parser.state() == ParseState::Complete) return 200;
  return parser.state() == ParseState::Refused ? parser.refusal().status : 0;
}

TEST(HeadParser, ReadsARequest) {
  HeadParser parser(1024, 8);
  const std::string bytes =
      "POST /v1/x?a=b&c HTTP/1.1\r\nHost:  localhost:80 \r\nContent-Length: 12\r\n"
      "X-Odd: \r\n\r\nthe body";
  EXPECT_EQ(parser.feed(bytes), bytes.size() - 8);
  ASSERT_EQ(parser.state(), ParseState::Complete);
  const RequestHead& head = parser.head();
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.path, "/v1/x");
  EXPECT_EQ(head.query, "a=b&c");
  EXPECT_EQ(head.find("host"), "localhost:80");
  EXPECT_EQ(head.find("x-odd"), "");
  EXPECT_EQ(head.content_length, 12u);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(parser.feed("more"), 0u);
}

// However the bytes are split, the outcome is the same.
TEST(HeadParser, TakesBytesOneAtATime) {
  const std::vector<std::string> requests = {
      "\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
      "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
      "GET / HTTP/1.1\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
      "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
  };
  for (const std::string& request : requests) {
    const HeadParser whole = parse(request);
    HeadParser split(1024, 8);
    for (const char byte : request) split.feed(std::string_view(&byte, 1));
    EXPECT_EQ(status_of(split), status_of(whole)) << request;
    EXPECT_NE(status_of(whole), 0u) << request;
  }
}

TEST(HeadParser, AbsoluteAddressMustNameTheHost) {
  HeadParser same = parse("GET http://localhost:9/x?y HTTP/1.1\r\nHost: LOCALHOST:9\r\n\r\n");
  ASSERT_EQ(status_of(same), 200u);
  EXPECT_EQ(same.head().path, "/x");
  EXPECT_EQ(same.head().query, "y");
  HeadParser bare = parse("GET http://localhost?y HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_EQ(status_of(bare), 200u);
  EXPECT_EQ(bare.head().path, "/");
  EXPECT_EQ(status_of(parse("GET http://evil.com/ HTTP/1.1\r\nHost: localhost\r\n\r\n")), 400u);
}

TEST(HeadParser, OldClientsCloseByDefault) {
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\nHost: a\r\n\r\n").head().keep_alive);
  EXPECT_FALSE(
      parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").head().keep_alive);
  EXPECT_TRUE(parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\n\r\n").head().keep_alive);
}

TEST(HeadParser, LimitsHold) {
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 7; ++i) many += "X: y\r\n";
  EXPECT_EQ(status_of(parse(many + "\r\n")), 200u);
  EXPECT_EQ(status_of(parse(many + "X: y\r\n\r\n")), 431u);
  EXPECT_EQ(status_of(parse("GET /" + std::string(2000, 'a'))), 414u);
  EXPECT_EQ(status_of(parse("GET / HTTP/1.1\r\nX: " + std::string(2000, 'a'))), 431u);
}

TEST(HeadParser, SaysAtOnceThatTlsIsNotSpoken) {
  const HeadParser parser = parse("\x16\x03\x01");
  ASSERT_EQ(status_of(parser), 400u);
  EXPECT_NE(parser.refusal().message.find("http://"), std::string::npos);
}

}  // namespace
}  // namespace minerva::wire
