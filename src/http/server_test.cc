// Routes, access and limits over real sockets.
#include "http/server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "http/routes.h"
#include "http/server_fixture_test.h"

namespace minerva::http {
namespace {

using std::chrono::milliseconds;

TEST(Server, SmallRoutes) {
  TestServer server;
  EXPECT_TRUE(server.get("/health").ends_with("\r\n\r\n{\"status\":\"ok\"}"));
  EXPECT_TRUE(server.get("/").ends_with("\r\n\r\nMinerva is running\n"));
  EXPECT_TRUE(server.get("/version?x=y").ends_with(R"({"name":"minerva","version":"0.1.0"})"));
  EXPECT_EQ(status_of(server.get("/ready")), "200");
  server.service.is_ready = false;
  EXPECT_EQ(status_of(server.get("/ready")), "503");
  server.metrics.add(Metric::RequestsTotal, 3, "done");
  EXPECT_NE(server.get("/metrics").find("minerva_requests_total{outcome=\"done\"} 3\n"),
            std::string::npos);
}

TEST(Server, EveryByteOfASmallAnswer) {
  TestServer server;
  const std::string answer = server.get("/health");
  const std::string id = answer.substr(answer.find("x-request-id: ") + 14, 24);
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(answer,
            "HTTP/1.1 200 OK\r\n"
            "date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
            "server: minerva/0.1.0\r\n"
            "x-request-id: " +
                id +
                "\r\n"
                "x-content-type-options: nosniff\r\n"
                "cache-control: no-store\r\n"
                "content-type: application/json\r\n"
                "connection: close\r\n"
                "content-length: 15\r\n"
                "\r\n"
                "{\"status\":\"ok\"}");
  EXPECT_NE(server.get("/health").find("x-request-id: "), std::string::npos);
  EXPECT_EQ(server.get("/health").find(id), std::string::npos) << "ids must differ";
}

TEST(Server, HeadHasTheHeadersOnly) {
  TestServer server;
  RawClient client = server.connect();
  client.send(
      "HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /version HTTP/1.1\r\n"
      "Host: localhost\r\n\r\n");
  const Parsed head = next_response(client, true);
  EXPECT_EQ(head.head.status, 200u);
  EXPECT_EQ(head.head.content_length, 15u);
  EXPECT_EQ(next_response(client).body, R"({"name":"minerva","version":"0.1.0"})");
}

TEST(Server, Models) {
  TestServer server([](ServerOptions&, FakeService& service) {
    service.known_models.resize(2);
    service.known_models[0].name = "org/small:q4";
    service.known_models[1].name = "other";
  });
  EXPECT_NE(server.get("/v1/models").find("\"org/small:q4\""), std::string::npos);
  const std::string one = server.get("/v1/models/org/small%3aq4");
  EXPECT_EQ(status_of(one), "200");
  EXPECT_NE(one.find("\"org/small:q4\""), std::string::npos);
  EXPECT_EQ(status_of(server.get("/v1/models/absent")), "404");
  EXPECT_EQ(status_of(server.get("/v1/models/%00")), "400");
}

TEST(Server, ErrorsHaveOpenAisShape) {
  TestServer server;
  const std::string missing = server.get("/v2/x");
  EXPECT_EQ(status_of(missing), "404");
  EXPECT_NE(missing.find("{\"error\":{"), std::string::npos);
  EXPECT_NE(missing.find("content-type: application/json"), std::string::npos);
  const std::string method =
      server.ask("DELETE /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(status_of(method), "405");
  EXPECT_NE(method.find("\r\nallow: GET, HEAD, OPTIONS\r\n"), std::string::npos);
  EXPECT_NE(method.find("{\"error\":{"), std::string::npos);
}

// Every route, and paths that are none, ask the same questions first (S16, S17).
std::vector<std::string> request_lines() {
  std::vector<std::string> lines = {"GET /nothing", "POST /nothing", "OPTIONS /v1/models"};
  for (const Route& route : routes())
    lines.push_back(fmt::format("{} {}{}", route.method, route.path, route.prefix ? "x" : ""));
  return lines;
}

TEST(Server, ForeignHostsAndOriginsAreRefusedEverywhere) {
  TestServer server;
  const std::string json = "Content-Type: application/json\r\nContent-Length: 100000\r\n";
  for (const std::string& line : request_lines()) {
    SCOPED_TRACE(line);
    for (const std::string fields :
         {"Host: evil.com\r\n", "Host:\r\n", "Host: localhost.evil.com\r\n",
          "Host: 127.0.0.1.nip.io\r\n", "Host: localhost.\r\n", "Host: printer.local\r\n",
          "Host: [::1%25lo]\r\n", "Host: localhost:1\r\n",
          "Host: localhost\r\nOrigin: http://evil.com\r\n", "Host: localhost\r\nOrigin: null\r\n",
          "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n"}) {
      // The body is announced and never sent: the answer must not wait for it.
      const std::string answer = server.ask(line + " HTTP/1.1\r\n" + fields + json + "\r\n");
      EXPECT_EQ(status_of(answer), "403") << fields;
      EXPECT_EQ(answer.find("access-control"), std::string::npos);
    }
    EXPECT_EQ(status_of(server.ask(line + " HTTP/1.1\r\n\r\n")), "400");
    EXPECT_EQ(status_of(server.ask(line + " HTTP/1.0\r\n\r\n")), "403");
    EXPECT_EQ(status_of(server.ask(line + " HTTP/1.1\r\nHost: localhost\r\nHost: x\r\n\r\n")),
              "400");
  }
  EXPECT_EQ(server.service.started(), 0u);
}

TEST(Server, PostsNeedJson) {
  TestServer server;
  for (const Route& route : routes()) {
    if (route.method != "POST") continue;
    for (const std::string type :
         {"", "Content-Type: text/plain\r\n", "Content-Type: multipart/form-data\r\n",
          "Content-Type: application/json\r\nContent-Encoding: gzip\r\n"}) {
      const std::string answer =
          server.ask(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
                                 "{}\r\n{{}}",
                                 route.path, type));
      EXPECT_EQ(status_of(answer), "415") << type;
    }
  }
  EXPECT_EQ(server.service.started(), 0u);
}

TEST(Server, AllowedPagesAreToldSo) {
  TestServer server([](ServerOptions& options, FakeService&) {
    options.allowed_origins = {"https://chat.example"};
    options.allowed_hosts = {"Minerva.lan"};
  });
  const std::string answer =
      server.get("/health", "Origin: https://chat.example\r\nSec-Fetch-Site: cross-site\r\n");
  EXPECT_EQ(status_of(answer), "200");
  EXPECT_NE(
      answer.find("\r\naccess-control-allow-origin: https://chat.example\r\nvary: Origin\r\n"),
      std::string::npos);
  EXPECT_EQ(server.get("/health").find("access-control"), std::string::npos);
  const std::string preflight = server.ask(
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: minerva.LAN\r\nConnection: close\r\n"
      "Origin: https://chat.example\r\nAccess-Control-Request-Method: POST\r\n\r\n");
  EXPECT_EQ(status_of(preflight), "204");
  EXPECT_NE(preflight.find("access-control-allow-methods: POST, OPTIONS\r\n"), std::string::npos);
  EXPECT_NE(preflight.find("access-control-allow-headers: authorization, content-type\r\n"),
            std::string::npos);
}

TEST(Server, ALargeBodyIsRefusedUnread) {
  TestServer server;
  RawClient client = server.connect();
  client.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/json\r\nContent-Length: 104857600\r\n\r\n");
  const Parsed answer = next_response(client);
  EXPECT_EQ(answer.head.status, 413u);
  EXPECT_NE(answer.body.find("104857600"), std::string::npos);
  EXPECT_NE(answer.body.find("8388608"), std::string::npos);
  // Whoever goes on sending is cut off long before the end.
  const std::string megabyte(1 << 20, 'x');
  int sent = 0;
  while (sent < 100 && client.send(megabyte)) ++sent;
  EXPECT_LT(sent, 100);
  EXPECT_EQ(status_of(server.get("/health")), "200");
}

TEST(Server, AChunkedBodyIsCutAtTheLimit) {
  TestServer server(
      [](ServerOptions& options, FakeService&) { options.limits.prompt_body_bytes_max = 1000; });
  RawClient client = server.connect();
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "12c\r\n" + std::string(300, ' ') + "\r\n";
  client.send(chunk + chunk + chunk + chunk);
  EXPECT_EQ(next_response(client).head.status, 413u);
}

TEST(Server, ContinueIsSaidOnlyToWhoMaySend) {
  TestServer server;
  RawClient client = server.connect();
  const std::string body = chat_body(false);
  client.send(
      fmt::format("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                  "Content-Type: application/json\r\nExpect: 100-continue\r\n"
                  "Content-Length: {}\r\n\r\n",
                  body.size()));
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  EXPECT_EQ(client.bytes(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send(body);
  EXPECT_EQ(next_response(client).head.status, 200u);

  const std::string refused = server.ask(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
      "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(status_of(refused), "415");
}

// Long enough for a busy machine to send what comes before it.
constexpr milliseconds kShort{400};

TEST(Server, SlowHeadsTimeOut) {
  TestServer server(
      [](ServerOptions& options, FakeService&) { options.limits.head_time_max = kShort; });
  EXPECT_EQ(status_of(server.ask("GET /health HTTP/1.1\r\nHost: loc")), "408");
  RawClient silent = server.connect();
  EXPECT_EQ(silent.read_all(), "");
  EXPECT_TRUE(silent.closed_by_peer());
}

TEST(Server, SlowBodiesTimeOut) {
  TestServer server(
      [](ServerOptions& options, FakeService&) { options.limits.body_grace = kShort; });
  EXPECT_EQ(status_of(server.ask("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                                 "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")),
            "408");
}

TEST(Server, IdleConnectionsClose) {
  TestServer server(
      [](ServerOptions& options, FakeService&) { options.limits.idle_time_max = kShort; });
  RawClient client = server.connect();
  client.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(next_response(client).head.status, 200u);
  EXPECT_EQ(client.read_all(), "");
  EXPECT_TRUE(client.closed_by_peer());
}

TEST(Server, TooManyConnectionsAreTurnedAway) {
  TestServer server(
      [](ServerOptions& options, FakeService&) { options.limits.connections_max = 16; });
  std::vector<RawClient> clients;
  for (int i = 0; i < 16; ++i) {
    clients.push_back(server.connect());
    clients.back().send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ASSERT_EQ(next_response(clients.back()).head.status, 200u);
  }
  RawClient extra = server.connect();
  const Parsed answer = next_response(extra);
  EXPECT_EQ(answer.head.status, 503u);
  EXPECT_EQ(answer.head.find("retry-after"), "1");
  // Those inside are served on, and a place that becomes free is given away.
  clients[3].send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(next_response(clients[3]).head.status, 200u);
  clients.pop_back();
  while (server.server->connections() > 15) std::this_thread::yield();
  EXPECT_EQ(status_of(server.get("/health")), "200");
}

TEST(Server, ATakenPortNamesItsOwner) {
  TestServer server;
  PrometheusMetrics metrics;
  FakeService service;
  SteadyClock clock;
  ServerOptions options;
  options.port = static_cast<std::uint16_t>(server.port());
  const auto second = Server::listen(options, service, metrics, clock);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message,
            fmt::format("port {} on 127.0.0.1 is taken by another Minerva 0.1.0; stop it, or "
                        "choose another port with --port",
                        server.port()));
  options.host = "not an address";
  EXPECT_FALSE(Server::listen(options, service, metrics, clock));
}

}  // namespace
}  // namespace minerva::http
