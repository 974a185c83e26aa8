#include "api/engines.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "wire/json_guard.h"

namespace minerva::api {
namespace {

using wire::Json;

serve::InstanceInfo instance() {
  serve::InstanceInfo info;
  info.model = "smollm2";
  info.backend = "llama_cpp";
  info.state = serve::ModelState::Failed;
  info.problem = "/opt/engines/bin/llama-server ended with code 1\nits log: secret";
  info.context_size = 8192;
  info.memory_bytes = 300;
  info.pid = 42;
  info.running = 1;
  info.waiting = 2;
  info.pinned = true;
  info.idle = std::chrono::milliseconds(1500);
  info.idle_ttl = std::chrono::minutes(10);
  info.breaker = "open";
  info.restarts = 3;
  info.tokens_per_second = 12.5;
  info.loaded_in_seconds = 0.5;
  info.last_log_lines = {"a line"};
  return info;
}

TEST(Engines, AnInstanceForItsOwner) {
  EXPECT_EQ(instance_body(instance(), Audience::Owner),
            R"({"model":"smollm2","backend":"llama_cpp","state":"failed",)"
            R"("problem":"/opt/engines/bin/llama-server ended with code 1\nits log: secret",)"
            R"("load_percent":null,)"
            R"("context_size":8192,"memory_bytes":300,"running":1,"waiting":2,"pinned":true,)"
            R"("idle_seconds":1.5,"idle_ttl_seconds":600.0,"breaker":"open","restarts":3,)"
            R"("tokens_per_second":12.5,"loaded_in_seconds":0.5,"pid":42,"log":["a line"]})");
}

TEST(Engines, ALoadSaysHowFarItIs) {
  serve::InstanceInfo loading = instance();
  loading.load_percent = 7;
  const Json json = *wire::parse_json(instance_body(loading, Audience::Client));
  EXPECT_EQ(json["load_percent"], 7);
}

TEST(Engines, OthersSeeNothingOfTheMachine) {
  const Json json = *wire::parse_json(instance_body(instance(), Audience::Client));
  EXPECT_EQ(json["problem"], "llama-server ended with code 1");
  EXPECT_FALSE(json.contains("pid"));
  EXPECT_FALSE(json.contains("log"));
  EXPECT_EQ(instances_body({}, Audience::Client), R"({"object":"list","data":[]})");
}

TEST(Engines, ABackendSaysWhatItIs) {
  serve::BackendInfo info;
  info.name = "mlx";
  info.why_not = "no module mlx_lm in /usr/bin/python3";
  info.install = "pip install mlx-lm";
  info.path = "/usr/bin/python3";
  info.can.seed = backend::Support::BestEffort;
  info.can.text_prompts = backend::Support::Yes;
  info.models = {"tiny-mlx"};
  info.instances = {instance()};
  const auto body = [&](Audience audience) {
    return (*wire::parse_json(backends_body(std::vector{info}, audience)))["data"][0];
  };
  const Json client = body(Audience::Client);
  EXPECT_EQ(client["available"], false);
  EXPECT_EQ(client["version"], nullptr);
  EXPECT_EQ(client["why_not"], "no module mlx_lm in python3");
  EXPECT_EQ(client["install"], "pip install mlx-lm");
  EXPECT_EQ(client["capabilities"]["seed"], "best effort");
  EXPECT_EQ(client["capabilities"]["text_prompts"], "yes");
  EXPECT_EQ(client["capabilities"]["images"], "no");
  EXPECT_EQ(client["capabilities"]["choices_max"], 1);
  EXPECT_EQ(client["models"][0], "tiny-mlx");
  EXPECT_EQ(client["instances"][0]["backend"], "llama_cpp");
  EXPECT_FALSE(client.contains("path"));
  EXPECT_FALSE(client["instances"][0].contains("log"));
  const Json owner = body(Audience::Owner);
  EXPECT_EQ(owner["path"], "/usr/bin/python3");
  EXPECT_EQ(owner["why_not"], "no module mlx_lm in /usr/bin/python3");
  EXPECT_EQ(owner["instances"][0]["log"][0], "a line");
}

TEST(Engines, ARouteSaysWhyNotTheOthers) {
  serve::RouteReport report{"m", "native", "it runs this architecture", {}, 12};
  report.steps = {{"native", true, "ready"}, {"mlx", false, "takes no GGUF"}};
  EXPECT_EQ(route_body(report),
            R"({"model":"m","backend":"native","reason":"it runs this architecture",)"
            R"("steps":[{"backend":"native","usable":true,"why":"ready"},)"
            R"({"backend":"mlx","usable":false,"why":"takes no GGUF"}],"prompt_tokens":12})");
  EXPECT_EQ(route_body({"m", "", "no engine takes it", {}, 0}),
            R"({"model":"m","backend":null,"reason":"no engine takes it","steps":[],)"
            R"("prompt_tokens":null})");
}

TEST(Engines, LoadCalls) {
  const auto plain = parse_load(R"({"model":"m"})");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->model, "m");
  EXPECT_FALSE(plain->backend);
  EXPECT_FALSE(parse_load(R"({"model":"m","backend":"auto"})")->backend);
  EXPECT_EQ(parse_load(R"({"model":"m","backend":"remote:a"})")->backend, "remote:a");
  const auto refusal = [](std::string_view body) {
    const auto call = parse_load(body);
    return call ? "accepted" : call.error().param + ": " + call.error().message;
  };
  EXPECT_EQ(refusal(R"({})"), "model: 'model' is required");
  EXPECT_EQ(refusal(R"({"model":null})"), "model: 'model' is required");
  EXPECT_EQ(refusal(R"({"model":"m","bakend":"x"})"),
            "bakend: unknown field \"bakend\" (did you mean 'backend'?)");
  for (const char* wrong :
       {"", "[]", "3", "{", R"({"model":""})", R"({"model":3})", R"({"model":"m","backend":"-m"})",
        R"({"model":"m","backend":"a;b"})", R"({"model":"m","backend":["native"]})",
        R"({"model":"m","now":true})", R"({"model":"m","argv":"--rpc"})"}) {
    EXPECT_FALSE(parse_load(wrong)) << wrong;
  }
  EXPECT_FALSE(parse_load(R"({"model":")" + std::string(513, 'm') + R"("})"));
}

TEST(Engines, UnloadCalls) {
  EXPECT_FALSE(parse_unload(R"({"model":"m"})")->now);
  EXPECT_TRUE(parse_unload(R"({"model":"m","now":true})")->now);
  for (const char* wrong :
       {"", R"({"now":true})", R"({"model":"m","now":1})", R"({"model":"m","backend":"native"})"}) {
    EXPECT_FALSE(parse_unload(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace minerva::api
