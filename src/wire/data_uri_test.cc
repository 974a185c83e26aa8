#include "wire/data_uri.h"

#include <gtest/gtest.h>

#include <string>

namespace minerva::wire {
namespace {

TEST(DataUri, DecodesBase64) {
  EXPECT_EQ(base64_decode(""), "");
  EXPECT_EQ(base64_decode("Zg=="), "f");
  EXPECT_EQ(base64_decode("Zm8="), "fo");
  EXPECT_EQ(base64_decode("Zm9v"), "foo");
  EXPECT_EQ(base64_decode("AP+/"), std::string("\x00\xFF\xBF", 3));
  for (const auto* bad : {"Z", "Zg", "Zg=", "Zh==", "Z===", "====", "Zm9v\n", "Zm-_", "Zg==Zg=="}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
}

TEST(DataUri, EncodesBase64) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    const std::string text = base64_encode(bytes);
    EXPECT_EQ(text.size() % 4, 0U);
    EXPECT_EQ(base64_decode(text), bytes);
    bytes.push_back(static_cast<char>(i * 7));
  }
  EXPECT_EQ(base64_encode("f"), "Zg==");
  EXPECT_EQ(base64_encode("fo"), "Zm8=");
  EXPECT_EQ(base64_encode("foo"), "Zm9v");
}

TEST(DataUri, ReadsTheType) {
  const auto uri = parse_data_uri("DATA:Image/PNG;name=x;BASE64,Zm9v", 10);
  ASSERT_TRUE(uri);
  EXPECT_EQ(uri->media_type, "image/png");
  EXPECT_EQ(uri->bytes, "foo");
}

TEST(DataUri, Refuses) {
  EXPECT_FALSE(parse_data_uri("", 10));
  EXPECT_FALSE(parse_data_uri("https://example.com/a.png", 10));
  EXPECT_FALSE(parse_data_uri("file:///etc/passwd", 10));
  EXPECT_FALSE(parse_data_uri("data:image/png;base64", 10));
  EXPECT_FALSE(parse_data_uri("data:image/png,abc", 10));
  EXPECT_FALSE(parse_data_uri("data:image/png;base64,####", 10));
  EXPECT_TRUE(parse_data_uri("data:image/png;base64,MDEyMzQ1Njc4OQ==", 10));
  const auto over = parse_data_uri("data:image/png;base64,MDEyMzQ1Njc4OTA=", 10);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::TooLarge);
}

}  // namespace
}  // namespace minerva::wire
