#include "http/client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "http/server_fixture_test.h"

namespace minerva::http {
namespace {

ClientOptions to(const TestServer& server) {
  ClientOptions options;
  options.port = server.port();
  return options;
}

TEST(Client, GetAndPost) {
  TestServer server;
  const Client client(to(server));
  const auto health = client.get("/health");
  ASSERT_TRUE(health);
  EXPECT_EQ(health->head.status, 200u);
  EXPECT_EQ(health->body, "{\"status\":\"ok\"}");
  const auto missing = client.get("/nothing");
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->head.status, 404u);
  const auto whole = client.post_json("/v1/chat/completions", chat_body(false));
  ASSERT_TRUE(whole);
  EXPECT_NE(whole->body.find("Hello world"), std::string::npos);
}

TEST(Client, LinesOfAStream) {
  TestServer server;
  std::vector<std::string> lines;
  const auto response =
      Client(to(server))
          .post_json("/v1/chat/completions", chat_body(true), [&](std::string_view line) {
            if (!line.empty()) lines.emplace_back(line);
            return true;
          });
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "");
  ASSERT_GE(lines.size(), 3u);
  EXPECT_TRUE(lines.front().starts_with("data: {"));
  EXPECT_EQ(lines.back(), "data: [DONE]");
}

TEST(Client, AnErrorIsABodyAndNoLines) {
  TestServer server;
  const auto response =
      Client(to(server)).post_json("/v1/chat/completions", "{", [](std::string_view) {
        ADD_FAILURE();
        return true;
      });
  ASSERT_TRUE(response);
  EXPECT_EQ(response->head.status, 400u);
  EXPECT_NE(response->body.find("\"error\""), std::string::npos);
}

TEST(Client, CancelEndsTheCallAndTheGeneration) {
  TestServer server([](ServerOptions&, FakeService& service) {
    service.on_start = [](const serve::Request&, FakeAnswer& answer) {
      answer.text("Hello");
      return std::optional<Error>();
    };
  });
  std::atomic<bool> cancel{false};
  ClientOptions options = to(server);
  options.cancel = &cancel;
  const auto response =
      Client(options).post_json("/v1/chat/completions", chat_body(true), [&](std::string_view) {
        cancel = true;
        return true;
      });
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::Cancelled);
  EXPECT_TRUE(server.service.answer(0)->wait_cancelled());
}

TEST(Client, TheCallbackMayEndTheCall) {
  TestServer server([](ServerOptions&, FakeService& service) {
    service.on_start = [](const serve::Request&, FakeAnswer& answer) {
      answer.text("Hello");
      return std::optional<Error>();
    };
  });
  const auto response =
      Client(to(server)).post_json("/v1/chat/completions", chat_body(true), [](std::string_view) {
        return false;
      });
  ASSERT_TRUE(response);
  EXPECT_TRUE(server.service.answer(0)->wait_cancelled());
}

TEST(Client, NobodyThere) {
  unsigned port = 0;
  {
    TestServer server;
    port = server.port();
  }
  ClientOptions options;
  options.port = port;
  const auto response = Client(options).get("/health");
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::Unavailable);
}

TEST(Client, ASilentServerTimesOut) {
  TestServer server([](ServerOptions&, FakeService& service) {
    service.on_start = [](const serve::Request&, FakeAnswer&) { return std::optional<Error>(); };
  });
  ClientOptions options = to(server);
  options.read_timeout = std::chrono::milliseconds(60);
  const auto response = Client(options).post_json("/v1/chat/completions", chat_body(false));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::Timeout);
}

}  // namespace
}  // namespace minerva::http
