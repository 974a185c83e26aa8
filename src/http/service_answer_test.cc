// What is asked of serve besides generations: engines, instances, routes, loads.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <mutex>
#include <string>
#include <thread>

#include "http/server_fixture_test.h"
#include "wire/json_guard.h"

namespace minerva::http {
namespace {

using wire::Json;

Parsed ask(TestServer& server, const std::string& request) {
  std::string bytes = server.ask(request);
  return take_response(bytes);
}

std::string close_field() { return "Connection: close\r\n"; }

Json json_of(const Parsed& answer) {
  auto json = wire::parse_json(answer.body);
  EXPECT_TRUE(json) << answer.body;
  return json ? *json : Json();
}

void with_an_engine(ServerOptions&, FakeService& service) {
  serve::InstanceInfo instance;
  instance.model = "m";
  instance.backend = "llama_cpp";
  instance.pid = 42;
  instance.last_log_lines = {"said by the engine"};
  service.known_instances = {instance};
  serve::BackendInfo backend;
  backend.name = "llama_cpp";
  backend.available = true;
  backend.path = "/opt/llama-server";
  backend.instances = {instance};
  service.known_backends = {backend};
  service.known_models.resize(1);
  service.known_models[0].name = "m";
}

TEST(ServiceAnswer, EnginesAndInstances) {
  TestServer server(with_an_engine);
  std::string bytes = server.get("/v1/backends");
  const Json backends = json_of(take_response(bytes));
  EXPECT_EQ(backends["data"][0]["name"], "llama_cpp");
  EXPECT_EQ(backends["data"][0]["path"], "/opt/llama-server");
  EXPECT_EQ(backends["data"][0]["instances"][0]["log"][0], "said by the engine");
  bytes = server.get("/v1/ps");
  EXPECT_EQ(json_of(take_response(bytes))["data"][0]["pid"], 42);
}

TEST(ServiceAnswer, WhoIsNotTheOwnerSeesNoPathsAndNoLog) {
  TestServer server([](ServerOptions& options, FakeService& service) {
    options.allowed_hosts = {"minerva.lan"};
    with_an_engine(options, service);
  });
  for (const char* path : {"/v1/backends", "/v1/ps"}) {
    const std::string proxied = server.get(path, "X-Forwarded-For: 10.0.0.1\r\n");
    const std::string named =
        server.ask(fmt::format("GET {} HTTP/1.1\r\nHost: minerva.lan\r\n"
                               "Connection: close\r\n\r\n",
                               path));
    for (const std::string& answer : {proxied, named}) {
      EXPECT_EQ(status_of(answer), "200");
      for (const char* secret : {"said by", "/opt", "\"pid\"", "\"log\""})
        EXPECT_EQ(answer.find(secret), std::string::npos) << answer;
    }
  }
}

TEST(ServiceAnswer, ARouteIsToldForBothBodies) {
  TestServer server;
  const Parsed chat = ask(
      server, post("/v1/route",
                   R"({"model":"m","backend":"mlx","messages":[{"role":"user","content":"hi"}]})",
                   close_field()));
  EXPECT_EQ(chat.head.status, 200u);
  EXPECT_EQ(json_of(chat)["backend"], "fake");
  EXPECT_EQ(json_of(chat)["steps"][0]["usable"], true);
  ASSERT_TRUE(server.service.asked());
  EXPECT_EQ(server.service.asked()->backend, "mlx");
  EXPECT_TRUE(std::holds_alternative<chat::Conversation>(server.service.asked()->prompt));
  ask(server, post("/v1/route", R"({"model":"m","prompt":"x"})", close_field()));
  EXPECT_TRUE(std::holds_alternative<serve::RawPrompt>(server.service.asked()->prompt));
  EXPECT_EQ(server.service.started(), 0u);

  for (const char* body : {"", "{}", "[]", R"({"model":"m"})",
                           R"({"prompt":"x","messages":[{"role":"user","content":"y"}]})",
                           R"({"prompt":"x","temperature":"hot"})"}) {
    const Parsed wrong = ask(server, post("/v1/route", body, close_field()));
    EXPECT_EQ(wrong.head.status, 400u) << body << wrong.body;
  }
}

TEST(ServiceAnswer, LoadingAndUnloading) {
  TestServer server(with_an_engine);
  const Parsed loaded =
      ask(server, post("/v1/models/load", R"({"model":"m","backend":"native"})", close_field()));
  EXPECT_EQ(loaded.head.status, 200u);
  EXPECT_EQ(json_of(loaded)["state"], "ready");
  EXPECT_EQ(json_of(loaded)["backend"], "native");
  const Parsed unloaded =
      ask(server, post("/v1/models/unload", R"({"model":"m","now":true})", close_field()));
  EXPECT_EQ(unloaded.head.status, 200u);
  EXPECT_EQ(server.service.unloaded(), (std::vector<std::pair<std::string, bool>>{{"m", true}}));
  const Parsed unknown =
      ask(server, post("/v1/models/unload", R"({"model":"absent"})", close_field()));
  EXPECT_EQ(unknown.head.status, 404u);
  EXPECT_EQ(json_of(unknown)["error"]["code"], "model_not_found");
  for (const char* path : {"/v1/models/load", "/v1/models/unload"}) {
    EXPECT_EQ(ask(server, post(path, "", close_field())).head.status, 400u);
    EXPECT_EQ(ask(server, post(path, "{}", close_field())).head.status, 400u);
  }
}

TEST(ServiceAnswer, AModelMayBeCalledLoad) {
  TestServer server([](ServerOptions&, FakeService& service) {
    service.known_models.resize(1);
    service.known_models[0].name = "load";
  });
  EXPECT_EQ(status_of(server.get("/v1/models/load")), "200");
  const std::string options = server.ask(
      "OPTIONS /v1/models/load HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_NE(options.find("allow: POST, GET, HEAD, OPTIONS\r\n"), std::string::npos) << options;
}

serve::Service* never_loads(FakeService& service) {
  service.on_load = [](const std::string&, const std::optional<std::string>&,
                       Duration time_max) -> Result<serve::InstanceInfo> {
    std::this_thread::sleep_for(time_max);
    return fail(ErrorCode::Timeout, "not yet");
  };
  return &service;
}

TEST(ServiceAnswer, ALoadIsWaitedForNoLongerThanTheDeadline) {
  TestServer server([](ServerOptions& options, FakeService& service) {
    options.load_wait = std::chrono::milliseconds(1);
    never_loads(service);
  });
  const Parsed answer = ask(server, post("/v1/models/load", R"({"model":"m"})", close_field()));
  EXPECT_EQ(answer.head.status, 504u);
  EXPECT_NE(answer.body.find("still loading"), std::string::npos);
}

TEST(ServiceAnswer, AFailureOfTheLoadItselfEndsTheWait) {
  TestServer server([](ServerOptions&, FakeService& service) {
    service.on_load = [](const std::string&, const std::optional<std::string>&,
                         Duration) -> Result<serve::InstanceInfo> {
      Error error{ErrorCode::Unavailable, "the engine ended"};
      error.retry_after = std::chrono::milliseconds(2500);
      return fail(std::move(error));
    };
  });
  const Parsed answer = ask(server, post("/v1/models/load", R"({"model":"m"})", close_field()));
  EXPECT_EQ(answer.head.status, 503u);
  EXPECT_EQ(answer.head.find("retry-after"), "3");
}

// Nobody waits for a load that no client wants: neither a thread, nor the server's end.
TEST(ServiceAnswer, AServerEndsWhileLoadsAreWaitedFor) {
  TestServer server([](ServerOptions&, FakeService& service) { never_loads(service); });
  RawClient client = server.connect();
  client.send(post("/v1/models/load", R"({"model":"m"})"));
  ASSERT_TRUE(server.service.wait_loads(2));
  server.server->stop();
  server.server.reset();
}

TEST(ServiceAnswer, WaitingLoadsDoNotHoldOtherRequestsUp) {
  // Each call that waits asks again and again, so calls alone do not say that both are there.
  std::promise<void> second;
  std::once_flag once;
  TestServer server([&](ServerOptions& options, FakeService& service) {
    options.limits.loads_waiting_max = 2;
    never_loads(service);
    service.on_load = [&, wait = service.on_load](const std::string& model, const auto& backend,
                                                  Duration time_max) {
      if (model == "n") std::call_once(once, [&] { second.set_value(); });
      return wait(model, backend, time_max);
    };
  });
  RawClient one = server.connect();
  RawClient two = server.connect();
  one.send(post("/v1/models/load", R"({"model":"m"})"));
  ASSERT_TRUE(server.service.wait_loads(1));
  two.send(post("/v1/models/load", R"({"model":"n"})"));
  ASSERT_EQ(second.get_future().wait_for(test::kPatience), std::future_status::ready);
  const Parsed third = ask(server, post("/v1/models/load", R"({"model":"m"})", close_field()));
  EXPECT_EQ(third.head.status, 429u);
  EXPECT_EQ(status_of(server.get("/v1/models")), "200");
  EXPECT_EQ(ask(server, chat(false, close_field())).head.status, 200u);
}

}  // namespace
}  // namespace minerva::http
