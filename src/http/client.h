// A small HTTP/1.1 client, for talking to a Minerva that already runs here (the terminal chat
// attaches to it) and for finding out who holds a port. Blocking; one connection a request, plain
// HTTP, to an address and not a name. Used by one thread. Every wait has a deadline, and a flag set
// by a signal handler ends it within a twentieth of a second.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "wire/http_message.h"

namespace minerva::http {

struct ClientOptions {
  std::string host = "127.0.0.1";
  unsigned port = 11434;
  Duration connect_timeout = std::chrono::seconds(2);
  Duration read_timeout = std::chrono::seconds(120);  // without a single byte
  std::size_t body_bytes_max = std::size_t{64} * 1024 * 1024;
  const std::atomic<bool>* cancel = nullptr;  // set from anywhere: the call ends with Cancelled
};

struct Response {
  wire::ResponseHead head;
  std::string body;  // empty where the lines went to a callback
};

// A line of a stream, without its end. False ends the call with success.
using LineCallback = std::function<bool(std::string_view)>;

class Client {
 public:
  explicit Client(ClientOptions options) : options_(std::move(options)) {}

  // Answers of every status are successes here; errors are those of the transport.
  Result<Response> get(std::string_view path) const;
  Result<Response> post_json(std::string_view path, std::string_view body) const;
  // Where the answer is an event stream, each of its lines goes to the callback as it comes; any
  // other answer (an error's JSON) is in Response::body.
  Result<Response> post_json(std::string_view path, std::string_view body,
                             const LineCallback& on_line) const;

 private:
  Result<Response> call(std::string_view method, std::string_view path, std::string_view body,
                        const LineCallback& on_line) const;
  ClientOptions options_;
};

}  // namespace minerva::http
