// Errors as the clients of this server expect them: OpenAI's shape, whatever was asked for.
#pragma once

#include "base/error.h"
#include "http/reply.h"
#include "wire/http_message.h"

namespace minerva::http {

// The status of the error table, and Retry-After where trying again may help.
Reply error_reply(const Error& error);
// The refusal's own status.
Reply refusal_reply(const wire::Refusal& refusal);

}  // namespace minerva::http
