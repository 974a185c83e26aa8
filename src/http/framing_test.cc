// Request smuggling (S21): raw bytes go in, and there are never more answers than requests that we
// mean to see. A request whose end could be read in two ways is refused, and the connection closes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/server_fixture_test.h"

namespace minerva::http {
namespace {

constexpr std::string_view kSmuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct Case {
  std::string name;
  std::string bytes;
  std::string answers;  // statuses, "200 404"; "!" behind them: the server closes
};

std::string head(std::string_view fields, std::string_view line = "POST /v1/completions HTTP/1.1") {
  return fmt::format("{}\r\nHost: localhost\r\nContent-Type: application/json\r\n{}\r\n", line,
                     fields);
}

std::string get(std::string_view fields, std::string_view line = "GET /health HTTP/1.1") {
  return fmt::format("{}\r\nHost: localhost\r\n{}\r\n", line, fields);
}

const std::string kBody = R"({"model":"fake","prompt":"hi"})";
const std::string kChunked = fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", kBody.size(), kBody);
const std::string kLength = fmt::format("Content-Length: {}\r\n", kBody.size());
const std::string kNext(kSmuggled);

std::vector<Case> cases() {
  return {
      // What is served.
      {"sized", head(kLength) + kBody, "200"},
      {"chunked", head("Transfer-Encoding: chunked\r\n") + kChunked, "200"},
      {"chunked, other case", head("transfer-ENCODING:\tChunked \r\n") + kChunked, "200"},
      {"chunked in two",
       head("Transfer-Encoding: chunked\r\n") + "1\r\n{\r\n" +
           fmt::format("{:X}\r\n{}\r\n0\r\n\r\n", kBody.size() - 1, kBody.substr(1)),
       "200"},
      {"leading empty line", "\r\n" + get(""), "200"},
      {"pipelined", get("") + get("") + get("", "GET /nothing HTTP/1.1") + get(""),
       "200 200 404 200"},
      {"pipelined behind a body", head(kLength) + kBody + get("") + head(kLength) + kBody,
       "200 200 200"},
      {"pipelined behind chunks", head("Transfer-Encoding: chunked\r\n") + kChunked + get(""),
       "200 200"},
      {"pipelined behind close", get("Connection: close\r\n") + kNext, "200!"},
      {"body of a GET is read over", get("Content-Length: 5\r\n") + "hello" + get(""), "200 200"},
      {"chunked GET", get("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n" + get(""),
       "200 200"},
      {"absolute form", get("", "GET http://localhost/health HTTP/1.1"), "200"},
      {"options asterisk", get("", "OPTIONS * HTTP/1.1"), "204"},
      {"HTTP/1.0", get("", "GET /health HTTP/1.0") + kNext, "200!"},
      {"HTTP/1.0 sized", head(kLength, "POST /v1/completions HTTP/1.0") + kBody + kNext, "200!"},
      {"upgrade ignored", get("Connection: Upgrade\r\nUpgrade: h2c\r\n"), "200"},
      {"empty value", get("X-A:\r\n"), "200"},

      // Two ways to say how long a body is.
      {"CL.TE", head(kLength + "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n" + kNext, "400!"},
      {"TE.CL", head("Transfer-Encoding: chunked\r\n" + kLength) + kChunked + kNext, "400!"},
      {"TE.TE", head("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n") + kChunked,
       "400!"},
      {"TE twice", head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + kChunked,
       "400!"},
      {"TE list", head("Transfer-Encoding: gzip, chunked\r\n") + kChunked, "501!"},
      {"TE list twice chunked", head("Transfer-Encoding: chunked, chunked\r\n") + kChunked, "501!"},
      {"TE gzip", head("Transfer-Encoding: gzip\r\n") + kNext, "501!"},
      {"TE gzip and CL", head("Transfer-Encoding: gzip\r\n" + kLength) + kBody, "400!"},
      {"TE identity", head("Transfer-Encoding: identity\r\n") + kNext, "501!"},
      {"TE xchunked", head("Transfer-Encoding: xchunked\r\n") + kChunked, "501!"},
      {"TE quoted", head("Transfer-Encoding: \"chunked\"\r\n") + kChunked, "501!"},
      {"TE empty", head("Transfer-Encoding:\r\n") + kChunked, "501!"},
      {"TE vertical tab", head("Transfer-Encoding: \vchunked\r\n") + kChunked, "400!"},
      {"TE on HTTP/1.0",
       head("Transfer-Encoding: chunked\r\n", "POST /v1/completions HTTP/1.0") + kChunked, "400!"},
      {"CL twice", head(kLength + kLength) + kBody, "400!"},
      {"CL twice, different", head(kLength + "Content-Length: 0\r\n") + kBody, "400!"},
      {"CL plus", head("Content-Length: +5\r\n") + "hello", "400!"},
      {"CL minus", head("Content-Length: -5\r\n") + "hello", "400!"},
      {"CL list", head("Content-Length: 5,5\r\n") + "hello", "400!"},
      {"CL hex", head("Content-Length: 0x5\r\n") + "hello", "400!"},
      {"CL fraction", head("Content-Length: 5.0\r\n") + "hello", "400!"},
      {"CL inner space", head("Content-Length: 5 5\r\n") + "hello", "400!"},
      {"CL empty", head("Content-Length:\r\n") + "hello", "400!"},
      {"CL 2^64 + 5", head("Content-Length: 18446744073709551621\r\n") + "hello", "400!"},
      {"CL too large", head("Content-Length: 999999999999\r\n") + "hello", "413!"},

      // Chunks.
      {"chunk extension", head("Transfer-Encoding: chunked\r\n") + "1;a=b\r\n{\r\n0\r\n\r\n",
       "400!"},
      {"chunk extension with a control byte",
       head("Transfer-Encoding: chunked\r\n") + "1;\n\r\n{\r\n0\r\n\r\n", "400!"},
      {"chunk size of 17 digits",
       head("Transfer-Encoding: chunked\r\n") + "10000000000000001\r\n{\r\n0\r\n\r\n", "400!"},
      {"chunk size of 17 digits, zeros",
       head("Transfer-Encoding: chunked\r\n") + "00000000000000001\r\n{\r\n0\r\n\r\n", "400!"},
      {"chunk size 0x1", head("Transfer-Encoding: chunked\r\n") + "0x1\r\n{\r\n0\r\n\r\n", "400!"},
      {"chunk size, bare LF", head("Transfer-Encoding: chunked\r\n") + "1\n{\r\n0\r\n\r\n", "400!"},
      {"chunk too long", head("Transfer-Encoding: chunked\r\n") + "1\r\n{}\r\n0\r\n\r\n", "400!"},
      {"chunk larger than the limit", head("Transfer-Encoding: chunked\r\n") + "ffffffff\r\n",
       "413!"},
      {"trailers", head("Transfer-Encoding: chunked\r\n") + "0\r\nX: y\r\n\r\n" + kNext, "400!"},
      {"trailer with CL",
       head("Transfer-Encoding: chunked\r\n") + "0\r\nContent-Length: 40\r\n\r\n" + kNext, "400!"},
      {"trailer with Host", head("Transfer-Encoding: chunked\r\n") + "0\r\nHost: evil\r\n\r\n",
       "400!"},

      // Lines.
      {"obs-fold", get("X-A: b\r\n c\r\n"), "400!"},
      {"obs-fold of TE", head("Transfer-Encoding:\r\n chunked\r\n") + kChunked, "400!"},
      {"fold before the first field", "GET /health HTTP/1.1\r\n Host: localhost\r\n\r\n", "400!"},
      {"bare LF", "GET /health HTTP/1.1\nHost: localhost\n\n", "400!"},
      {"bare LF in a field", get("X-A: b\nContent-Length: 5\r\n"), "400!"},
      {"bare CR in a field", get("X-A: b\rContent-Length: 5\r\n"), "400!"},
      {"CR CR LF", "GET /health HTTP/1.1\r\r\nHost: localhost\r\n\r\n", "400!"},
      {"NUL in a value", get(std::string("X-A: b\0c\r\n", 10)), "400!"},
      {"NUL in a name", get(std::string("X\0A: b\r\n", 8)), "400!"},
      {"space before the colon", head("Content-Length : 5\r\n") + "hello", "400!"},
      {"tab before the colon", head("Transfer-Encoding\t: chunked\r\n") + kChunked, "400!"},
      {"no colon", get("Content-Length 5\r\n"), "400!"},
      {"empty name", get(": b\r\n"), "400!"},
      {"name in brackets", get("X(A): b\r\n"), "400!"},
      {"escape in a value", get("X-A: \x1b[2J\r\n"), "400!"},

      // Request lines.
      {"HTTP/0.9", "GET /health\r\n", "400!"},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505!"},
      {"HTTP/1.2", get("", "GET /health HTTP/1.2"), "505!"},
      {"HTTP/1.10", get("", "GET /health HTTP/1.10"), "400!"},
      {"http/1.1", get("", "GET /health http/1.1"), "400!"},
      {"two spaces", get("", "GET  /health HTTP/1.1"), "400!"},
      {"space in the target", get("", "GET /he alth HTTP/1.1"), "400!"},
      {"space behind the version", get("", "GET /health HTTP/1.1 "), "400!"},
      {"tabs", get("", "GET\t/health\tHTTP/1.1"), "400!"},
      {"control byte in the target", get("", "GET /he\x01lth HTTP/1.1"), "400!"},
      {"raw UTF-8 in the target", get("", "GET /\xc3\xa9 HTTP/1.1"), "400!"},
      {"fragment", get("", "GET /health#x HTTP/1.1"), "400!"},
      {"backslash", get("", "GET \\health HTTP/1.1"), "400!"},
      {"method is no word", get("", "G@T /health HTTP/1.1"), "400!"},
      {"unknown method", get("", "BREW /health HTTP/1.1"), "501!"},
      {"method in lower case", get("", "get /health HTTP/1.1"), "501!"},
      {"CONNECT", get("", "CONNECT localhost:1 HTTP/1.1"), "501!"},
      {"TRACE", get("", "TRACE /health HTTP/1.1"), "501!"},
      {"asterisk for GET", get("", "GET * HTTP/1.1"), "400!"},
      {"other scheme", get("", "GET ftp://localhost/health HTTP/1.1"), "400!"},
      {"absolute form, other host", get("", "GET http://evil.com/health HTTP/1.1"), "400!"},
      {"TLS", std::string("\x16\x03\x01\x02\x00\x01", 6), "400!"},
      {"two Hosts", get("Host: localhost\r\n"), "400!"},
      {"no Host", "GET /health HTTP/1.1\r\n\r\n", "400!"},
      {"other expectation", get("Expect: 200-ok\r\n"), "417!"},

      // A refused request's body must not be read as the next request.
      {"body behind a 404",
       get(fmt::format("Content-Length: {}\r\n", kNext.size()), "POST /nothing HTTP/1.1") + kNext,
       "404!"},
      {"body behind a 405",
       get(fmt::format("Content-Length: {}\r\n", kNext.size()), "PUT /health HTTP/1.1") + kNext,
       "405!"},
      {"body behind a 415",
       get(fmt::format("Content-Length: {}\r\n", kNext.size()), "POST /v1/completions HTTP/1.1") +
           kNext,
       "415!"},
  };
}

TEST(Framing, OneRequestInIsAtMostOneRequest) {
  TestServer server;
  EXPECT_GE(cases().size(), 60u);
  for (const Case& row : cases()) {
    SCOPED_TRACE(row.name);
    RawClient client = server.connect();
    client.send(row.bytes);
    const bool closes = row.answers.ends_with('!');
    std::string answers;
    while (answers.size() + (closes ? 1 : 0) < row.answers.size()) {
      const Parsed parsed = next_response(client);
      if (parsed.head.status == 0) break;
      answers += (answers.empty() ? "" : " ") + std::to_string(parsed.head.status);
    }
    // Nothing may come behind what was expected, be it that the server closes or that we do.
    if (!closes) client.shutdown_send();
    const std::string rest = client.read_all();
    EXPECT_EQ(answers + (closes ? "!" : ""), row.answers);
    EXPECT_EQ(rest, "");
    EXPECT_TRUE(client.closed_by_peer());
  }
}

// However the bytes are cut into packets, a request is the same.
TEST(Framing, ByteByByte) {
  TestServer server;
  RawClient client = server.connect();
  for (const char byte : head("Transfer-Encoding: chunked\r\n") + kChunked + get(""))
    ASSERT_TRUE(client.send(std::string_view(&byte, 1)));
  EXPECT_EQ(next_response(client).head.status, 200u);
  EXPECT_EQ(next_response(client).head.status, 200u);
}

}  // namespace
}  // namespace minerva::http
