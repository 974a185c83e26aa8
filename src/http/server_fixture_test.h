// A server on a free port with a fake service behind it, and what tests ask of it.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/prometheus_metrics.h"
#include "http/server.h"
#include "support/fake_service.h"
#include "support/raw_client.h"
#include "wire/http_response.h"

namespace minerva::http {

using test::FakeAnswer;
using test::FakeService;
using test::RawClient;

struct TestServer {
  SteadyClock clock;
  PrometheusMetrics metrics;
  FakeService service;
  std::unique_ptr<Server> server;

  // `edit` may change the options and the service before the server listens.
  explicit TestServer(const std::function<void(ServerOptions&, FakeService&)>& edit = {}) {
    ServerOptions options;
    options.port = 0;
    options.unix_time = [] { return std::int64_t{1'700'000'000}; };
    options.id_seed = 7;
    if (edit) edit(options, service);
    auto made = Server::listen(std::move(options), service, metrics, clock);
    if (!made) throw std::runtime_error(made.error().message);
    server = std::move(*made);
  }

  unsigned port() const { return server->port(); }
  RawClient connect(int receive_bytes = 0) const { return RawClient(port(), receive_bytes); }
  // Sends it on a connection of its own and reads until the server closes.
  std::string ask(std::string_view request) const {
    RawClient client = connect();
    client.send(request);
    return client.read_all();
  }
  std::string get(std::string_view path, std::string_view fields = "") const {
    return ask(fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n",
                           path, fields));
  }
};

inline std::string chat_body(bool stream) {
  return fmt::format(
      R"({{"model":"fake","stream":{},"messages":[{{"role":"user","content":"hi"}}]}})", stream);
}

inline std::string post(std::string_view path, std::string_view body,
                        std::string_view fields = "") {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\n{}\r\n{}",
      path, body.size(), fields, body);
}

inline std::string chat(bool stream, std::string_view fields = "") {
  return post("/v1/chat/completions", chat_body(stream), fields);
}

inline std::string status_of(std::string_view response) {
  return std::string(response.size() > 12 ? response.substr(9, 3) : response);
}

// The first whole answer in `bytes`, taken off its front; status 0 when there is none.
struct Parsed {
  wire::ResponseHead head;
  std::string body;
};
inline Parsed take_response(std::string& bytes, bool no_body = false) {
  wire::ResponseHeadParser parser;
  Parsed parsed;
  std::size_t used = parser.feed(bytes);
  if (parser.state() != wire::ParseState::Complete) return parsed;
  wire::BodyDecoder decoder = parser.body(std::size_t{1} << 30, no_body);
  used += decoder.feed(std::string_view(bytes).substr(used), parsed.body);
  if (decoder.state() != wire::ParseState::Complete) return parsed;
  parsed.head = parser.head();
  bytes.erase(0, used);
  return parsed;
}

// Reads until the next whole answer has come; status 0 when the server closes before.
inline Parsed next_response(RawClient& client, bool no_body = false) {
  while (true) {
    Parsed parsed = take_response(client.bytes(), no_body);
    if (parsed.head.status != 0 || !client.read_some()) return parsed;
  }
}

}  // namespace minerva::http
