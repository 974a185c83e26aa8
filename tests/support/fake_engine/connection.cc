#include "support/fake_engine/connection.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace minerva::fake_engine {
namespace {

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 302:
      return "Found";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 503:
      return "Service Unavailable";
    default:
      return "Error";
  }
}

}  // namespace

Connection::~Connection() { ::close(socket_); }

std::optional<HttpRequest> Connection::read() {
  const auto more = [this] {
    std::array<char, 16384> bytes;
    const ssize_t count = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (count <= 0) return false;
    buffered_.append(bytes.data(), static_cast<std::size_t>(count));
    return true;
  };
  std::size_t head_end = std::string::npos;
  while ((head_end = buffered_.find("\r\n\r\n")) == std::string::npos) {
    if (!more()) return std::nullopt;
  }
  HttpRequest request;
  const std::string head = buffered_.substr(0, head_end);
  const std::size_t space = head.find(' ');
  request.method = head.substr(0, space);
  request.path = head.substr(space + 1, head.find(' ', space + 1) - space - 1);
  std::size_t length = 0;
  const std::string names = lower(head);
  if (const auto at = names.find("\r\ncontent-length:"); at != std::string::npos) {
    const std::size_t digits = names.find_first_not_of(' ', at + 17);
    std::from_chars(names.data() + digits, names.data() + names.size(), length);
  }
  constexpr std::string_view kBearer = "\r\nauthorization: bearer ";
  if (const auto at = names.find(kBearer); at != std::string::npos) {
    const std::size_t begin = at + kBearer.size();
    request.key = head.substr(begin, head.find('\r', begin) - begin);
  }
  buffered_.erase(0, head_end + 4);
  while (buffered_.size() < length) {
    if (!more()) return std::nullopt;
  }
  request.body = buffered_.substr(0, length);
  buffered_.erase(0, length);
  return request;
}

bool Connection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

bool Connection::reply(int status, std::string_view body, std::string_view type) {
  return send(fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{}",
                          status, reason(status), type, body.size(), body));
}

bool Connection::begin_stream() {
  return send(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
}

bool Connection::chunk(std::string_view bytes) {
  return send(fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes));
}

bool Connection::client_gone() const {
  pollfd wait{socket_, POLLIN, 0};
  if (::poll(&wait, 1, 0) <= 0) return false;
  char byte = 0;
  return ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

}  // namespace minerva::fake_engine
