#include "http/reply.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <iterator>

namespace minerva::http {
namespace {

constexpr std::size_t kHeaderValueMax = 200;

bool is_safe(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return c != '\0' && std::string_view("._:/ ,;()=-").find(c) != std::string_view::npos;
}

bool has_body(unsigned status) { return status >= 200 && status != 204 && status != 304; }

std::string render_head(const Reply& reply, const ReplyContext& context) {
  std::string out;
  auto to = std::back_inserter(out);
  fmt::format_to(to, "HTTP/1.1 {} {}\r\n", reply.status, status_words(reply.status));
  fmt::format_to(to, "date: {:%a, %d %b %Y %H:%M:%S GMT}\r\n",
                 fmt::gmtime(static_cast<std::time_t>(context.unix_time)));
  fmt::format_to(to, "server: minerva/{}\r\n", safe_header_value(context.version));
  fmt::format_to(to, "x-request-id: {}\r\n", safe_header_value(context.request_id));
  out += "x-content-type-options: nosniff\r\ncache-control: no-store\r\n";
  if (!context.allowed_origin.empty())
    fmt::format_to(to, "access-control-allow-origin: {}\r\nvary: Origin\r\n",
                   context.allowed_origin);
  for (const wire::Field& field : reply.fields)
    fmt::format_to(to, "{}: {}\r\n", field.name, safe_header_value(field.value));
  if (has_body(reply.status)) fmt::format_to(to, "content-type: {}\r\n", reply.content_type);
  out += context.keep_alive ? "connection: keep-alive\r\n" : "connection: close\r\n";
  return out;
}

}  // namespace

Reply text_reply(std::string body) {
  Reply reply;
  reply.content_type = "text/plain; charset=utf-8";
  reply.body = std::move(body);
  return reply;
}

Reply json_reply(std::string body, unsigned status) {
  Reply reply;
  reply.status = status;
  reply.body = std::move(body);
  return reply;
}

std::string_view status_words(unsigned status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

std::string safe_header_value(std::string_view value) {
  std::string out(value.substr(0, kHeaderValueMax));
  for (char& c : out) {
    if (!is_safe(c)) c = '_';
  }
  return out;
}

std::string render(const Reply& reply, const ReplyContext& context) {
  std::string out = render_head(reply, context);
  if (has_body(reply.status))
    fmt::format_to(std::back_inserter(out), "content-length: {}\r\n", reply.body.size());
  out += "\r\n";
  if (has_body(reply.status) && !context.head_only) out += reply.body;
  return out;
}

std::string render_stream_head(const Reply& reply, const ReplyContext& context) {
  std::string out = render_head(reply, context);
  if (context.minor == 1) out += "transfer-encoding: chunked\r\n";
  out += "\r\n";
  return out;
}

void append_chunk(std::string& out, std::string_view bytes) {
  if (bytes.empty()) return;
  fmt::format_to(std::back_inserter(out), "{:x}\r\n", bytes.size());
  out.append(bytes);
  out += "\r\n";
}

}  // namespace minerva::http
