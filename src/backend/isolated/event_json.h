// What a generation says, as one line of JSON each way: the data of the server-sent events between
// the server and an isolated engine. Nothing is lost: ids, the exact bytes of a token (in
// hexadecimal, since they may be part of a character), and floats to the last bit. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "backend/event.h"
#include "base/error.h"
#include "base/result.h"
#include "wire/json_guard.h"

namespace minerva::backend {

void append_event_json(std::string& out, const GenerationEvent& event);

// The other process is not trusted: ids are below `vocabulary`, choices below `n`, and lists no
// longer than was asked for, or it is an error.
struct EventBounds {
  std::size_t vocabulary = 0;
  std::uint32_t choices = 1;
  std::size_t top_max = 0;
};
Result<GenerationEvent> parse_event_json(std::string_view line, const EventBounds& bounds);

// {"code":…,"message":…,"param":…,"origin":…,"retry_after_ms":…}
std::string error_json(const Error& error);
// Never fails: what cannot be read is an Internal error that says so.
Error parse_error(const wire::Json& value);

}  // namespace minerva::backend
