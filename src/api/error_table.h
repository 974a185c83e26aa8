// The one table from an error's code to what a client is told. Every dialect reads it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace minerva::api {

struct ErrorRow {
  ErrorCode code;
  unsigned status;              // HTTP
  std::string_view type;        // OpenAI's error.type
  std::string_view error_code;  // OpenAI's error.code; empty: null
  bool retryable;               // the same request may succeed a little later
  std::string_view when;        // for docs/api.md
};

// One row for every ErrorCode, in the enum's order.
std::span<const ErrorRow> error_table();
const ErrorRow& error_row(ErrorCode code);

// The message as a client may see it. Where the fault is ours or an engine's (5xx) it is cut to its
// first line, absolute paths to their last part, and addresses are masked: the log has the rest.
std::string client_message(const Error& error);
// Words of an engine or of the machine, made fit for a client in the same way.
std::string client_words(std::string_view text);

// For Retry-After, in whole seconds, rounded up; 0: nothing is said. What the error itself says
// counts, up to an hour.
unsigned retry_after_seconds(const Error& error);

}  // namespace minerva::api
