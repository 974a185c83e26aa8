#include "text/json_parts.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "text/regex.h"
#include "text/vocabulary.h"

namespace minerva::text {
namespace {

using json = nlohmann::json;

// No recursion beyond the depth that the reader of the file allowed.
Result<void> flatten(const json& value, std::string_view role, const char* list_key,
                     std::vector<JsonPart>& out) {
  if (value.is_null()) return {};
  if (!value.is_object()) return broken_tokenizer(fmt::format("{} is no object", role));
  MINERVA_ASSIGN(const std::string_view type, string_of(value, "type", "", role));
  if (type != "Sequence") {
    if (out.size() == kPartsMax) {
      return unsupported_tokenizer(fmt::format("a {} of more than {} parts", role, kPartsMax));
    }
    out.push_back({role, type, &value});
    return {};
  }
  const auto list = value.find(list_key);
  if (list == value.end() || !list->is_array()) {
    return broken_tokenizer(fmt::format("{} is a Sequence without the list {}", role, list_key));
  }
  for (const json& one : *list) MINERVA_TRY(flatten(one, role, list_key, out));
  return {};
}

}  // namespace

std::string JsonPart::where() const { return fmt::format("{} {}", role, type); }

Result<std::vector<JsonPart>> parts_of(const json& document, const char* role,
                                       const char* list_key) {
  std::vector<JsonPart> out;
  const auto found = document.find(role);
  if (found != document.end()) MINERVA_TRY(flatten(*found, role, list_key, out));
  return out;
}

std::unexpected<Error> broken_tokenizer(std::string_view why) {
  return fail(ErrorCode::InvalidModel, fmt::format("tokenizer.json: {}", why), "tokenizer.json");
}

std::unexpected<Error> unsupported_tokenizer(std::string_view what) {
  return fail(ErrorCode::Unsupported, fmt::format("tokenizer.json: {} is not supported", what),
              "tokenizer.json");
}

Result<bool> flag_of(const json& object, const char* key, bool otherwise, std::string_view where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return otherwise;
  if (found->is_boolean()) return found->get<bool>();
  return broken_tokenizer(fmt::format("{}: {} is neither true nor false", where, key));
}

Result<std::string_view> string_of(const json& object, const char* key, std::string_view otherwise,
                                   std::string_view where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return otherwise;
  if (found->is_string()) return std::string_view(found->get_ref<const std::string&>());
  return broken_tokenizer(fmt::format("{}: {} is no string", where, key));
}

Result<std::size_t> count_of(const json& object, const char* key, std::size_t otherwise,
                             std::string_view where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return otherwise;
  if (found->is_number_unsigned()) return found->get<std::size_t>();
  return broken_tokenizer(fmt::format("{}: {} is no number of things", where, key));
}

Result<std::string> replacement_of(const json& object, const char* key, std::string_view otherwise,
                                   std::string_view where) {
  MINERVA_ASSIGN(const std::string_view text, string_of(object, key, otherwise, where));
  if (text.size() <= kReplacementBytesMax) return std::string(text);
  return unsupported_tokenizer(fmt::format("{}: {} of {} bytes (at most {} are)", where, key,
                                           text.size(), kReplacementBytesMax));
}

Result<std::string> character_of(const json& object, const char* key, std::string_view otherwise,
                                 std::string_view where) {
  MINERVA_ASSIGN(const std::string_view text, string_of(object, key, otherwise, where));
  if (!text.empty() && utf8_next(text).length == text.size()) return std::string(text);
  return broken_tokenizer(
      fmt::format("{}: {} is {}, not one character", where, key, quoted_piece(text)));
}

Result<JsonPattern> pattern_of(const JsonPart& part) {
  const auto found = part.value->find("pattern");
  if (found == part.value->end() || !found->is_object()) {
    return broken_tokenizer(fmt::format("{} has no pattern", part.where()));
  }
  JsonPattern out;
  MINERVA_ASSIGN(out.literal, string_of(*found, "String", "", part.where()));
  MINERVA_ASSIGN(out.regex, string_of(*found, "Regex", "", part.where()));
  return out;
}

Result<void> check_growth(const std::vector<JsonPart>& parts) {
  std::size_t growth = 1;
  for (const JsonPart& part : parts) {
    if (part.type != "Replace") continue;
    MINERVA_ASSIGN(const JsonPattern pattern, pattern_of(part));
    MINERVA_ASSIGN(const std::string by, replacement_of(*part.value, "content", "", part.where()));
    // An expression may find nothing before each character.
    const std::size_t found = std::max<std::size_t>(1, pattern.literal.size());
    growth *= pattern.regex.empty() ? std::max<std::size_t>(1, (by.size() + found - 1) / found)
                                    : by.size() + 1;
    if (growth > kGrowthMax) {
      return unsupported_tokenizer(
          fmt::format("{} after others which together make a text more than {} times as long",
                      part.where(), kGrowthMax));
    }
  }
  return {};
}

Result<FindMatches> JsonPattern::finder() const {
  if (regex.empty()) return occurrences_of(std::string(literal));
  MINERVA_ASSIGN(const Regex expression, Regex::compile(regex));
  return FindMatches([expression](std::string_view text, const MatchSink& on_match) {
    return expression.for_each_match(text, on_match);
  });
}

}  // namespace minerva::text
