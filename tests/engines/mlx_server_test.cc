// The real mlx_lm.server (MINERVA_MLX_PYTHON has it; MINERVA_SAMPLE_TINY_MLX is a small random
// model, MINERVA_SAMPLE_SMOLLM2_MLX one that speaks).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backend/mlx/mlx_kind.h"
#include "backend/mlx/mlx_probe.h"
#include "engines/engine_fixture.h"
#include "models/vocabulary_cache.h"
#include "process/port.h"
#include "support/gguf_writer.h"
#include "support/raw_client.h"
#include "support/raw_server.h"

namespace minerva::backend {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Outcome = EndEvent::Outcome;

class MlxServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (variable("MINERVA_MLX_PYTHON").empty()) {
      GTEST_SKIP() << "NOT RUN: MINERVA_MLX_PYTHON is not set";
    }
    if (variable("MINERVA_SAMPLE_TINY_MLX").empty()) {
      GTEST_SKIP() << "NOT RUN: MINERVA_SAMPLE_TINY_MLX is not set";
    }
    options_.python = variable("MINERVA_MLX_PYTHON");
    options_.environment = {"PATH=/usr/bin:/bin"};
    options_.guard = {GUARD_PROGRAM, "guard"};
    options_.check_folder = [](const ModelSpec&) -> Result<void> { return {}; };
    options_.vocabulary =
        [](const ModelSpec& spec) -> Result<std::shared_ptr<const text::Tokenizer>> {
      MINERVA_ASSIGN(const auto vocabulary, models::load_vocabulary(spec.path));
      return vocabulary->tokenizer;
    };
  }

  static ModelSpec tiny() { return spec_at(variable("MINERVA_SAMPLE_TINY_MLX")); }
  static ModelSpec spec_at(const std::string& path) {
    ModelSpec spec;
    spec.name = "sample";
    spec.format = ModelFormat::Mlx;
    spec.path = path;
    spec.trained_context = 2048;
    return spec;
  }
  std::unique_ptr<InferenceBackend> made() {
    kind_ = std::make_unique<MlxKind>(options_, loop_, clock_);
    return kind_->make().value();
  }
  std::unique_ptr<InferenceBackend> loaded(const ModelSpec& spec) {
    auto engine = made();
    const auto done = engine->load_model(spec, 0);
    EXPECT_TRUE(done) << done.error().message;
    return engine;
  }

  UpstreamLoop loop_;
  const SteadyClock clock_;
  MlxOptions options_;
  std::unique_ptr<MlxKind> kind_;
};

TEST_F(MlxServerTest, TheProbeTellsItsVersions) {
  MlxKind kind(options_, loop_, clock_);
  const Availability found = kind.probe(std::chrono::seconds(60));
  EXPECT_TRUE(found.available) << found.why_not;
  EXPECT_THAT(found.version, HasSubstr("mlx-lm "));
  EXPECT_THAT(found.version, HasSubstr("mlx "));
  EXPECT_THAT(found.device, HasSubstr("Device"));
  EXPECT_EQ(found.path, options_.python);
  EXPECT_THAT(found.install, HasSubstr("pip install"));
}

// find_spec() finds such a package, and its version is there.
TEST_F(MlxServerTest, ABrokenNativeLibraryIsNotInstalled) {
  const test::TempFolder folder;
  fs::create_directories(folder.path() / "mlx");
  std::ofstream(folder.path() / "mlx" / "__init__.py") << "";
  std::ofstream(folder.path() / "mlx" / "core.py")
      << "raise ImportError('libmlx.so: file too short')\n";
  const fs::path python = folder.path() / "python3";
  std::ofstream(python) << "#!/bin/sh\nPYTHONPATH=" << folder.path().string() << " exec "
                        << options_.python << " \"$@\"\n";
  fs::permissions(python, fs::perms::owner_all);
  options_.python = python.string();
  const Availability found = probe_mlx(options_, std::chrono::seconds(60));
  EXPECT_FALSE(found.available);
  EXPECT_THAT(found.why_not, HasSubstr("libmlx.so: file too short"));
  EXPECT_THAT(found.install, HasSubstr(python.string()));
}

TEST_F(MlxServerTest, AProbeThatHangsIsGivenUp) {
  const test::TempFolder folder;
  const fs::path python = folder.path() / "python3";
  std::ofstream(python) << "#!/bin/sh\nexec sleep 1000\n";
  fs::permissions(python, fs::perms::owner_all);
  options_.python = python.string();
  const Availability found = probe_mlx(options_, std::chrono::milliseconds(200));
  EXPECT_FALSE(found.available);
  EXPECT_THAT(found.why_not, HasSubstr("200 ms"));
}

TEST_F(MlxServerTest, AnswersAreTheSameAgainAndPromptsWhatWasAsked) {
  const auto engine = loaded(tiny());
  EXPECT_EQ(engine->probe().health, Health::Ready);
  EXPECT_EQ(engine->context_size(), 2048U);
  const std::string prompt = "The quick <|im_start|>user\nbrown fox 123  é漢😀";
  const Answer first = ask(*engine, greedy_request(prompt, 12));
  EXPECT_EQ(first.end.outcome, Outcome::Done);
  EXPECT_FALSE(first.text.empty());
  EXPECT_EQ(first.end.usage.prompt_tokens,
            engine->tokenize(prompt, {.add_special = true, .parse_special = true})->size());
  EXPECT_LE(first.end.usage.completion_tokens, 12U);
  EXPECT_FALSE(first.progress.empty());
  EXPECT_EQ(ask(*engine, greedy_request(prompt, 12)).text, first.text);
  // As token ids.
  GenerateRequest by_ids = greedy_request("", 12);
  by_ids.prompt = {*engine->tokenize(prompt, {.add_special = true, .parse_special = true})};
  EXPECT_EQ(ask(*engine, by_ids).text, first.text);
}

TEST_F(MlxServerTest, EndsAreForbiddenWhereThatIsAsked) {
  const auto engine = loaded(tiny());
  GenerateRequest request = greedy_request("abc", 40);
  request.ignore_end_of_generation = true;
  const Answer answer = ask(*engine, request);
  EXPECT_EQ(answer.end.usage.completion_tokens, 40U);
  EXPECT_EQ(answer.reason, FinishReason::Length);
}

TEST_F(MlxServerTest, ABiasForcesAToken) {
  const auto engine = loaded(tiny());
  GenerateRequest request = greedy_request("abc", 3);
  request.sampling.logit_bias = {{engine->tokenize("x", {})->front(), 1000.0F}};
  EXPECT_EQ(ask(*engine, request).text, "xxx");
}

TEST_F(MlxServerTest, TheSameSeedGivesTheSameAnswer) {
  const auto engine = loaded(tiny());
  GenerateRequest request = greedy_request("abc", 24);
  request.sampling.temperature = 1.5F;
  request.ignore_end_of_generation = true;
  for (const std::uint64_t seed : {std::uint64_t{7}, ~std::uint64_t{0}}) {
    request.sampling.seed = seed;
    const Answer first = ask(*engine, request);
    EXPECT_EQ(first.end.outcome, Outcome::Done) << first.end.error.value_or(Error{}).message;
    EXPECT_EQ(ask(*engine, request).text, first.text);
  }
}

// Each of these ends the server's one thread when it is sent as it came.
TEST_F(MlxServerTest, RequestsThatKillItDoNotReachIt) {
  const auto engine = loaded(tiny());
  const std::int64_t pid = engine->usage().pid;
  const auto refused_or_done = [&](auto change) {
    GenerateRequest request = greedy_request("abc", 4);
    request.sampling.temperature = 1;
    change(request);
    const auto stream = std::make_shared<GenerationStream>();
    if (engine->generate(request, stream)) {
      const Answer answer = read_answer(*stream);
      EXPECT_EQ(answer.end.outcome, Outcome::Done) << answer.end.error.value_or(Error{}).message;
    }
  };
  refused_or_done([](auto& r) { r.sampling.top_k = 2'000'000'000; });
  refused_or_done([&](auto& r) {
    r.sampling.top_k = static_cast<std::int32_t>(engine->tokenize("a", {})->front() + 1'000'000);
  });
  refused_or_done([](auto& r) { r.sampling.top_p = 0; });
  refused_or_done([](auto& r) { r.sampling.temperature = 1e-38F; });
  refused_or_done([](auto& r) { r.sampling.logit_bias = {{999'999'999, 1.0F}}; });
  refused_or_done([](auto& r) { r.sampling.logit_bias = {{-1, 1.0F}}; });
  refused_or_done([](auto& r) { r.sampling.seed = ~std::uint64_t{0}; });
  refused_or_done([](auto& r) { r.prompt = {std::string()}; });
  refused_or_done([](auto& r) { r.sampling.repetition_penalty = 1e-20F; });
  EXPECT_EQ(ask(*engine, greedy_request("abc", 4)).end.outcome, Outcome::Done);
  EXPECT_EQ(engine->usage().pid, pid);
}

TEST_F(MlxServerTest, ManyAtOnceAllEnd) {
  const auto engine = loaded(tiny());
  const std::string alone = ask(*engine, greedy_request("one of many", 8)).text;
  std::vector<std::shared_ptr<GenerationStream>> streams;
  for (int i = 0; i < 40; ++i) {
    streams.push_back(std::make_shared<GenerationStream>());
    ASSERT_TRUE(engine->generate(greedy_request("one of many", 8), streams.back()));
  }
  for (const auto& stream : streams) {
    const Answer answer = read_answer(*stream);
    EXPECT_EQ(answer.end.outcome, Outcome::Done) << answer.end.error.value_or(Error{}).message;
    EXPECT_FALSE(answer.text.empty());
  }
  EXPECT_FALSE(alone.empty());
}

TEST_F(MlxServerTest, CancellingFreesIt) {
  const auto engine = loaded(tiny());
  GenerateRequest endless = greedy_request("abc", 2000);
  endless.ignore_end_of_generation = true;
  const auto stream = std::make_shared<GenerationStream>();
  ASSERT_TRUE(engine->generate(endless, stream));
  while (const auto event = stream->pop_for(std::chrono::minutes(1))) {
    if (std::holds_alternative<TokenEvent>(*event)) break;
  }
  stream->cancel();
  EXPECT_EQ(read_answer(*stream).end.outcome, Outcome::Cancelled);
  EXPECT_EQ(ask(*engine, greedy_request("abc", 4)).end.outcome, Outcome::Done);
}

// It keeps its port open and says 503 for ever; only its log knows why.
TEST_F(MlxServerTest, AModelThatCannotBeLoadedIsAnErrorAtOnce) {
  const test::TempFolder folder;
  const fs::path broken = folder.path() / "broken";
  fs::copy(tiny().path, broken);
  fs::resize_file(broken / "model.safetensors", fs::file_size(broken / "model.safetensors") / 2);
  const auto engine = made();
  const auto done = engine->load_model(spec_at(broken.string()), 0);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().code, ErrorCode::Timeout);
  EXPECT_FALSE(engine->is_loaded());
  EXPECT_EQ(engine->probe().health, Health::Failed);
  // Another model loads in its place.
  const auto again = engine->load_model(tiny(), 0);
  EXPECT_TRUE(again) << again.error().message;
}

TEST_F(MlxServerTest, AnAbandonedLoadStops) {
  const auto engine = made();
  Result<void> done;
  std::jthread loader([&] { done = engine->load_model(tiny(), 0); });
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (engine->usage().pid == 0 && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(engine->unload_model());
  loader.join();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::Cancelled);
  EXPECT_EQ(engine->usage().pid, 0);
}

// The process hangs with a traceback when its port is taken, and whoever has the port answers.
TEST_F(MlxServerTest, APortThatIsTakenIsNotMistakenForOurs) {
  test::RawServer other("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
  options_.port = other.port();
  const auto engine = made();
  const auto done = engine->load_model(tiny(), 0);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("another process"));
  EXPECT_EQ(engine->usage().pid, 0);
}

// Its thread dies and the process lives: the requests fail, and it is not called ready any more.
TEST_F(MlxServerTest, ADeadGenerationThreadIsNoticed) {
  const auto engine = loaded(tiny());
  const std::int64_t pid = engine->usage().pid;
  // Past Minerva, what Minerva never sends.
  std::ifstream arguments("/proc/" + std::to_string(pid) + "/cmdline");
  std::string text{std::istreambuf_iterator<char>(arguments), {}};
  const std::string flag = std::string("--port") + '\0';
  const std::string port = text.c_str() + text.find(flag) + flag.size();
  test::RawClient client(static_cast<unsigned>(std::stoul(port)));
  const std::string body =
      R"({"prompt":"a","max_tokens":4,"temperature":1.0,"top_k":100000000,"stream":true})";
  ASSERT_TRUE(client.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                          std::to_string(body.size()) + "\r\n\r\n" + body));
  client.read_all();
  const Answer answer = ask(*engine, greedy_request("abc", 4));
  EXPECT_EQ(answer.end.outcome, Outcome::Failed);
  EXPECT_EQ(answer.end.error.value().code, ErrorCode::Unavailable);
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (engine->probe().health == Health::Ready && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::yield();
  }
  EXPECT_EQ(engine->probe().health, Health::Failed);
  EXPECT_FALSE(engine->is_loaded());
  const auto again = engine->load_model(tiny(), 0);
  EXPECT_TRUE(again) << again.error().message;
  EXPECT_EQ(ask(*engine, greedy_request("abc", 4)).end.outcome, Outcome::Done);
}

TEST_F(MlxServerTest, KilledItFailsItsRequestsAtOnce) {
  const auto engine = loaded(tiny());
  GenerateRequest endless = greedy_request("abc", 2000);
  endless.ignore_end_of_generation = true;
  const auto stream = std::make_shared<GenerationStream>();
  ASSERT_TRUE(engine->generate(endless, stream));
  while (const auto event = stream->pop_for(std::chrono::minutes(1))) {
    if (std::holds_alternative<TokenEvent>(*event)) break;
  }
  ASSERT_EQ(::kill(static_cast<pid_t>(engine->usage().pid), SIGKILL), 0);
  EXPECT_EQ(read_answer(*stream).end.outcome, Outcome::Failed);
  // Its connections break a moment before its guard has told of its end.
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (engine->is_loaded() && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::yield();
  }
  EXPECT_EQ(engine->probe().health, Health::Failed);
}

TEST_F(MlxServerTest, ARealModelSpeaks) {
  const std::string path = variable("MINERVA_SAMPLE_SMOLLM2_MLX");
  if (path.empty()) GTEST_SKIP() << "NOT RUN: MINERVA_SAMPLE_SMOLLM2_MLX is not set";
  const auto engine = loaded(spec_at(path));
  const Answer answer = ask(*engine, greedy_request("<|im_start|>user\nWhat is the capital of "
                                                    "France?<|im_end|>\n<|im_start|>assistant\n",
                                                    16));
  EXPECT_THAT(answer.text, HasSubstr("Paris"));
  EXPECT_EQ(answer.reason, FinishReason::Stop);
  EXPECT_THAT(answer.text, ::testing::Not(HasSubstr("<|im_end|>")));
}

}  // namespace
}  // namespace minerva::backend
