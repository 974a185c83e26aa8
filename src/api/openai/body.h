// What the parsers of request bodies have in common. Private to this folder.
#pragma once

#include <fmt/core.h>

#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"
#include "wire/json_guard.h"

namespace minerva::api::openai {

Result<wire::Json> read_object(std::string_view body);

// A client's text, made fit for a header.
std::string header_name(std::string_view name);

// The JSON library may throw; nothing that a body can hold makes it (api_fuzz.cc), and an exception
// must not leave this room.
template <class Read>
std::invoke_result_t<Read> guarded(Read read) {
  try {
    return read();
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::OutOfMemory, "no memory to read the request");
  } catch (const std::exception& exception) {
    return fail(ErrorCode::Internal, fmt::format("reading the request: {}", exception.what()));
  }
}

}  // namespace minerva::api::openai
