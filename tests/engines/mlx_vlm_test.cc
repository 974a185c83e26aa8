// mlx_vlm.server by its contract: the program of tests/support/fake_mlx_vlm.py stands in for a
// Python that has it. Nobody has run the real one here (docs/backends.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "backend/mlx/mlx_kind.h"
#include "engines/engine_fixture.h"
#include "support/gguf_writer.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Outcome = EndEvent::Outcome;

// One server for all tests, since a Python takes its time to start.
class MlxVlmTest : public ::testing::Test {
 protected:
  struct World {
    World() {
      options.python = MINERVA_SOURCE_DIR "/tests/support/fake_mlx_vlm.py";
      options.environment = {"PATH=/usr/bin:/bin"};
      options.guard = {GUARD_PROGRAM, "guard"};
      options.check_folder = [](const ModelSpec&) -> Result<void> { return {}; };
      spec.name = "seer";
      spec.format = ModelFormat::Mlx;
      spec.path = folder.path().string();
      spec.trained_context = 2048;
      spec.sees = true;
      kind = std::make_unique<MlxKind>(options, loop, clock);
      const Availability found = kind->probe(std::chrono::seconds(60));
      EXPECT_TRUE(found.available) << found.why_not;
      engine = kind->make().value();
      const auto done = engine->load_model(spec, 0);
      EXPECT_TRUE(done) << done.error().message;
    }
    const test::TempFolder folder;
    UpstreamLoop loop;
    const SteadyClock clock;
    MlxOptions options;
    ModelSpec spec;
    std::unique_ptr<MlxKind> kind;
    std::unique_ptr<InferenceBackend> engine;
  };
  static void SetUpTestSuite() { world_ = std::make_unique<World>(); }
  static void TearDownTestSuite() { world_.reset(); }

  static InferenceBackend& engine() { return *world_->engine; }
  static GenerateRequest chat(const std::string& text, std::uint64_t max_tokens = 50) {
    return conversation(R"([{"role":"system","content":"s"},{"role":"user","content":)" +
                            wire::json_string(text) + "}]",
                        max_tokens);
  }
  static GenerateRequest conversation(std::string messages, std::uint64_t max_tokens = 50) {
    GenerateRequest request;
    request.prompt = {ChatPrompt{std::move(messages), {}}};
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    return request;
  }
  static Error refusal(GenerateRequest request) {
    const auto accepted =
        engine().generate(std::move(request), std::make_shared<GenerationStream>());
    EXPECT_FALSE(accepted);
    return accepted ? Error{} : accepted.error();
  }
  static std::string of_process(const char* name) {
    std::ifstream in("/proc/" + std::to_string(engine().usage().pid) + "/" + name,
                     std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  static inline std::unique_ptr<World> world_;
  ModelSpec spec_ = world_->spec;  // to be changed
};

TEST_F(MlxVlmTest, IsForModelsThatSeeWhereItIsInstalled) {
  EXPECT_EQ(mlx_server_for(spec_, "mlx-lm 1, mlx 2, mlx-vlm 3"), MlxServer::Vlm);
  EXPECT_EQ(mlx_server_for(spec_, "mlx-lm 1, mlx 2"), MlxServer::Lm);
  EXPECT_EQ(world_->kind->capabilities(spec_).chat_only, Support::Yes);
  EXPECT_EQ(world_->kind->capabilities(spec_).text_prompts, Support::No);
  spec_.sees = false;
  EXPECT_EQ(mlx_server_for(spec_, "mlx-lm 1, mlx 2, mlx-vlm 3"), MlxServer::Lm);
  EXPECT_EQ(world_->kind->capabilities(spec_).chat_only, Support::No);
  const auto plan = plan_mlx(world_->options, spec_, 0);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->wire, nullptr);
}

TEST_F(MlxVlmTest, AnswersConversations) {
  EXPECT_EQ(engine().context_size(), 2048U);
  EXPECT_EQ(engine().capabilities().chat_only, Support::Yes);
  EXPECT_EQ(engine().capabilities().images, Support::No);
  const Answer answer = ask(engine(), chat("one two three"));
  EXPECT_EQ(answer.end.outcome, Outcome::Done) << answer.end.error.value_or(Error{}).message;
  EXPECT_EQ(answer.text, "one two three");
  EXPECT_EQ(answer.reason, FinishReason::Stop);
  EXPECT_EQ(answer.end.usage.prompt_tokens, 7U);
  EXPECT_EQ(answer.end.usage.cached_tokens, 3U);
  const Answer cut = ask(engine(), chat("one two three", 2));
  EXPECT_EQ(cut.text, "one two");
  EXPECT_EQ(cut.reason, FinishReason::Length);
  EXPECT_EQ(ask(engine(), chat("think")).text, "<think>hm</think>think");
}

// Other users of the machine may come to its port, and see its command line.
TEST_F(MlxVlmTest, IsReachedFromHereOnlyAndWithAKey) {
  const std::string arguments = of_process("cmdline");
  EXPECT_THAT(arguments, HasSubstr(std::string("--host") + '\0' + "127.0.0.1" + '\0'));
  const std::string environment = of_process("environ");
  const std::string name = "MLX_VLM_SERVER_API_KEY=";
  const std::size_t at = environment.find(name);
  ASSERT_NE(at, std::string::npos);
  const std::string key = environment.c_str() + at + name.size();
  EXPECT_EQ(key.size(), 64U);
  EXPECT_THAT(arguments, Not(HasSubstr(key)));
  EXPECT_THAT(environment, HasSubstr("HF_HUB_OFFLINE=1"));
  const auto other = plan_mlx(world_->options, spec_, 0, MlxServer::Vlm);
  ASSERT_TRUE(other);
  EXPECT_THAT(other->child->environment, Not(::testing::Contains(name + key)));
  EXPECT_TRUE(other->prove_port);
}

TEST_F(MlxVlmTest, TheBodyIsExactlyThis) {
  GenerateRequest request = chat("body");
  request.sampling.temperature = 0.5F;
  request.sampling.seed = ~std::uint64_t{0};
  const Answer answer = ask(engine(), request);
  EXPECT_EQ(wire::dump_json(*wire::parse_json(answer.text)),
            R"({"model":)" + wire::json_string(spec_.path) +
                R"(,"messages":[{"role":"system","content":"s"},{"role":"user",)"
                R"("content":"body"}],"max_tokens":50,"temperature":0.5,"top_p":1.0,"min_p":0.0,)"
                R"("top_k":0,"seed":9223372036854775807,"stream":true,)"
                R"("stream_options":{"include_usage":true}})");
  request.sampling.seed.reset();
  EXPECT_THAT(ask(engine(), request).text, HasSubstr("\"seed\":")) << "else it is always the same";
}

TEST_F(MlxVlmTest, NothingThatItWouldReadOrFetchReachesIt) {
  for (const char* part :
       {R"({"type":"image_url","image_url":{"url":"http://127.0.0.1:1/x.png"}})",
        R"({"type":"image_url","image_url":{"url":"/etc/passwd"}})",
        R"({"type":"input_image","image_url":"file:///etc/passwd"})",
        R"({"type":"input_audio","input_audio":{"data":"/etc/passwd","format":"wav"}})",
        R"({"type":"text","text":7})", "7"}) {
    const Error error = refusal(conversation(
        std::string(R"([{"role":"user","content":[{"type":"text","text":"see"},)") + part + "]}]"));
    EXPECT_EQ(error.code, ErrorCode::Unsupported) << part;
    EXPECT_EQ(error.param, "messages") << part;
  }
  EXPECT_EQ(ask(engine(), conversation(R"([{"role":"user","content":[{"type":"text","text":"a"},)"
                                       R"({"type":"text","text":"b"}]}])"))
                .text,
            "ab");
}

TEST_F(MlxVlmTest, WhatItCannotKeepIsRefused) {
  EXPECT_EQ(refusal(greedy_request("raw", 3)).code, ErrorCode::Unsupported);
  GenerateRequest request = chat("a");
  request.logprobs = 1;
  EXPECT_EQ(refusal(request).param, "logprobs");
  request = chat("a");
  request.constraint = ConstraintSpec{};
  EXPECT_EQ(refusal(request).param, "response_format");
  request = chat("a");
  request.sampling.logit_bias = {{1, 1.0F}};  // nobody here knows its tokens
  EXPECT_EQ(refusal(request).param, "logit_bias");
  request = chat("a");
  request.sampling.temperature = 1;
  request.sampling.top_k = 5;
  EXPECT_EQ(refusal(request).param, "top_k");
}

TEST_F(MlxVlmTest, ItsErrorsAreErrors) {
  const Answer refused = ask(engine(), chat("refuse"));
  EXPECT_EQ(refused.end.outcome, Outcome::Failed);
  EXPECT_EQ(refused.end.error->code, ErrorCode::ContextExceeded);
  EXPECT_THAT(refused.end.error->message, HasSubstr("too long"));
  const Answer broken = ask(engine(), chat("error"));
  EXPECT_EQ(broken.end.outcome, Outcome::Failed);
  EXPECT_EQ(broken.text, "error");
  EXPECT_THAT(broken.end.error->message, HasSubstr("the generator died"));
  EXPECT_EQ(ask(engine(), chat("cut")).end.outcome, Outcome::Failed);
  EXPECT_EQ(ask(engine(), chat("well")).end.outcome, Outcome::Done);
}

// A look that failed, or was too slow under load, says nothing of the next one.
TEST(MlxProbe, AFailureIsNotKept) {
  const test::TempFolder folder;
  const std::filesystem::path python = folder.path() / "python3";
  const std::string mark = (folder.path() / "asked").string();
  std::ofstream(python) << "#!/bin/sh\n[ -e " << mark
                        << " ] && echo 'minerva-probe|mlx-lm 1, mlx 2|cpu'\n: > " << mark << "\n";
  std::filesystem::permissions(python, std::filesystem::perms::owner_all);
  MlxOptions options;
  options.python = python.string();
  options.environment = {"PATH=/usr/bin:/bin"};
  options.guard = {GUARD_PROGRAM, "guard"};
  const SteadyClock clock;
  UpstreamLoop loop;
  MlxKind kind(options, loop, clock);
  EXPECT_FALSE(kind.probe(std::chrono::seconds(60)).available);
  const Availability found = kind.probe(std::chrono::seconds(60));
  EXPECT_TRUE(found.available) << found.why_not;
  EXPECT_EQ(found.version, "mlx-lm 1, mlx 2");
  // One that succeeded is, until something is installed.
  std::filesystem::remove(mark);
  EXPECT_TRUE(kind.probe(std::chrono::seconds(60)).available);
}

}  // namespace
}  // namespace minerva::backend
