#include "backend/isolated/engine_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backend/fake/fake_backend.h"
#include "backend/fake/fake_model.h"
#include "backend/isolated/event_json.h"
#include "backend/isolated/isolated_wire.h"
#include "backend/isolated/request_json.h"
#include "support/gguf_writer.h"
#include "support/raw_client.h"
#include "wire/http_body.h"
#include "wire/sse.h"

namespace minerva::backend {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string post(const std::string& body) {
  return "POST /generate HTTP/1.1\r\nHost: engine\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string ask(std::string_view text, std::uint64_t max_tokens) {
  GenerateRequest request;
  request.prompt.emplace_back(FakeModel::encode(text));
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  request.ignore_end_of_generation = true;
  return post(request_json(request).value());
}

constexpr std::string_view kGetHealth = "GET /health HTTP/1.1\r\nHost: engine\r\n\r\n";
constexpr std::string_view kStreamEnd = "\r\n0\r\n\r\n";

// A backend behind the server on a thread of its own.
class EngineServerTest : public ::testing::Test {
 protected:
  FakeBackend& serve(const FakeOptions& options, EngineServerOptions server = {}) {
    backend_ = std::make_unique<FakeBackend>(options, clock_);
    server.socket = socket();
    auto made = EngineServer::listen(server, *backend_);
    EXPECT_TRUE(made) << made.error().message;
    server_ = std::move(*made);
    thread_ = std::jthread([this] { server_->run(); });
    return *backend_;
  }
  ~EngineServerTest() override {
    if (server_) server_->stop();
    if (thread_.joinable()) thread_.join();
    backend_.reset();  // its thread tells the server of every end
    server_.reset();
  }
  std::string socket() const { return (folder_.path() / "engine").string(); }
  // The events of an answer whose head says it is a stream.
  static std::vector<GenerationEvent> events_of(std::string_view answer) {
    EXPECT_THAT(std::string(answer), StartsWith("HTTP/1.1 200 OK\r\n"));
    const std::size_t head = answer.find("\r\n\r\n");
    auto decoder = wire::BodyDecoder::chunked(std::size_t{1} << 20);
    std::string body;
    decoder.feed(answer.substr(head + 4), body);
    EXPECT_EQ(decoder.state(), wire::ParseState::Complete);
    wire::SseParser parser;
    std::vector<wire::SseEvent> blocks;
    EXPECT_TRUE(parser.feed(body, blocks));
    std::vector<GenerationEvent> events;
    for (const wire::SseEvent& block : blocks) {
      auto event = parse_event_json(block.data, {.vocabulary = 1024, .choices = 1, .top_max = 0});
      EXPECT_TRUE(event) << event.error().message << ": " << block.data;
      if (event) events.push_back(std::move(*event));
    }
    return events;
  }
  // Waits for something that another thread does; asking for the health takes the time.
  template <class Condition>
  bool eventually(const Condition& holds) {
    test::RawClient client(socket());
    for (int i = 0; i < 100'000; ++i) {
      if (holds()) return true;
      client.bytes().clear();
      if (!client.send(kGetHealth) || !client.read_until("}")) return false;
    }
    return false;
  }

  const test::TempFolder folder_;
  const FakeClock clock_;
  std::unique_ptr<FakeBackend> backend_;
  std::unique_ptr<EngineServer> server_;
  std::jthread thread_;
};

TEST_F(EngineServerTest, ALoadSaysHowFarItIs) {
  FakeOptions options;
  options.hold_load = true;
  FakeBackend& backend = serve(options);
  std::jthread loader([&] { static_cast<void>(backend.load_model({}, 0)); });
  EXPECT_TRUE(eventually([&] { return backend.probe().health == Health::Starting; }));
  server_->report_progress(3, 8);
  test::RawClient client(socket());
  ASSERT_TRUE(client.send(kGetHealth));
  ASSERT_TRUE(client.read_until("}"));
  UpstreamEnd end;
  end.status = 503;
  end.body = client.bytes().substr(client.bytes().find('{'));
  const LoadProgress progress = IsolatedWire().load_progress(end);
  EXPECT_EQ(progress.done, 3U);
  EXPECT_EQ(progress.total, 8U);
  backend.release_load();
  for (const std::string_view odd :
       {"", "[]", R"({"done":-1,"total":"x"})", R"({"total":1e300})"}) {
    end.body = odd;
    EXPECT_EQ(IsolatedWire().load_progress(end).total, 0U) << odd;
  }
}

TEST_F(EngineServerTest, GeneratesOneAnswerAfterTheOther) {
  ASSERT_TRUE(serve({}).load_model({}, 0));
  test::RawClient client(socket());
  ASSERT_TRUE(client.connected());
  for (const std::uint64_t count : {1U, 20U}) {
    ASSERT_TRUE(client.send(ask("abc", count)));
    ASSERT_TRUE(client.read_until(kStreamEnd));
    const auto events = events_of(std::exchange(client.bytes(), {}));
    std::vector<TokenId> ids;
    for (const GenerationEvent& event : events) {
      if (const auto* token = std::get_if<TokenEvent>(&event)) ids.push_back(*token->id);
    }
    EXPECT_EQ(ids, FakeModel(0).greedy(FakeModel::encode("abc"), count));
    const auto* end = std::get_if<EndEvent>(&events.back());
    ASSERT_NE(end, nullptr);
    EXPECT_EQ(end->outcome, EndEvent::Outcome::Done);
    EXPECT_EQ(end->usage.completion_tokens, count);
  }
}

TEST_F(EngineServerTest, SaysWhetherItIsReady) {
  FakeBackend& backend = serve({});
  test::RawClient client(socket());
  const auto health = [&] {
    client.bytes().clear();
    EXPECT_TRUE(client.send(kGetHealth));
    EXPECT_TRUE(client.read_until("}"));
    return client.bytes();
  };
  server_->report_progress(3, 10);
  EXPECT_THAT(health(), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(client.bytes(), HasSubstr(R"("done":3,"total":10)"));
  ASSERT_TRUE(backend.load_model({}, 256));
  EXPECT_THAT(health(), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(client.bytes(), HasSubstr(R"("context_size":256)"));
  server_->report_failure({ErrorCode::OutOfMemory, "too large"});
  EXPECT_THAT(health(), StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(client.bytes(), HasSubstr(R"("code":"out_of_memory","message":"too large")"));
}

TEST_F(EngineServerTest, RefusalsKeepTheirCode) {
  FakeBackend& backend = serve({});
  test::RawClient client(socket());
  ASSERT_TRUE(client.send(ask("a", 1)));
  ASSERT_TRUE(client.read_until("}}"));
  EXPECT_THAT(client.bytes(), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(client.bytes(), HasSubstr(R"("code":"unavailable")"));
  ASSERT_TRUE(backend.load_model({}, 16));
  client.bytes().clear();
  ASSERT_TRUE(client.send(ask(std::string(100, 'a'), 1)));
  ASSERT_TRUE(client.read_until("}}"));
  EXPECT_THAT(client.bytes(), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(client.bytes(), HasSubstr(R"("code":"context_exceeded")"));
  client.bytes().clear();
  ASSERT_TRUE(client.send(post("{\"prompt\":")));
  ASSERT_TRUE(client.read_until("}}"));
  EXPECT_THAT(client.bytes(), StartsWith("HTTP/1.1 400"));
  client.bytes().clear();
  // The connection is still good.
  ASSERT_TRUE(client.send(ask("a", 1)));
  EXPECT_TRUE(client.read_until(kStreamEnd));
}

TEST_F(EngineServerTest, AClientThatLeavesCancels) {
  FakeOptions options;
  options.faults.hang_at_token = 3;
  FakeBackend& backend = serve(options);
  ASSERT_TRUE(backend.load_model({}, 0));
  test::RawClient other(socket());
  {
    test::RawClient client(socket());
    ASSERT_TRUE(client.send(ask("a", 100)));
    ASSERT_TRUE(client.read_until("\"token\""));
    EXPECT_EQ(backend.running(), 1U);
  }
  EXPECT_TRUE(eventually([&] { return backend.running() == 0; }));
  ASSERT_TRUE(other.send(ask("a", 2)));
  EXPECT_TRUE(other.read_until(kStreamEnd));
}

TEST_F(EngineServerTest, ASecondRequestBeforeTheFirstHasEndedClosesTheConnection) {
  FakeOptions options;
  options.faults.hang_at_token = 1;
  FakeBackend& backend = serve(options);
  ASSERT_TRUE(backend.load_model({}, 0));
  test::RawClient client(socket());
  ASSERT_TRUE(client.send(ask("a", 100)));
  ASSERT_TRUE(client.read_until("\"token\""));
  ASSERT_TRUE(client.send(kGetHealth));
  client.read_all();
  EXPECT_TRUE(client.closed_by_peer());
  EXPECT_TRUE(eventually([&] { return backend.running() == 0; }));
}

TEST_F(EngineServerTest, BrokenRequestsAreRefusedAndNobodyElseIsHurt) {
  EngineServerOptions limits;
  limits.body_bytes_max = 1000;
  ASSERT_TRUE(serve({}, limits).load_model({}, 0));
  for (const std::string& bytes :
       {std::string("nonsense\r\n\r\n"), std::string("GET /health HTTP/1.1\nHost: x\n\n"),
        std::string("POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n"),
        std::string("POST /generate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
        "GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\nHost: x\r\n\r\n"}) {
    test::RawClient client(socket());
    client.send(bytes);
    const std::string answer = client.read_all();
    EXPECT_TRUE(client.closed_by_peer());
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 4"));
  }
  test::RawClient client(socket());
  ASSERT_TRUE(client.send("GET /generate HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_TRUE(client.read_until("}"));
  EXPECT_THAT(client.bytes(), StartsWith("HTTP/1.1 404"));
}

TEST_F(EngineServerTest, MoreConnectionsThanAllowedAreClosed) {
  EngineServerOptions limits;
  limits.connections_max = 2;
  serve({}, limits);
  test::RawClient first(socket());
  test::RawClient second(socket());
  for (test::RawClient* client : {&first, &second}) {
    ASSERT_TRUE(client->send(kGetHealth));
    ASSERT_TRUE(client->read_until("}"));
  }
  test::RawClient third(socket());
  third.send(kGetHealth);
  EXPECT_EQ(third.read_all(), "");
  EXPECT_TRUE(third.closed_by_peer());
  first.close();
  // Its place is free once the server has seen it leave.
  bool answered = false;
  for (int i = 0; i < 10'000 && !answered; ++i) {
    test::RawClient again(socket());
    answered = again.send(kGetHealth) && again.read_until("}");
  }
  EXPECT_TRUE(answered);
}

// A reader that takes nothing does not fill the server's memory: its sequence pauses.
TEST_F(EngineServerTest, ASlowReaderPausesTheGeneration) {
  FakeOptions options;
  options.context_size = 1U << 20U;
  FakeBackend& backend = serve(options);
  ASSERT_TRUE(backend.load_model({}, 0));
  test::RawClient client(socket());
  constexpr std::uint64_t kMany = 20'000;
  ASSERT_TRUE(client.send(ask("a", kMany)));
  std::uint64_t before = 0;
  int looks = 0;
  // Grows until the buffers are full, and then no more.
  EXPECT_TRUE(eventually([&] {
    const std::uint64_t now = backend.tokens_made();
    looks = now > 0 && now == std::exchange(before, now) ? looks + 1 : 0;
    return looks == 300;
  }));
  EXPECT_LT(backend.tokens_made(), kMany);
  ASSERT_TRUE(client.read_until(kStreamEnd));
  EXPECT_THAT(client.bytes(), HasSubstr(R"("usage":[1,0,20000])"));
}

}  // namespace
}  // namespace minerva::backend
