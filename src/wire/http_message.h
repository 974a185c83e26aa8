// What the parsers of this room make of bytes. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minerva::wire {

struct Field {
  std::string name;  // in lower case
  std::string value;
};

// The value of the first field with this lower-case name.
std::optional<std::string_view> find_field(const std::vector<Field>& fields, std::string_view name);

// Why a request is not served, as an HTTP status and words for the client.
struct Refusal {
  unsigned status = 400;
  std::string message;
};

struct RequestHead {
  std::string method;
  std::string target;  // as sent
  std::string path;    // still percent-encoded; "*" for OPTIONS *
  std::string query;   // behind the "?", still encoded
  unsigned minor = 1;  // of HTTP/1.x
  std::vector<Field> fields;

  bool keep_alive = true;
  bool expects_continue = false;
  bool chunked = false;
  std::uint64_t content_length = 0;

  bool has_body() const { return chunked || content_length > 0; }
  std::optional<std::string_view> find(std::string_view name) const {
    return find_field(fields, name);
  }
};

struct ResponseHead {
  unsigned status = 0;
  std::vector<Field> fields;
  bool chunked = false;
  std::optional<std::uint64_t> content_length;  // none and not chunked: until the connection closes

  std::optional<std::string_view> find(std::string_view name) const {
    return find_field(fields, name);
  }
};

}  // namespace minerva::wire
