// OpenAI's request bodies, read into a Call. Pure functions; any thread. Every refusal is an Error
// whose param names the field. docs/api.md lists the fields.
#pragma once

#include <string_view>

#include "api/dialect.h"
#include "base/result.h"

namespace minerva::api::openai {

Result<Call> parse_chat_completion(std::string_view body, const CallContext& context);
Result<Call> parse_completion(std::string_view body, const CallContext& context);

// The body of either, told apart by `messages` and `prompt`: for who only asks where it would run.
Result<serve::Request> parse_route_question(std::string_view body, const CallContext& context);

}  // namespace minerva::api::openai
