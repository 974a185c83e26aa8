#include "models/model_name.h"

#include <fmt/core.h>

namespace minerva::models {
namespace {

// Not std::isalnum: that depends on the locale, and is undefined for negative chars.
constexpr bool begins_part(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}
constexpr bool joins_parts(char c) { return c == '/' || c == ':'; }

// What is wrong with the name, or nothing.
std::string_view problem_of(std::string_view text) {
  if (text.empty()) return "it is empty";
  if (text.size() > kModelNameBytesMax) return "it is longer than 200 bytes";
  char before = '/';
  for (const char c : text) {
    if (joins_parts(before) && !begins_part(c)) {
      return "it, or a part of it, does not begin with a letter, a digit or '_'";
    }
    if (before == '.' && (c == '.' || joins_parts(c))) return "a '.' stands before '.', '/' or ':'";
    if (!begins_part(c) && !joins_parts(c) && c != '.' && c != '-') {
      return "it holds something else than letters, digits and . _ : / -";
    }
    before = c;
  }
  if (before == '.' || joins_parts(before)) return "it ends with '.', '/' or ':'";
  return {};
}

}  // namespace

Result<ModelName> ModelName::parse(std::string_view text) {
  if (const std::string_view problem = problem_of(text); !problem.empty()) {
    return fail(ErrorCode::InvalidArgument, fmt::format("not a model name: {}", problem), "model");
  }
  return ModelName(std::string(text));
}

}  // namespace minerva::models
