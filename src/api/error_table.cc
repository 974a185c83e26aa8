#include "api/error_table.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>

#include "base/check.h"

namespace minerva::api {
namespace {

constexpr std::string_view kInvalid = "invalid_request_error";
constexpr std::string_view kServer = "server_error";

constexpr std::array kTable = {
    ErrorRow{ErrorCode::InvalidArgument, 400, kInvalid, "", false,
             "a field or the JSON is wrong; `param` names the field"},
    ErrorRow{ErrorCode::InvalidModel, 500, kServer, "invalid_model", false,
             "the model's file is broken"},
    ErrorRow{ErrorCode::Unsupported, 400, kInvalid, "unsupported_value", false,
             "well-formed, but nothing here can do it; `param` names the field"},
    ErrorRow{ErrorCode::NotFound, 404, kInvalid, "not_found", false,
             "no such route or model; code `model_not_found` where `param` is `model`"},
    ErrorRow{ErrorCode::Forbidden, 403, "permission_error", "forbidden", false,
             "Host, Origin or key is refused"},
    ErrorRow{ErrorCode::TooLarge, 413, kInvalid, "request_too_large", false,
             "the body, the JSON or a picture is over its limit"},
    ErrorRow{ErrorCode::ContextExceeded, 400, kInvalid, "context_length_exceeded", false,
             "the prompt does not fit the context; the message has both numbers"},
    ErrorRow{ErrorCode::QueueFull, 429, "rate_limit_error", "rate_limit_exceeded", true,
             "too many requests wait; Retry-After says when to come back"},
    ErrorRow{ErrorCode::Unavailable, 503, kServer, "unavailable", true,
             "no engine is ready, or the server is stopping"},
    ErrorRow{ErrorCode::Timeout, 504, kServer, "timeout", false, "the request's deadline passed"},
    ErrorRow{ErrorCode::Cancelled, 499, kInvalid, "cancelled", false, "the request was cancelled"},
    ErrorRow{ErrorCode::OutOfMemory, 503, kServer, "out_of_memory", true,
             "memory for the model or for its context ran out"},
    ErrorRow{ErrorCode::Io, 500, kServer, "io_error", false, "the operating system refused"},
    ErrorRow{ErrorCode::Internal, 500, kServer, "internal_error", false, "our own mistake"},
};

constexpr bool in_enum_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].code) != i) return false;
  }
  return kTable.size() == static_cast<std::size_t>(ErrorCode::Internal) + 1;
}
static_assert(in_enum_order(), "one row for each ErrorCode, in its order");

constexpr std::size_t kFaultBytesMax = 500;
// Clients sleep for as long as they are told.
constexpr auto kRetryAfterMax = std::chrono::hours(1);
constexpr std::size_t kMessageBytesMax = 2000;

bool hex_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

// Ends an absolute path: what file names of models never have.
bool ends_path(char c) {
  return c == ' ' || c == '\'' || c == '"' || c == ',' || c == ':' || c == ';' || c == ')' ||
         c == '(' || c == '`';
}

std::string without_addresses(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i + 2;
    if (text.substr(i, 2) == "0x") {
      while (end < text.size() && hex_digit(text[end])) ++end;
    }
    if (end >= i + 8) {
      out += "0x...";
      i = end;
    } else {
      out += text[i++];
    }
  }
  return out;
}

std::string without_folders(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '/' || (i > 0 && !ends_path(text[i - 1]))) {
      out += text[i++];
      continue;
    }
    std::size_t end = i;
    while (end < text.size() && !ends_path(text[end])) ++end;
    const std::string_view path = text.substr(i, end - i);
    out += path.substr(path.rfind('/') + 1);
    i = end;
  }
  return out;
}

}  // namespace

std::span<const ErrorRow> error_table() { return kTable; }

const ErrorRow& error_row(ErrorCode code) {
  const auto index = static_cast<std::size_t>(code);
  MINERVA_CHECK(index < kTable.size());
  return kTable[index];
}

std::string client_message(const Error& error) {
  if (error_row(error.code).status < 500) return error.message.substr(0, kMessageBytesMax);
  return client_words(error.message);
}

std::string client_words(std::string_view text) {
  const std::string_view first_line = text.substr(0, text.find_first_of("\r\n"));
  return without_addresses(without_folders(first_line.substr(0, kFaultBytesMax)));
}

unsigned retry_after_seconds(const Error& error) {
  if (error.retry_after.count() <= 0) return error_row(error.code).retryable ? 1 : 0;
  const auto bounded = std::min<std::chrono::milliseconds>(error.retry_after, kRetryAfterMax);
  return static_cast<unsigned>(std::chrono::ceil<std::chrono::seconds>(bounded).count());
}

}  // namespace minerva::api
