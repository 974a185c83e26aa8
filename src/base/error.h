// What went wrong, said once: a closed code that the api table maps to HTTP, a message that says
// what, where, the two numbers and the likely cause, and who failed. A plain value; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace minerva {

enum class ErrorCode : std::uint8_t {
  InvalidArgument,  // a request, flag or config value is wrong: the caller can mend it
  InvalidModel,     // a model file is broken or lies
  Unsupported,      // well-formed, but nothing here can do it
  NotFound,         // no such model, file or route
  Forbidden,        // refused by policy (Host, Origin, key)
  TooLarge,         // over a limit of size
  ContextExceeded,  // the prompt does not fit the context
  QueueFull,        // try again later
  Unavailable,      // no engine is ready
  Timeout,          // a deadline passed
  Cancelled,        // the client went away or asked to stop
  OutOfMemory,      // memory or KV pages ran out
  Io,               // the operating system refused
  Internal,         // our own mistake
};

std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::Internal;
  std::string message;
  // The field, flag or file section that is wrong, where there is one ("temperature").
  std::string param = {};
  // Who failed: "minerva" or an engine's name.
  std::string origin = "minerva";
  // When it is worth another try; 0: nobody said.
  std::chrono::milliseconds retry_after = {};

  // The same error, with where it happened put in front of the message.
  [[nodiscard]] Error in(std::string_view where) && {
    message = std::string(where) + ": " + message;
    return std::move(*this);
  }
};

}  // namespace minerva
