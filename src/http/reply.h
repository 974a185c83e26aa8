// What is answered, and its bytes. Values that come from elsewhere are made safe here, so that
// nothing can end a header early. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/http_message.h"

namespace minerva::http {

struct Reply {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::vector<wire::Field> fields = {};  // besides those that every answer has
  std::string body = {};
};

// What every answer of one request carries.
struct ReplyContext {
  std::string request_id;
  std::string version;         // of the server
  std::int64_t unix_time = 0;  // for Date
  std::string allowed_origin;  // one of the configured ones; empty: no such header
  unsigned minor = 1;          // the client's HTTP/1.x
  bool head_only = false;      // HEAD: the headers as for GET, no body
  bool keep_alive = true;      // false: the connection closes after this answer
};

Reply text_reply(std::string body);
Reply json_reply(std::string body, unsigned status = 200);

std::string_view status_words(unsigned status);

// Letters, digits and "._:/ ,;()=-"; everything else becomes "_". At most 200 characters.
std::string safe_header_value(std::string_view value);

// Head and body, with Content-Length.
std::string render(const Reply& reply, const ReplyContext& context);
// The head of an answer whose length is not known: chunked, or until close for HTTP/1.0.
std::string render_stream_head(const Reply& reply, const ReplyContext& context);

void append_chunk(std::string& out, std::string_view bytes);  // nothing for no bytes
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace minerva::http
