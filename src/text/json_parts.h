// The parts that tokenizer.json is made of, and their fields, checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/cut_stages.h"

namespace minerva::text {

// Longer texts to put in for others are refused: a short text must not become a huge one.
inline constexpr std::size_t kReplacementBytesMax = 64;
// Each part of a pre-tokenizer calls the next one. In use are five at most.
inline constexpr std::size_t kPartsMax = 64;
// So many times as long as it was may all Replace of a list together make a text.
inline constexpr std::size_t kGrowthMax = 256;

// One of "normalizer", "pre_tokenizer", "post_processor", "decoder", or of a Sequence of them.
// Views of the document.
struct JsonPart {
  std::string_view role;  // "normalizer"
  std::string_view type;
  const nlohmann::json* value;

  std::string where() const;  // "normalizer Replace"
};

// In order, Sequences within Sequences laid flat. Empty where there is none; Unsupported for more
// than kPartsMax.
Result<std::vector<JsonPart>> parts_of(const nlohmann::json& document, const char* role,
                                       const char* list_key);

// Fields. One of another type is InvalidModel, with `where` in the message; one that is absent or
// null is `otherwise`.
Result<bool> flag_of(const nlohmann::json& object, const char* key, bool otherwise,
                     std::string_view where);
Result<std::string_view> string_of(const nlohmann::json& object, const char* key,
                                   std::string_view otherwise, std::string_view where);
Result<std::size_t> count_of(const nlohmann::json& object, const char* key, std::size_t otherwise,
                             std::string_view where);
// The same of a text that is put in for others, and of one that is a single character.
Result<std::string> replacement_of(const nlohmann::json& object, const char* key,
                                   std::string_view otherwise, std::string_view where);
Result<std::string> character_of(const nlohmann::json& object, const char* key,
                                 std::string_view otherwise, std::string_view where);

// {"String": ...} or {"Regex": ...}; the other one is empty.
struct JsonPattern {
  std::string_view literal;
  std::string_view regex;
  Result<FindMatches> finder() const;
};
Result<JsonPattern> pattern_of(const JsonPart& part);
// Unsupported when the parts of type Replace make texts longer than kGrowthMax allows.
Result<void> check_growth(const std::vector<JsonPart>& parts);

// Errors of tokenizer.json.
std::unexpected<Error> broken_tokenizer(std::string_view why);
std::unexpected<Error> unsupported_tokenizer(std::string_view what);

}  // namespace minerva::text
