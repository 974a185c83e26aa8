#include "wire/json_guard.h"

#include "wire/json_scanner.h"

namespace minerva::wire {

Result<void> check_json(std::string_view text, const JsonLimits& limits) {
  return JsonScanner(text, limits).run();
}

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  MINERVA_TRY(check_json(text, limits));
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  // The scanner is at least as strict as the parser (json_guard_fuzz.cc holds that).
  if (value.is_discarded()) return fail(ErrorCode::InvalidArgument, "invalid JSON");
  return value;
}

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string json_string(std::string_view text) { return dump_json(Json(text)); }

}  // namespace minerva::wire
