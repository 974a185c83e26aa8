// `messages`, `tools` and `chat_template_kwargs` of a chat request. Private to this folder.
#pragma once

#include <string_view>

#include "api/openai/draft.h"
#include "base/result.h"
#include "wire/json_guard.h"

namespace minerva::api::openai {

Result<void> read_messages(const wire::Json& value, Draft& draft);
Result<void> read_tools(const wire::Json& value, Draft& draft);
Result<void> read_documents(const wire::Json& value, Draft& draft);
Result<void> read_template_kwargs(const wire::Json& value, Draft& draft);

}  // namespace minerva::api::openai
