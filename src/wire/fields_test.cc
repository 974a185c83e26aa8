#include "wire/fields.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace minerva::wire {
namespace {

Json json(std::string_view text) { return parse_json(text).value(); }

TEST(Fields, IntegersAreExact) {
  const Range<std::int32_t> range{-5, 100};
  EXPECT_EQ(bounded<std::int32_t>(json("7"), "f", range).value(), 7);
  EXPECT_EQ(bounded<std::int32_t>(json("7.0"), "f", range).value(), 7);
  EXPECT_EQ(bounded<std::int32_t>(json("1e2"), "f", range).value(), 100);
  EXPECT_EQ(bounded<std::int32_t>(json("-5"), "f", range).value(), -5);
  EXPECT_EQ(bounded<std::int32_t>(json("-0.0"), "f", range).value(), 0);
  EXPECT_EQ(bounded<std::int32_t>(json("1e-400"), "f", range).value(), 0);
  for (const auto* bad : {"-6", "101", "1.5", "4294967303", "18446744073709551616", "1e300", "true",
                          "\"7\"", "null", "[7]", "{}"}) {
    const auto read = bounded<std::int32_t>(json(bad), "f", range);
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().param, "f");
    EXPECT_NE(read.error().message.find("'f' must be an integer from -5 to 100, got"),
              std::string::npos)
        << read.error().message;
  }
  constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(bounded<std::uint64_t>(json("18446744073709551615"), "f", {0, kMax}).value(), kMax);
  EXPECT_FALSE(bounded<std::uint64_t>(json("-1"), "f", {0, kMax}));
  // A float past 2^53 does not say which integer it means.
  EXPECT_FALSE(bounded<std::uint64_t>(json("1e18"), "f", {0, kMax}));
}

TEST(Fields, FloatsKeepTheirRangeAfterRounding) {
  EXPECT_EQ(bounded_float(json("0.5"), "f", {0, 1}).value(), 0.5F);
  EXPECT_EQ(bounded_float(json("1"), "f", {0, 1}).value(), 1.0F);
  EXPECT_EQ(bounded_float(json("1e-60"), "f", {0, 1}).value(), 0.0F);
  EXPECT_FALSE(bounded_float(json("1e-60"), "f", {0, 1, true}));
  EXPECT_FALSE(bounded_float(json("0"), "f", {0, 1, true}));
  EXPECT_FALSE(bounded_float(json("1.0000001"), "f", {0, 1}));
  EXPECT_EQ(bounded_float(json("\"1\""), "f", {0, 1}).error().message,
            "'f' must be a number from 0 to 1, got the string \"1\"");
}

TEST(Fields, OthersNameTheField) {
  EXPECT_EQ(boolean(json("1"), "stream").error().message, "'stream' must be true or false, got 1");
  EXPECT_EQ(string(json("{}"), "model", 5).error().message,
            "'model' must be a string, got an object");
  EXPECT_EQ(string(json("\"123456\""), "model", 5).error().message,
            "'model' may have 5 bytes, got 6");
  EXPECT_TRUE(string(json("\"12345\""), "model", 5));
  EXPECT_EQ(must_be_array(json("\"a\xF0\x9F\x98\x80\""), "stop").error().param, "stop");
  EXPECT_EQ(find(json(R"({"a":null})"), "a"), nullptr);
  EXPECT_EQ(find(json("[]"), "a"), nullptr);
}

}  // namespace
}  // namespace minerva::wire
