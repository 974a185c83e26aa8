#include "api/openai/error_answer.h"

#include "api/error_table.h"
#include "wire/json_guard.h"

namespace minerva::api::openai {

ErrorAnswer error_answer(const Error& error) {
  const ErrorRow& row = error_row(error.code);
  std::string_view code = row.error_code;
  if (error.code == ErrorCode::NotFound && error.param == "model") code = "model_not_found";
  const auto text_or_null = [](std::string_view text) {
    return text.empty() ? wire::Json(nullptr) : wire::Json(text);
  };
  const wire::Json body = {{"error",
                            {{"message", client_message(error)},
                             {"type", row.type},
                             {"param", text_or_null(error.param)},
                             {"code", text_or_null(code)}}}};
  return {row.status, wire::dump_json(body), retry_after_seconds(error)};
}

}  // namespace minerva::api::openai
