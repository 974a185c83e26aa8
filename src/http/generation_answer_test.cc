// Answers to prompts: streamed and whole, failures early and late, clients that leave or read
// slowly, and the end of the server.
#include "http/generation_answer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "http/server_fixture_test.h"

namespace minerva::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

std::optional<Error> leave_open(const serve::Request&, FakeAnswer&) { return std::nullopt; }

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos;
       at = text.find(what, at + what.size()))
    ++found;
  return found;
}

TEST(GenerationAnswer, Whole) {
  TestServer server;
  RawClient client = server.connect();
  client.send(chat(false) + chat(false));
  for (int i = 0; i < 2; ++i) {
    const Parsed answer = next_response(client);
    EXPECT_EQ(answer.head.status, 200u);
    EXPECT_EQ(answer.head.find("content-type"), "application/json");
    EXPECT_EQ(answer.head.find("x-minerva-backend"), "fake");
    EXPECT_EQ(answer.head.find("x-minerva-route"), "fake: the only one");
    EXPECT_NE(answer.body.find("\"Hello world\""), std::string::npos);
    EXPECT_NE(answer.body.find("\"chat.completion\""), std::string::npos);
  }
  EXPECT_EQ(server.service.request(0).client_id, "127.0.0.1");
  EXPECT_EQ(server.service.request(0).model, "fake");
}

TEST(GenerationAnswer, Embeddings) {
  TestServer server;
  RawClient client = server.connect();
  client.send(post("/v1/embeddings", R"({"model":"m","input":["a","b"],"odd":1})"));
  const Parsed answer = next_response(client);
  EXPECT_EQ(answer.head.status, 200u);
  EXPECT_EQ(answer.head.find("content-type"), "application/json");
  EXPECT_EQ(answer.head.find("x-minerva-backend"), "fake");
  EXPECT_EQ(answer.head.find("x-minerva-ignored"), "odd");
  EXPECT_NE(answer.body.find(R"({"object":"embedding","index":1,"embedding":[1,0.5]})"),
            std::string::npos)
      << answer.body;
  EXPECT_EQ(server.service.embedded(0).client_id, "127.0.0.1");

  client.send(post("/v1/embeddings", R"({"model":"m"})"));
  const Parsed refused = next_response(client);
  EXPECT_EQ(refused.head.status, 400u);
  EXPECT_NE(refused.body.find(R"("param":"input")"), std::string::npos) << refused.body;
}

TEST(GenerationAnswer, AClientThatLeavesEndsItsEmbeddings) {
  TestServer server([](ServerOptions&, FakeService& service) {
    service.on_embed = [](const serve::EmbeddingRequest&, FakeAnswer&) {
      return std::optional<Error>();
    };
  });
  {
    RawClient client = server.connect();
    client.send(post("/v1/embeddings", R"({"input":"a"})"));
    ASSERT_NE(server.service.answer(0), nullptr);
  }
  EXPECT_TRUE(server.service.answer(0)->wait_cancelled());
}

TEST(GenerationAnswer, Streamed) {
  TestServer server;
  RawClient client = server.connect();
  client.send(chat(true) + "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Parsed answer = next_response(client);
  EXPECT_EQ(answer.head.status, 200u);
  EXPECT_TRUE(answer.head.chunked);
  EXPECT_TRUE(answer.head.find("content-type").value_or("").starts_with("text/event-stream"));
  EXPECT_EQ(answer.head.find("x-minerva-backend"), "fake");
  EXPECT_NE(answer.body.find("\"Hello\""), std::string::npos);
  EXPECT_NE(answer.body.find("\" world\""), std::string::npos);
  EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n")) << answer.body;
  // The connection goes on with the request that came meanwhile.
  EXPECT_EQ(next_response(client).body, "{\"status\":\"ok\"}");
}

TEST(GenerationAnswer, StreamedToAnOldClient) {
  TestServer server;
  const std::string body = chat_body(true);
  const std::string answer =
      server.ask(fmt::format("POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\n"
                             "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                             body.size(), body));
  EXPECT_EQ(answer.find("transfer-encoding"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("data: [DONE]\n\n"));
}

TEST(GenerationAnswer, EachPieceGoesOutAtOnce) {
  TestServer server([](ServerOptions&, FakeService& service) { service.on_start = leave_open; });
  RawClient client = server.connect();
  client.send(chat(true));
  const auto answer = server.service.answer(0);
  ASSERT_TRUE(answer);
  for (const char* word : {"one", "two", "three"}) {
    answer->text(word);
    ASSERT_TRUE(client.read_until(word));
  }
  answer->finish();
  EXPECT_TRUE(client.read_until("data: [DONE]\n\n\r\n0\r\n\r\n"));
}

TEST(GenerationAnswer, RefusalsKeepTheirStatus) {
  const std::vector<std::pair<ErrorCode, unsigned>> refusals = {
      {ErrorCode::InvalidArgument, 400}, {ErrorCode::ContextExceeded, 400},
      {ErrorCode::NotFound, 404},        {ErrorCode::QueueFull, 429},
      {ErrorCode::Unavailable, 503},
  };
  for (const auto& [code, status] : refusals) {
    for (const bool stream : {false, true}) {
      TestServer server([code = code](ServerOptions&, FakeService& service) {
        service.on_start = [code](const serve::Request&, FakeAnswer&) -> std::optional<Error> {
          return Error{code, "so it is", "messages"};
        };
      });
      RawClient client = server.connect();
      client.send(chat(stream));
      const Parsed answer = next_response(client);
      EXPECT_EQ(answer.head.status, status);
      EXPECT_NE(answer.body.find("so it is"), std::string::npos);
      EXPECT_EQ(answer.head.find("retry-after").has_value(), status == 429 || status == 503);
      // The connection is still good.
      client.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
      EXPECT_EQ(next_response(client).head.status, 200u);
    }
  }
}

TEST(GenerationAnswer, BrokenBodies) {
  TestServer server;
  for (const std::string body : {"", "{", "[]", "null", "{\"model\":1}", "\xff"}) {
    RawClient client = server.connect();
    client.send(post("/v1/chat/completions", body));
    EXPECT_EQ(next_response(client).head.status, 400u) << body;
  }
  EXPECT_EQ(server.service.started(), 0u);
  EXPECT_NE(server.metrics.render().find("minerva_requests_total{outcome=\"rejected\"} 6\n"),
            std::string::npos);
}

TEST(GenerationAnswer, AFailureBeforeTheFirstTokenKeepsItsStatus) {
  for (const bool stream : {false, true}) {
    TestServer server([](ServerOptions& options, FakeService& service) {
      options.commit_after = minutes(10);
      service.on_start = [](const serve::Request&, FakeAnswer& answer) -> std::optional<Error> {
        answer.push(backend::ProgressEvent{});
        answer.fail_with({ErrorCode::Unavailable, "the engine died"});
        return std::nullopt;
      };
    });
    RawClient client = server.connect();
    client.send(chat(stream));
    const Parsed answer = next_response(client);
    EXPECT_EQ(answer.head.status, 503u);
    EXPECT_EQ(answer.head.find("retry-after"), "1");
  }
}

TEST(GenerationAnswer, ALaterFailureIsAnEvent) {
  TestServer server([](ServerOptions&, FakeService& service) {
    service.on_start = [](const serve::Request&, FakeAnswer& answer) -> std::optional<Error> {
      answer.text("Hello");
      answer.fail_with({ErrorCode::Unavailable, "the engine died"});
      return std::nullopt;
    };
  });
  RawClient client = server.connect();
  client.send(chat(true));
  const Parsed answer = next_response(client);
  EXPECT_EQ(answer.head.status, 200u);
  EXPECT_NE(answer.body.find("Hello"), std::string::npos);
  EXPECT_EQ(count(answer.body, "\"error\""), 1u) << answer.body;
}

TEST(GenerationAnswer, AFailureBehindAKeepAliveIsAnEvent) {
  TestServer server([](ServerOptions& options, FakeService& service) {
    options.commit_after = milliseconds(10);
    service.on_start = leave_open;
  });
  RawClient client = server.connect();
  client.send(chat(true));
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  server.service.answer(0)->fail_with({ErrorCode::Unavailable, "the engine died"});
  const Parsed answer = next_response(client);
  EXPECT_EQ(answer.head.status, 200u);
  EXPECT_EQ(count(answer.body, "\"error\""), 1u) << answer.body;
}

TEST(GenerationAnswer, BeforeTheHeadOnlyTheLatestProgressIsKept) {
  TestServer server([](ServerOptions& options, FakeService& service) {
    options.commit_after = minutes(10);
    service.on_start = leave_open;
  });
  RawClient client = server.connect();
  client.send(chat(true));
  const auto answer = server.service.answer(0);
  ASSERT_TRUE(answer);
  // More of it than one write may hold: the loop must neither stop nor spin.
  for (std::uint64_t i = 1; i <= 10'000; ++i)
    ASSERT_TRUE(
        answer->push(backend::ProgressEvent{backend::ProgressEvent::Phase::Prefill, i, 10'000, 0}));
  EXPECT_TRUE(answer->finish());
  const Parsed whole = next_response(client);
  EXPECT_EQ(count(whole.body, ": prefill"), 1u);
  EXPECT_NE(whole.body.find("prefill 10000/10000"), std::string::npos) << whole.body;
  // An answer without any text still has its end.
  EXPECT_EQ(count(whole.body, "\"finish_reason\":\"stop\""), 1u);
  EXPECT_TRUE(whole.body.ends_with("data: [DONE]\n\n"));
}

TEST(GenerationAnswer, KeepAlivesWhileNothingComes) {
  TestServer server([](ServerOptions& options, FakeService& service) {
    options.commit_after = milliseconds(20);
    options.keep_alive_every = milliseconds(20);
    service.on_start = leave_open;
  });
  RawClient client = server.connect();
  client.send(chat(true));
  const auto answer = server.service.answer(0);
  ASSERT_TRUE(answer);
  // The 200 is out before any token, and comments follow.
  while (count(client.bytes(), "\n:") + count(client.bytes(), "\r\n:") < 3)
    ASSERT_TRUE(client.read_some());
  EXPECT_EQ(status_of(client.bytes()), "200");
  EXPECT_EQ(client.bytes().find("data:"), std::string::npos);
  answer->text("late");
  answer->finish();
  EXPECT_TRUE(client.read_until("data: [DONE]"));
  // And none is put inside an answer that is not streamed.
  RawClient whole = server.connect();
  whole.send(chat(false));
  const auto second = server.service.answer(1);
  ASSERT_TRUE(second);
  std::this_thread::sleep_for(milliseconds(60));
  second->text("late");
  second->finish();
  const Parsed parsed = next_response(whole);
  EXPECT_TRUE(parsed.body.starts_with("{"));
}

enum class Leave { Close, Reset, HalfClose };

void expect_cancel(bool stream, Leave how, bool after_a_token, bool pipelined) {
  SCOPED_TRACE(fmt::format("stream {} how {} after a token {} pipelined {}", stream,
                           static_cast<int>(how), after_a_token, pipelined));
  TestServer server([](ServerOptions& options, FakeService& service) {
    options.keep_alive_every = minutes(10);  // so that no failed write can tell
    service.on_start = leave_open;
  });
  RawClient client = server.connect();
  client.send(chat(stream) + (pipelined ? chat(stream) : ""));
  const auto answer = server.service.answer(0);
  ASSERT_TRUE(answer);
  if (after_a_token) {
    answer->text("Hello");
    if (stream) {
      ASSERT_TRUE(client.read_until("Hello"));
    }
  }
  EXPECT_FALSE(answer->cancelled());
  if (how == Leave::Close) client.close();
  if (how == Leave::Reset) client.reset();
  if (how == Leave::HalfClose) client.shutdown_send();
  EXPECT_TRUE(answer->wait_cancelled());
  if (how == Leave::HalfClose) client.read_all();
  while (server.server->connections() > 0) std::this_thread::yield();
  EXPECT_EQ(server.service.started(), 1u);
}

TEST(GenerationAnswer, AClientThatLeavesCancels) {
  for (const bool stream : {false, true}) {
    for (const Leave how : {Leave::Close, Leave::Reset, Leave::HalfClose}) {
      for (const bool after_a_token : {false, true}) {
        for (const bool pipelined : {false, true}) {
          expect_cancel(stream, how, after_a_token, pipelined);
        }
      }
    }
  }
}

// A start that takes long (a model loads) does not hold a client that leaves, and what comes of it
// is dropped.
TEST(GenerationAnswer, LeavingWhileItStarts) {
  std::promise<void> go;
  const std::shared_future<void> gone = go.get_future().share();
  TestServer server([&](ServerOptions& options, FakeService& service) {
    options.pool_threads = 1;
    service.on_start = [gone](const serve::Request&, FakeAnswer&) -> std::optional<Error> {
      gone.wait_for(test::kPatience);
      return std::nullopt;
    };
  });
  RawClient client = server.connect();
  client.send(chat(true));
  const auto answer = server.service.answer(0);
  ASSERT_TRUE(answer);
  client.close();
  while (server.server->connections() > 0) std::this_thread::yield();
  EXPECT_FALSE(answer->cancelled());
  // Every thread that starts something may be taken; the other routes are not held up by it.
  EXPECT_EQ(status_of(server.get("/v1/models")), "200");
  EXPECT_EQ(status_of(server.get("/metrics")), "200");
  go.set_value();
  EXPECT_TRUE(answer->wait_cancelled());
}

// A reader that stops reading stops its own generation only; another client is served meanwhile.
TEST(GenerationAnswer, ASlowReaderPausesOnlyItself) {
  TestServer server([](ServerOptions& options, FakeService& service) {
    options.limits.send_buffer_bytes = 8192;
    options.limits.write_bytes_max = 4096;
    service.on_start = [](const serve::Request& request, FakeAnswer& answer) {
      if (request.max_tokens != 1) return std::optional<Error>();
      answer.text("quick");
      answer.finish();
      return std::optional<Error>();
    };
  });
  RawClient slow = server.connect(4096);
  slow.send(chat(true));
  const auto answer = server.service.answer(0);
  ASSERT_TRUE(answer);
  const std::string piece(1000, 'x');
  std::thread engine([&] {
    while (answer->pushed() < 400 && answer->text(piece)) {
    }
    answer->finish();
  });
  EXPECT_TRUE(answer->wait_full());
  RawClient other = server.connect();
  other.send(post("/v1/chat/completions",
                  R"({"model":"fake","max_tokens":1,"messages":[{"role":"user","content":"x"}]})"));
  EXPECT_NE(next_response(other).body.find("quick"), std::string::npos);
  EXPECT_LT(answer->pushed(), 400u) << "so much must not fit into any buffer here";
  // Then it reads on, and gets everything.
  const Parsed whole = next_response(slow);
  engine.join();
  EXPECT_EQ(count(whole.body, piece), 400u);
  EXPECT_TRUE(whole.body.ends_with("data: [DONE]\n\n"));
}

TEST(GenerationAnswer, AReaderThatNeverReadsIsDropped) {
  TestServer server([](ServerOptions& options, FakeService& service) {
    options.limits.send_buffer_bytes = 8192;
    options.limits.write_stall_max = milliseconds(100);
    service.on_start = leave_open;
  });
  RawClient client = server.connect(4096);
  client.send(chat(true));
  const auto answer = server.service.answer(0);
  ASSERT_TRUE(answer);
  while (answer->text(std::string(10000, 'x'))) {
  }
  EXPECT_TRUE(answer->cancelled());
}

TEST(GenerationAnswer, StreamsOfOneClientAreLimited) {
  TestServer server([](ServerOptions& options, FakeService& service) {
    options.limits.streams_per_client_max = 2;
    service.on_start = leave_open;
  });
  RawClient one = server.connect();
  RawClient two = server.connect();
  RawClient three = server.connect();
  one.send(chat(true));
  ASSERT_TRUE(server.service.answer(0));  // threads of the pool may overtake each other
  two.send(chat(true));
  ASSERT_TRUE(server.service.answer(1));
  three.send(chat(true));
  const Parsed refused = next_response(three);
  EXPECT_EQ(refused.head.status, 429u);
  EXPECT_EQ(refused.head.find("retry-after"), "1");
  server.service.answer(0)->finish();
  EXPECT_EQ(next_response(one).head.status, 200u);
  three.send(chat(true));
  const auto third = server.service.answer(2);
  ASSERT_TRUE(third);
  third->finish();
  EXPECT_EQ(next_response(three).head.status, 200u);
}

TEST(GenerationAnswer, HeaderValuesFromElsewhereAreMadeSafe) {
  TestServer server(
      [](ServerOptions&, FakeService& service) { service.route = "a\r\nset-cookie: x\x1b"; });
  RawClient client = server.connect();
  client.send(chat(false));
  const Parsed answer = next_response(client);
  EXPECT_EQ(answer.head.find("x-minerva-route"), "a__set-cookie: x_");
  EXPECT_FALSE(answer.head.find("set-cookie"));
}

TEST(GenerationAnswer, IgnoredFieldsAreNamed) {
  TestServer server;
  RawClient client = server.connect();
  client.send(
      post("/v1/chat/completions",
           R"({"model":"fake","frobnicate":1,"messages":[{"role":"user","content":"x"}]})"));
  const Parsed answer = next_response(client);
  EXPECT_EQ(answer.head.status, 200u);
  EXPECT_EQ(answer.head.find("x-minerva-ignored"), "frobnicate");
}

TEST(GenerationAnswer, DrainLetsAnswersFinish) {
  TestServer server([](ServerOptions&, FakeService& service) { service.on_start = leave_open; });
  RawClient busy = server.connect();
  RawClient idle = server.connect();
  idle.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(next_response(idle).head.status, 200u);
  busy.send(chat(true));
  const auto answer = server.service.answer(0);
  ASSERT_TRUE(answer);
  answer->text("first");
  ASSERT_TRUE(busy.read_until("first"));

  std::thread drain([&] { server.server->drain(minutes(10)); });
  EXPECT_EQ(idle.read_all(), "");  // closed at once
  EXPECT_TRUE(idle.closed_by_peer());
  EXPECT_FALSE(RawClient(server.port()).connected());
  answer->text("second");
  answer->finish();
  EXPECT_NE(busy.read_all().find("data: [DONE]"), std::string::npos);
  drain.join();
  EXPECT_EQ(server.server->connections(), 0u);
}

TEST(GenerationAnswer, DrainCutsAtItsDeadline) {
  TestServer server([](ServerOptions&, FakeService& service) { service.on_start = leave_open; });
  RawClient streaming = server.connect();
  streaming.send(chat(true));
  const auto first = server.service.answer(0);
  RawClient whole = server.connect();
  whole.send(chat(false));
  const auto second = server.service.answer(1);
  ASSERT_TRUE(first && second);
  first->text("first");
  ASSERT_TRUE(streaming.read_until("first"));
  server.server->drain(milliseconds(50));
  const std::string cut = streaming.read_all();
  EXPECT_NE(cut.find("\"error\""), std::string::npos);
  EXPECT_TRUE(cut.ends_with("0\r\n\r\n"));
  EXPECT_EQ(next_response(whole).head.status, 503u);
  EXPECT_TRUE(first->wait_cancelled());
  EXPECT_TRUE(second->wait_cancelled());
}

TEST(GenerationAnswer, StopCutsEverythingNow) {
  TestServer server([](ServerOptions&, FakeService& service) { service.on_start = leave_open; });
  RawClient client = server.connect();
  client.send(chat(true));
  const auto answer = server.service.answer(0);
  ASSERT_TRUE(answer);
  std::thread drain([&] { server.server->drain(minutes(10)); });
  server.server->stop();
  drain.join();
  EXPECT_TRUE(answer->wait_cancelled());
  server.server.reset();
  client.read_all();
  EXPECT_TRUE(client.closed_by_peer());
}

// Sixteen clients at once, each its own answer.
TEST(GenerationAnswer, ManyAtOnce) {
  TestServer server([](ServerOptions&, FakeService& service) {
    service.on_start = [](const serve::Request& request, FakeAnswer& answer) {
      answer.text(fmt::format("answer for {}", request.max_tokens.value_or(0)));
      answer.finish();
      return std::optional<Error>();
    };
  });
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 1; i <= 16; ++i) {
    threads.emplace_back([&, i] {
      RawClient client = server.connect();
      for (int round = 0; round < 10; ++round) {
        client.send(post("/v1/chat/completions",
                         fmt::format(R"({{"model":"fake","stream":{},"max_tokens":{},)"
                                     R"("messages":[{{"role":"user","content":"x"}}]}})",
                                     round % 2 == 0, i)));
        const Parsed answer = next_response(client);
        if (answer.body.find(fmt::format("\"answer for {}\"", i)) != std::string::npos) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 160);
}

}  // namespace
}  // namespace minerva::http
