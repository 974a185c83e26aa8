#include "models/model_name.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace minerva::models {
namespace {

using namespace std::string_view_literals;

TEST(ModelName, TakesWhatModelsAreCalled) {
  for (const std::string_view name :
       {"SmolLM2-135M-Instruct.Q4_1"sv, "gemma-3-270m-q4_k_m"sv, "llama3"sv, "llama3:8b"sv,
        "org/model"sv, "host/org/model:tag"sv, "_private"sv, "7b"sv, "a"sv, "a.b-c_d"sv, "CON"sv,
        "a-"sv, "A1:b2/c3"sv, "model.gguf"sv}) {
    const auto parsed = ModelName::parse(name);
    ASSERT_TRUE(parsed) << name << ": " << parsed.error().message;
    EXPECT_EQ(parsed->text(), name);
  }
  EXPECT_TRUE(ModelName::parse(std::string(kModelNameBytesMax, 'a')));
}

// Names from attacks on other servers, and what they were made of.
constexpr std::string_view kHostile[] = {
    // Upwards.
    ".."sv,
    "."sv,
    "../x"sv,
    "../../etc/passwd"sv,
    "a/../b"sv,
    "a/.."sv,
    "a..b"sv,
    "..a"sv,
    "a.."sv,
    "a/./b"sv,
    "./a"sv,
    "a/."sv,
    "..../x"sv,
    "....//x"sv,
    "..;/x"sv,
    "a/..;/b"sv,
    // Written in another way.
    "%2e%2e/x"sv,
    "%2e%2e%2fx"sv,
    "..%2fx"sv,
    "..%5cx"sv,
    "%2e"sv,
    "a%00"sv,
    "%c0%ae%c0%ae/x"sv,
    "..%c0%afx"sv,
    "%252e%252e%252f"sv,
    "a%2fb"sv,
    "%u002e%u002e"sv,
    "\xc0\xae\xc0\xae/x"sv,
    "\xe0\x80\xae"sv,
    "．．/x"sv,
    "‥/x"sv,
    "a／b"sv,
    "a∕b"sv,
    "&#46;&#46;/"sv,
    "\\u002e\\u002e"sv,
    // From the root, a home, a drive, another host.
    "/"sv,
    "/etc/passwd"sv,
    "//host/share"sv,
    "~"sv,
    "~/x"sv,
    "~root/x"sv,
    "C:"sv,
    "C:\\x"sv,
    "C:/x"sv,
    "c:/windows"sv,
    "\\\\host\\share"sv,
    "\\\\?\\C:\\x"sv,
    "\\\\.\\pipe\\x"sv,
    "\\x"sv,
    "a\\b"sv,
    "..\\x"sv,
    "a\\..\\b"sv,
    "file:///etc/passwd"sv,
    "http://host/x"sv,
    "s3://b/k"sv,
    "hf://org/m"sv,
    "data:,x"sv,
    "/proc/self/environ"sv,
    "/dev/random"sv,
    "/dev/stdin"sv,
    "//dev/random"sv,
    "///x"sv,
    // Empty parts and loose joints.
    ""sv,
    "a//b"sv,
    "a/"sv,
    "a:"sv,
    ":a"sv,
    "a::b"sv,
    "a:/b"sv,
    "a/:b"sv,
    "a/b/"sv,
    "/a"sv,
    ":"sv,
    // Hidden files, trailing dots, options.
    ".a"sv,
    ".ssh/id_rsa"sv,
    "a/.b"sv,
    "a."sv,
    "a./b"sv,
    "a.:b"sv,
    "-a"sv,
    "--help"sv,
    "-m"sv,
    "a/-b"sv,
    "a:-b"sv,
    "-"sv,
    // Blanks and control characters.
    " "sv,
    " a"sv,
    "a "sv,
    "a b"sv,
    "\t"sv,
    "a\tb"sv,
    "a\n"sv,
    "\na"sv,
    "a\nb"sv,
    "a\r\nX: y"sv,
    "a\0b"sv,
    "\0"sv,
    "a\0.gguf"sv,
    "\x1b[2J"sv,
    "a\x1b]0;x\x07"sv,
    "a\x7f"sv,
    "\x08"sv,
    "a\u00a0b"sv,
    "a\u200bb"sv,
    "\ufeffa"sv,
    "a\u2028b"sv,
    "a\u202egnp"sv,
    "a\u2066b"sv,
    // Shells, templates, queries, globs.
    "a;ls"sv,
    "a|b"sv,
    "a&b"sv,
    "$(id)"sv,
    "`id`"sv,
    "${HOME}"sv,
    "$HOME"sv,
    "a>b"sv,
    "a<b"sv,
    "a'b"sv,
    "a\"b"sv,
    "*"sv,
    "a?"sv,
    "[a]"sv,
    "{a,b}"sv,
    "a#b"sv,
    "a@sha256"sv,
    "a=b"sv,
    "a,b"sv,
    "a!b"sv,
    "a^b"sv,
    "(a)"sv,
    "a+b"sv,
    "{{7*7}}"sv,
    "{%x%}"sv,
    "' OR 1=1"sv,
    "<script>"sv,
    // Not ASCII.
    "modèle"sv,
    "mode\u0300le"sv,
    "模型"sv,
    "а"sv,
    "ａ"sv,
    "😀"sv,
    "\xff"sv,
    "a\x80"sv,
    "\xed\xa0\x80"sv,
};

TEST(ModelName, RefusesWhatAPathAShellOrATerminalWouldReadInItsOwnWay) {
  EXPECT_GE(std::size(kHostile), 100U);
  for (const std::string_view name : kHostile) {
    const auto parsed = ModelName::parse(name);
    ASSERT_FALSE(parsed) << name;
    EXPECT_EQ(parsed.error().code, ErrorCode::InvalidArgument);
    EXPECT_EQ(parsed.error().param, "model");
  }
  EXPECT_FALSE(ModelName::parse(std::string(kModelNameBytesMax + 1, 'a')));
  EXPECT_FALSE(ModelName::parse(std::string(1 << 20, 'a')));
}

// Nothing but the characters of the grammar gets through, at any place.
TEST(ModelName, EveryByteAtEveryPlace) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool word =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    const bool inner = word || c == '.' || c == '-' || c == '/' || c == ':';
    EXPECT_EQ(ModelName::parse(std::string(1, c)).has_value(), word) << byte;
    EXPECT_EQ(ModelName::parse(std::string("a") + c + "b").has_value(), inner) << byte;
    EXPECT_EQ(ModelName::parse(std::string("ab") + c).has_value(), word || c == '-') << byte;
  }
}

}  // namespace
}  // namespace minerva::models
