#include "wire/json_guard.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace minerva::wire {
namespace {

using namespace std::string_literals;

std::string nested(std::size_t depth, char open, char close) {
  return std::string(depth, open) + std::string(depth, close);
}

TEST(JsonGuard, TakesWhatTheStandardAllows) {
  const std::vector<std::string> good = {
      "null",
      "true",
      " [ ] ",
      "{}",
      "-0",
      "-0.0e-0",
      "1E+2",
      "0.5",
      "\"\"",
      "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
      "\"\\u0000\"",
      "\xEF\xBB\xBF{}",
      "{\"a\":[1,{\"a\":2}],\"b\":{\"a\":1}}",
      "\t\r\n[1 , 2]\n",
      "\"\xF0\x9F\x98\x80\"",
      "1e-400",
      "9007199254740993",
      "18446744073709551616",
  };
  for (const std::string& text : good) {
    const auto checked = check_json(text);
    EXPECT_TRUE(checked) << text << ": " << checked.error().message;
    EXPECT_TRUE(parse_json(text)) << text;
  }
}

TEST(JsonGuard, RefusesWithThePlace) {
  struct Case {
    std::string text;
    std::string message;  // behind "invalid JSON at "
    std::string param;
  };
  const std::vector<Case> cases = {
      {"", "line 1, column 1 (byte 0): the text ends where a value should be", ""},
      {"\n\n {\"a\": }", "line 3, column 8 (byte 9): '}' where a value should be", "a"},
      {"{\"a\":1,}", "line 1, column 8 (byte 7): '}' where a key in quotes should be", ""},
      {"[1 2]", "line 1, column 4 (byte 3): '2' where ',' or ']' should be", "[0]"},
      {"{} x", "line 1, column 4 (byte 3): there is something behind the end of the JSON value",
       ""},
      {"{\"a\":1,\"a\":2}", "line 1, column 8 (byte 7): this key stands here for the second time",
       "a"},
      {"{\"a\":1,\"\\u0061\":2}",
       "line 1, column 8 (byte 7): this key stands here for the second time", "a"},
      {"{\"t\": NaN}", "line 1, column 7 (byte 6): NaN is not JSON: numbers are finite", "t"},
      {"{\"t\": -Infinity}", "line 1, column 8 (byte 7): Infinity is not JSON: numbers are finite",
       "t"},
      {"{\"a\":[0,{\"b\":1e400}]}",
       "line 1, column 14 (byte 13): this number is too large for a 64-bit float (1.8e308)",
       "a[1].b"},
      {"1" + std::string(400, '0'),
       "line 1, column 1 (byte 0): this number is too large for a 64-bit float (1.8e308)", ""},
      {"0.1e309999999999999999999",
       "line 1, column 1 (byte 0): this number is too large for a 64-bit float (1.8e308)", ""},
      {"[01]", "line 1, column 2 (byte 1): a number may not begin with 0", "[0]"},
      {"[1.]", "line 1, column 4 (byte 3): ']' where a digit behind the decimal point should be",
       "[0]"},
      {"[1e]", "line 1, column 4 (byte 3): ']' where a digit in the exponent should be", "[0]"},
      {"[+1]", "line 1, column 2 (byte 1): '+' where a value should be", "[0]"},
      {"[-]", "line 1, column 3 (byte 2): ']' where a value should be", "[0]"},
      {"[-true]", "line 1, column 3 (byte 2): 't' where a value should be", "[0]"},
      {"[truex]", "line 1, column 2 (byte 1): 't' where a value should be", "[0]"},
      {"{\"a\"", "line 1, column 5 (byte 4): the text ends where ':' behind the key should be",
       "a"},
      {"\"abc", "line 1, column 1 (byte 0): the string that begins here has no end", ""},
      {"\"\\x\"", "line 1, column 2 (byte 1): unknown escape in a string", ""},
      {"\"\\ud800\"", "line 1, column 2 (byte 1): half of a surrogate pair", ""},
      {"\"\\udc00\"", "line 1, column 2 (byte 1): half of a surrogate pair", ""},
      {"\"\\u12g4\"", "line 1, column 4 (byte 3): \\u needs four hexadecimal digits", ""},
      {"\"a\nb\"", "line 1, column 3 (byte 2): control character 0x0A in a string: write \\u000a",
       ""},
      {"\"a\0b\""s, "line 1, column 3 (byte 2): control character 0x00 in a string: write \\u0000",
       ""},
      {"{}\0"s, "line 1, column 3 (byte 2): there is something behind the end of the JSON value",
       ""},
      {"[\"a\xFF\"]", "line 1, column 4 (byte 3): byte 0xFF is not valid UTF-8", ""},
      {"\"\xED\xA0\x80\"", "line 1, column 2 (byte 1): byte 0xED is not valid UTF-8", ""},
  };
  for (const Case& c : cases) {
    const auto checked = check_json(c.text);
    ASSERT_FALSE(checked) << c.text;
    EXPECT_EQ(checked.error().code, ErrorCode::InvalidArgument);
    EXPECT_EQ(checked.error().message, "invalid JSON at " + c.message);
    EXPECT_EQ(checked.error().param, c.param);
    EXPECT_FALSE(parse_json(c.text));
  }
}

TEST(JsonGuard, HoldsItsLimits) {
  EXPECT_TRUE(check_json(nested(64, '[', ']')));
  EXPECT_FALSE(check_json(nested(65, '[', ']')));
  // Deep enough to overflow a stack, if anything recursed on it.
  EXPECT_FALSE(parse_json(nested(1'000'000, '[', ']')));
  std::string objects;
  for (int i = 0; i < 200'000; ++i) objects += "{\"a\":";
  EXPECT_FALSE(parse_json(objects));

  std::string keys = "{";
  for (int i = 0; i < 9'999; ++i) keys += fmt::format("\"{}\":0,", i);
  keys += "\"last\":0}";
  EXPECT_TRUE(check_json(keys));
  EXPECT_TRUE(check_json("[" + keys + "," + keys + "]", {.keys_max = 20'000}));
  for (const std::string& more : {"[" + keys + ",{\"a\":0}]", "[" + keys + "," + keys + "]"}) {
    const auto too_many = check_json(more);
    ASSERT_FALSE(too_many);
    EXPECT_EQ(too_many.error().code, ErrorCode::TooLarge);
  }
  // One object is searched for each of its keys, so it has a bound of its own.
  keys.replace(keys.size() - 1, 1, ",\"more\":0}");
  const auto wide = check_json(keys, {.keys_max = 1'000'000});
  ASSERT_FALSE(wide);
  EXPECT_EQ(wide.error().code, ErrorCode::TooLarge);

  EXPECT_TRUE(check_json("[1,2]", {.values_max = 3}));
  EXPECT_FALSE(check_json("[1,2,3]", {.values_max = 3}));
}

TEST(JsonGuard, WritesWithoutThrowing) {
  EXPECT_EQ(dump_json({{"b", 1}, {"a", "x\xFFy"}}), "{\"b\":1,\"a\":\"x\xEF\xBF\xBDy\"}");
  EXPECT_EQ(json_string("a\n\"\xF0\x9F"), "\"a\\n\\\"\xEF\xBF\xBD\"");
  EXPECT_EQ(json_string("\n\nevent: x\ndata: y\r"), R"("\n\nevent: x\ndata: y\r")");
}

TEST(JsonGuard, ParseKeepsTheOrderOfKeys) {
  const auto value = parse_json(R"({"z":1,"a":2,"m":3})");
  ASSERT_TRUE(value);
  EXPECT_EQ(dump_json(*value), R"({"z":1,"a":2,"m":3})");
}

}  // namespace
}  // namespace minerva::wire
