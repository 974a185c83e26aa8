// A GenerateRequest as JSON, from the server to an isolated engine. Deadlines are not sent: clocks
// differ, and the server ends a request by closing its connection. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "backend/request.h"
#include "base/result.h"

namespace minerva::backend {

// Unsupported for what has no place in it (images, messages).
Result<std::string> request_json(const GenerateRequest& request);
Result<GenerateRequest> parse_request_json(std::string_view body);

}  // namespace minerva::backend
