#include "models/model_name.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "models/test_hostile_names.h"

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
