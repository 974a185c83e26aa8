#include "api/openai/body.h"

#include "wire/fields.h"

namespace minerva::api::openai {
namespace {

constexpr std::size_t kHeaderNameBytesMax = 64;

}  // namespace

std::string header_name(std::string_view name) {
  std::string out;
  for (const char c : name.substr(0, kHeaderNameBytesMax)) {
    const bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      std::string_view("_-.[]").find(c) != std::string_view::npos;
    out += safe ? c : '?';
  }
  return out;
}

Result<wire::Json> read_object(std::string_view body) {
  MINERVA_ASSIGN(wire::Json json, wire::parse_json(body));
  if (!json.is_object()) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("the body must be a JSON object, got {}", wire::describe(json)));
  }
  return json;
}

}  // namespace minerva::api::openai
