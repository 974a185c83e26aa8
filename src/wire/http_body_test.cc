#include "wire/http_body.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace minerva::wire {
namespace {

// The decoded text, or the refusal's status as "=413"; "..." when more is wanted.
std::string decode(BodyDecoder decoder, std::string_view bytes, std::size_t piece) {
  std::string out;
  while (!bytes.empty() && decoder.state() == ParseState::NeedMore) {
    const std::string_view part = bytes.substr(0, piece);
    const std::size_t used = decoder.feed(part, out);
    bytes.remove_prefix(used);
    if (used < part.size()) break;
  }
  if (decoder.state() == ParseState::Refused) return "=" + std::to_string(decoder.refusal().status);
  return decoder.state() == ParseState::Complete ? out + "|" + std::string(bytes) : "...";
}

TEST(BodyDecoder, Chunked) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"0\r\n\r\n", "|"},
      {"0\r\n\r\nNEXT", "|NEXT"},
      {"5\r\nhello\r\n0\r\n\r\n", "hello|"},
      {"005\r\nhello\r\n2\r\n\r\n\r\n0\r\n\r\n", "hello\r\n|"},
      {"A\r\n0123456789\r\n0\r\n\r\nX", "0123456789|X"},
      {"5\r\nhel", "..."},
      {"\r\n\r\n", "=400"},
      {"5\nhello\r\n0\r\n\r\n", "=400"},
      {"5\r\nhelloX\r\n0\r\n\r\n", "=400"},
      {"5\r\nhello\n0\r\n\r\n", "=400"},
      {"5\r\nhello0\r\n\r\n", "=400"},
      {"0x5\r\nhello\r\n0\r\n\r\n", "=400"},
      {"+5\r\nhello\r\n0\r\n\r\n", "=400"},
      {"-5\r\nhello\r\n0\r\n\r\n", "=400"},
      {" 5\r\nhello\r\n0\r\n\r\n", "=400"},
      {"5 \r\nhello\r\n0\r\n\r\n", "=400"},
      {"5;a=b\r\nhello\r\n0\r\n\r\n", "=400"},
      {"5;\x01\r\nhello\r\n0\r\n\r\n", "=400"},
      {"5_0\r\nhello\r\n0\r\n\r\n", "=400"},
      {"00000000000000005\r\nhello\r\n0\r\n\r\n", "=400"},
      {"10000000000000005\r\nhello\r\n0\r\n\r\n", "=400"},
      {"ffffffffffffffff\r\nhello", "=413"},
      {"21\r\nhello", "=413"},
      {"0\r\nContent-Length: 5\r\n\r\n", "=400"},
      {"0\r\nX: y\r\n\r\n", "=400"},
      {"0\r\n\n", "=400"},
      {"0\n\r\n", "=400"},
      {"10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
       "0123456789abcdef0123456789abcdef|"},
      {"10\r\n0123456789abcdef\r\n11\r\n", "=413"},
  };
  for (const auto& [bytes, expected] : cases) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, bytes.size()})
      EXPECT_EQ(decode(BodyDecoder::chunked(32), bytes, piece), expected) << bytes;
  }
}

TEST(BodyDecoder, Sized) {
  EXPECT_EQ(decode(BodyDecoder::sized(5, 8), "helloNEXT", 2), "hello|NEXT");
  EXPECT_EQ(decode(BodyDecoder::sized(0, 8), "NEXT", 4), "|NEXT");
  EXPECT_EQ(decode(BodyDecoder::sized(9, 8), "", 1), "=413");
  EXPECT_EQ(decode(BodyDecoder::sized(UINT64_MAX, 8), "", 1), "=413");
  EXPECT_EQ(decode(BodyDecoder::sized(5, 8), "hell", 4), "...");
}

TEST(BodyDecoder, TheEndOfTheConnection) {
  std::string out;
  BodyDecoder open = BodyDecoder::until_close(8);
  open.feed("hello", out);
  open.on_close();
  EXPECT_EQ(open.state(), ParseState::Complete);
  EXPECT_EQ(out, "hello");
  BodyDecoder cut = BodyDecoder::sized(5, 8);
  cut.feed("hell", out);
  cut.on_close();
  EXPECT_EQ(cut.state(), ParseState::Refused);
  BodyDecoder flood = BodyDecoder::until_close(8);
  flood.feed("more than eight", out);
  EXPECT_EQ(flood.state(), ParseState::Refused);
}

}  // namespace
}  // namespace minerva::wire
