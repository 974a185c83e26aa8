// What an engine says when it refuses, as an Error that may be shown to a client.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <utility>

#include "backend/child/engine_wire.h"
#include "base/log.h"
#include "base/utf8.h"
#include "wire/http_grammar.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

constexpr std::size_t kMessageBytesMax = 300;
constexpr std::uint64_t kRetryAfterMax = 3600;  // seconds; more is as good as never

struct Said {
  std::string message;
  std::string type;
};

Said said_in(const wire::Json& value) {
  Said said;
  const auto text = [](const wire::Json& object, std::string_view key) {
    const wire::Json* found = object.is_object() && object.contains(key) ? &object[key] : nullptr;
    return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (!value.is_object()) return said;
  if (value.contains("error")) {
    const wire::Json& error = value["error"];
    if (error.is_string()) said.message = error.get<std::string>();
    if (error.is_object()) said = {text(error, "message"), text(error, "type")};
  } else if (value.contains("detail")) {
    const wire::Json& detail = value["detail"];
    // A list of {loc, msg, type}: the first one says enough.
    if (detail.is_array() && !detail.empty()) said.message = text(detail[0], "msg");
    if (detail.is_string()) said.message = detail.get<std::string>();
    if (detail.is_object()) said = {text(detail, "message"), text(detail, "type")};
  } else {
    said = {text(value, "message"), text(value, "type")};
  }
  return said;
}

bool contains_ignoring_case(std::string_view text, std::string_view wanted) {
  return wire::to_lower(text).find(wanted) != std::string::npos;
}

bool about_context(const Said& said) {
  if (contains_ignoring_case(said.type, "exceed_context")) return true;
  if (contains_ignoring_case(said.type, "context_length")) return true;
  return contains_ignoring_case(said.message, "context length") ||
         contains_ignoring_case(said.message, "context size");
}

ErrorCode code_of(unsigned status, const Said& said) {
  if (status < 500 && about_context(said)) return ErrorCode::ContextExceeded;
  switch (status) {
    case 400:
    case 422:
      return ErrorCode::InvalidArgument;
    case 413:
      return ErrorCode::TooLarge;
    case 429:
      return ErrorCode::QueueFull;
    case 501:
      return ErrorCode::Unsupported;
    default:
      // 401, 403 and 404 as well: our key and our path are wrong, not the client's request.
      return ErrorCode::Unavailable;
  }
}

// A word that tells of our machine and not of the request.
bool tells_too_much(std::string_view word) {
  while (!word.empty() && std::string_view("\"'`([{<=").find(word.front()) != word.npos)
    word.remove_prefix(1);
  if (word.find("://") != word.npos) return true;
  if (word.size() > 1 && (word.front() == '/' || word.starts_with("~/"))) return true;
  if (word.size() > 3 && word[1] == ':' && (word[2] == '\\' || word[2] == '/')) return true;
  if (word.find("=/") != word.npos || word.find(":/") != word.npos) return true;
  // An IPv4 address, with a port or without.
  const auto dots = std::ranges::count(word, '.');
  const auto digits = std::ranges::count_if(word, [](char c) { return c >= '0' && c <= '9'; });
  const auto others = std::ranges::count_if(
      word, [](char c) { return (c < '0' || c > '9') && c != '.' && c != ':' && c != ','; });
  return dots == 3 && digits >= 4 && others <= 2;
}

}  // namespace

std::string cleaned_message(std::string_view text) {
  // Behind a traceback's first line come the files of the engine.
  if (text.find("Traceback (most recent call last)") != text.npos) {
    const std::size_t last = text.find_last_not_of("\r\n ");
    text = text.substr(0, last == text.npos ? 0 : last + 1);
    const std::size_t line = text.find_last_of('\n');
    if (line != text.npos) text.remove_prefix(line + 1);
  }
  text = text.substr(0, text.find_first_of("\r\n"));
  const std::string safe = escape_controls(utf8_replace_invalid(text.substr(0, 4096)));
  std::string out;
  std::size_t at = 0;
  while (at < safe.size()) {
    const std::size_t end = std::min(safe.find(' ', at), safe.size());
    const std::string_view word = std::string_view(safe).substr(at, end - at);
    if (!out.empty()) out.push_back(' ');
    if (tells_too_much(word)) {
      out += "(…)";
    } else {
      out += word;
    }
    at = end + 1;
  }
  if (out.size() > kMessageBytesMax) {
    out.resize(kMessageBytesMax);
    out.resize(out.size() - utf8_incomplete_suffix(out));
    out += "…";
  }
  return out;
}

Error read_refusal(std::string_view origin, const UpstreamEnd& end) {
  Said said;
  if (const auto json = wire::parse_json(end.body, {.depth_max = 16, .keys_max = 1000})) {
    said = said_in(*json);
  }
  Error error{code_of(end.status, said), cleaned_message(said.message), {}, std::string(origin)};
  if (error.message.empty()) {
    error.message = end.status >= 300 && end.status < 400
                        ? fmt::format(
                              "the engine wants to be asked elsewhere (status {}), which "
                              "is not followed",
                              end.status)
                        : fmt::format("the engine answered with status {}", end.status);
  }
  if (error.code == ErrorCode::QueueFull || error.code == ErrorCode::Unavailable) {
    const auto field = wire::find_field(end.fields, "retry-after");
    const auto seconds = field ? wire::parse_decimal(*field) : std::nullopt;
    if (seconds) error.retry_after = std::chrono::seconds(std::min(*seconds, kRetryAfterMax));
  }
  return error;
}

}  // namespace minerva::backend
