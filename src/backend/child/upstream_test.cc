#include "backend/child/upstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "backend/child/test_server.h"

namespace minerva::backend {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kBounded = std::chrono::seconds(60);

std::string reply(const std::string& body, const std::string& extra = "") {
  return "HTTP/1.1 200 OK\r\n" + extra + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

const std::string kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

class Collector final : public UpstreamHandler {
 public:
  void on_event(const wire::SseEvent& event) override {
    const std::lock_guard lock(mutex_);
    events_.push_back(event.data);
    if (on_each) on_each(events_.size());
    changed_.notify_all();
  }
  void on_comment(std::string_view text) override {
    const std::lock_guard lock(mutex_);
    events_.push_back("#" + std::string(text));
  }
  void on_end(UpstreamEnd end) override {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(end_) << "ended twice";
    end_ = std::move(end);
    changed_.notify_all();
  }
  UpstreamEnd wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kBounded, [&] { return end_.has_value(); }));
    return end_.value_or(UpstreamEnd{});
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kBounded, [&] { return events_.size() >= count; });
  }
  std::vector<std::string> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  std::function<void(std::size_t)> on_each;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
  std::optional<UpstreamEnd> end_;
};

class UpstreamTest : public ::testing::Test {
 protected:
  std::unique_ptr<Upstream> to(const TestServer& server, UpstreamOptions options = {}) {
    options.name = "engine";
    options.address.port = server.port();
    auto made = Upstream::make(std::move(options), loop_);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  static UpstreamRequest get(std::string path = "/x") {
    UpstreamRequest request;
    request.method = "GET";
    request.path = std::move(path);
    request.total_max = kBounded;
    return request;
  }
  static UpstreamRequest post(std::string body) {
    UpstreamRequest request = get("/do");
    request.method = "POST";
    request.body = std::move(body);
    return request;
  }
  UpstreamLoop loop_;
};

TEST_F(UpstreamTest, SendsAFixedSetOfFieldsAndKeepsTheConnection) {
  std::vector<std::string> seen;
  TestServer server([&](TestConnection& connection, int) {
    while (true) {
      seen.push_back(connection.read_request());
      if (seen.back().empty() || !connection.send(reply("pong"))) return;
    }
  });
  UpstreamOptions options;
  options.key = Secret("s3cret");
  options.address.base_path = "/v1";
  const auto upstream = to(server, std::move(options));
  for (int i = 0; i < 3; ++i) {
    const auto end = upstream->exchange(post("{\"a\":1}"));
    ASSERT_TRUE(end) << end.error().message;
    EXPECT_EQ(end->status, 200U);
    EXPECT_EQ(end->body, "pong");
  }
  EXPECT_EQ(server.accepted(), 1);
  EXPECT_EQ(seen.at(0), "POST /v1/do HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) +
                            "\r\nUser-Agent: minerva\r\n"
                            "Accept: text/event-stream, application/json\r\n"
                            "Authorization: Bearer s3cret\r\nContent-Type: application/json\r\n"
                            "Content-Length: 7\r\n\r\n{\"a\":1}");
}

TEST_F(UpstreamTest, AStaleConnectionIsTriedAgainOnceOnANewOne) {
  TestServer server([](TestConnection& connection, int) {
    connection.read_request();
    connection.send(reply("once"));
    connection.read_request();  // of the second request; closed unanswered
  });
  const auto upstream = to(server);
  EXPECT_EQ(upstream->exchange(get())->body, "once");
  EXPECT_EQ(upstream->exchange(get())->body, "once");
  EXPECT_EQ(server.accepted(), 2);
}

TEST_F(UpstreamTest, ANewConnectionIsTriedAgainWhenThatIsWanted) {
  const auto handler = [](TestConnection& connection, int number) {
    if (number < 2) return connection.reset();
    connection.read_request();
    connection.send(reply("at last"));
  };
  TestServer strict(handler);
  const auto refused = to(strict)->exchange(get());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Unavailable);
  EXPECT_EQ(refused.error().origin, "engine");

  TestServer patient(handler);
  UpstreamOptions options;
  options.fresh_retries = 2;
  EXPECT_EQ(to(patient, std::move(options))->exchange(get())->body, "at last");
}

// A request that was answered in part has been carried out.
TEST_F(UpstreamTest, NothingIsTriedAgainBehindTheFirstByte) {
  TestServer server([](TestConnection& connection, int) {
    connection.read_request();
    connection.send("HTTP/1.1 200 OK\r\n");
  });
  UpstreamOptions options;
  options.fresh_retries = 5;
  EXPECT_FALSE(to(server, std::move(options))->exchange(get()));
  EXPECT_EQ(server.accepted(), 1);
}

TEST_F(UpstreamTest, CallsWaitForAConnectionInTurn) {
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::atomic<int> connections = 0;
  TestServer server([&](TestConnection& connection, int) {
    ++connections;
    while (!connection.read_request().empty()) {
      // Else the first one alone might answer all, where this thread is faster than who asks.
      const auto give_up = std::chrono::steady_clock::now() + kBounded;
      while (connections < 2 && std::chrono::steady_clock::now() < give_up) {
        std::this_thread::yield();
      }
      most = std::max<int>(most, ++inside);
      std::this_thread::yield();
      --inside;
      if (!connection.send(reply("x"))) return;
    }
  });
  UpstreamOptions options;
  options.connections_max = 2;
  options.waiting_max = 100;
  const auto upstream = to(server, std::move(options));
  std::vector<std::shared_ptr<Collector>> collectors;
  for (int i = 0; i < 20; ++i) {
    collectors.push_back(std::make_shared<Collector>());
    upstream->start(get(), collectors.back());
  }
  for (const auto& collector : collectors) EXPECT_EQ(collector->wait().body, "x");
  EXPECT_LE(most, 2);
  EXPECT_EQ(server.accepted(), 2);
  EXPECT_EQ(upstream->running(), 0U);
}

TEST_F(UpstreamTest, TooManyThatWaitAreRefused) {
  TestServer server([](TestConnection& connection, int) {
    connection.read_request(), connection.read_request();
  });
  UpstreamOptions options;
  options.connections_max = 1;
  options.waiting_max = 1;
  const auto upstream = to(server, std::move(options));
  std::vector<std::shared_ptr<Collector>> collectors;
  for (int i = 0; i < 3; ++i) {
    collectors.push_back(std::make_shared<Collector>());
    upstream->start(get(), collectors.back());
  }
  EXPECT_EQ(collectors[2]->wait().error.value().code, ErrorCode::QueueFull);
  upstream->fail_all({ErrorCode::Unavailable, "gone"});
  EXPECT_EQ(collectors[0]->wait().error.value().message, "gone");
  EXPECT_EQ(collectors[1]->wait().error.value().message, "gone");
}

TEST_F(UpstreamTest, BoundsOfTime) {
  std::atomic<bool> head = false;
  TestServer server([&](TestConnection& connection, int) {
    connection.read_request();
    if (head) connection.send(kStreamHead + "data: 1\n\n");
    connection.read_request();
  });
  const auto upstream = to(server);
  UpstreamRequest request = get();
  request.total_max = std::chrono::milliseconds(50);
  EXPECT_EQ(upstream->exchange(request).error().code, ErrorCode::Timeout);
  request.total_max = kBounded;
  request.first_byte_max = std::chrono::milliseconds(50);
  EXPECT_EQ(upstream->exchange(request).error().code, ErrorCode::Unavailable);
  head = true;
  request.first_byte_max = Duration::zero();
  request.idle_max = std::chrono::milliseconds(50);
  EXPECT_THAT(upstream->exchange(request).error().message, HasSubstr("no sign of life for 50 ms"));
}

TEST_F(UpstreamTest, APausedCallGivesNothingUntilItIsResumed) {
  TestServer server([](TestConnection& connection, int) {
    connection.read_request();
    connection.send(kStreamHead + ": hi\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\n");
  });
  const auto upstream = to(server);
  const auto collector = std::make_shared<Collector>();
  std::shared_ptr<UpstreamCall> call;
  std::mutex mutex;
  collector->on_each = [&](std::size_t count) {
    const std::lock_guard lock(mutex);
    if (count == 2) call->pause();  // behind the comment and the first event
  };
  {
    const std::lock_guard lock(mutex);
    call = upstream->start(get(), collector);
  }
  ASSERT_TRUE(collector->wait_for(2));
  // Whatever else has arrived has been looked at once the loop has run this.
  for (int i = 0; i < 3; ++i) {
    std::atomic<bool> ran = false;
    loop_.post([&] { ran = true; });
    while (!ran) std::this_thread::yield();
  }
  EXPECT_EQ(collector->events(), (std::vector<std::string>{"#hi", "1"}));
  call->resume();
  EXPECT_FALSE(collector->wait().error);
  EXPECT_EQ(collector->events(), (std::vector<std::string>{"#hi", "1", "2", "3"}));
}

TEST_F(UpstreamTest, CancellingClosesTheConnection) {
  std::atomic<bool> closed = false;
  TestServer server([&](TestConnection& connection, int) {
    connection.read_request();
    connection.send(kStreamHead + "data: 1\n\n");
    closed = connection.read_request().empty();
  });
  const auto upstream = to(server);
  const auto collector = std::make_shared<Collector>();
  const auto call = upstream->start(get(), collector);
  ASSERT_TRUE(collector->wait_for(1));
  call->cancel();
  EXPECT_EQ(collector->wait().error.value().code, ErrorCode::Cancelled);
  const auto give_up = std::chrono::steady_clock::now() + kBounded;
  while (!closed && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
  EXPECT_TRUE(closed);
}

TEST_F(UpstreamTest, WhatComesBehindAnAnswerBelongsToNobody) {
  TestServer server([](TestConnection& connection, int number) {
    if (connection.read_request().empty()) return;
    connection.send(reply("mine") + (number == 0 ? reply("somebody else's") : ""));
    connection.read_request();
  });
  const auto upstream = to(server);
  EXPECT_EQ(upstream->exchange(get())->body, "mine");
  EXPECT_EQ(upstream->exchange(get())->body, "mine");
  EXPECT_EQ(server.accepted(), 2);
}

TEST_F(UpstreamTest, AServerThatIsNotThere) {
  std::uint16_t port = 0;
  {
    TestServer gone([](TestConnection&, int) {});
    port = gone.port();
  }
  UpstreamOptions options;
  options.name = "engine";
  options.address.port = port;
  const auto refused = (*Upstream::make(options, loop_))->exchange(get());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("cannot connect to engine"));
}

TEST_F(UpstreamTest, OptionsThatMakeNoSense) {
  const auto refused = [&](auto change) {
    UpstreamOptions options;
    options.address.port = 1;
    change(options);
    return !Upstream::make(options, loop_);
  };
  EXPECT_FALSE(refused([](auto&) {}));
  EXPECT_TRUE(refused([](auto& o) { o.address.port = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.address.host = "a b"; }));
  EXPECT_TRUE(refused([](auto& o) { o.address.base_path = "/a\r\nX: y"; }));
  EXPECT_TRUE(refused([](auto& o) { o.key = Secret("a\r\nb"); }));
  EXPECT_TRUE(refused([](auto& o) { o.address.socket_path = std::string(108, 'x'); }));
  EXPECT_TRUE(refused([](auto& o) {
    o.address.tls = true;
    o.address.ca_file = "/nonexistent";
  }));
}

}  // namespace
}  // namespace minerva::backend
