// Our own engine in a process of its own: the whole suite, and what only a process can show.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backend/isolated/isolated_kind.h"
#include "conformance/backend_conformance.h"
#include "conformance/native_subject.h"
#include "conformance/recorder.h"
#include "formats/gguf.h"
#include "support/gguf_writer.h"
#include "support/tiny_model.h"

namespace minerva::backend {
namespace {

using Outcome = EndEvent::Outcome;

const test::TempFolder& folder() {
  static const test::TempFolder shared;
  return shared;
}

UpstreamLoop& loop() {
  static UpstreamLoop shared;
  return shared;
}

std::shared_ptr<const IsolatedOptions> options() {
  IsolatedOptions options;
  options.program = MINERVA_BINARY;
  options.guard = {MINERVA_BINARY, "guard"};
  options.environment = {"PATH=/usr/bin:/bin", "MINERVA_LOG_LEVEL=debug", "LD_PRELOAD=/evil.so"};
  options.engine.threads = 2;
  options.engine.kv_bytes_max = 64ULL << 20;
  options.vocabulary = [](const ModelSpec& spec) -> Result<std::shared_ptr<const text::Tokenizer>> {
    MINERVA_ASSIGN(const auto file, formats::GgufFile::open(spec.path));
    return text::Tokenizer::from_gguf(*file);
  };
  return std::make_shared<const IsolatedOptions>(std::move(options));
}

ModelSpec tiny(const std::string& name, const test::TinyModel& model) {
  ModelSpec spec;
  spec.name = name;
  spec.format = ModelFormat::Gguf;
  spec.path = (folder().path() / (name + ".gguf")).string();
  test::write_file(spec.path, test::tiny_model(model).bytes());
  return spec;
}

ModelSpec gemma(const std::string& name) {
  test::TinyModel model;
  model.architecture = "gemma3";
  model.type = formats::DType::Q4_K;
  model.window = 64;
  return tiny(name, model);
}

const std::vector<Subject>& subjects() {
  static const std::vector<Subject> all = [] {
    std::vector<Subject> made;
    for (ModelSpec spec : {tiny("llama_f32", {}), gemma("gemma3_q4_k")}) {
      Subject subject;
      subject.name = spec.name;
      subject.spec = std::move(spec);
      subject.end_token = token_of("<|end|>");
      subject.make = [](const Clock& clock) { return make_isolated(options(), loop(), clock); };
      made.push_back(std::move(subject));
    }
    return made;
  }();
  return all;
}

INSTANTIATE_TEST_SUITE_P(Isolated, BackendConformance, ::testing::ValuesIn(subjects()),
                         subject_name);

class IsolatedBackendTest : public ::testing::Test {
 protected:
  std::unique_ptr<InferenceBackend> loaded(const ModelSpec& spec, std::size_t context = 256) {
    auto engine = make_isolated(options(), loop(), clock_);
    const auto done = engine->load_model(spec, context);
    EXPECT_TRUE(done) << done.error().message;
    return engine;
  }
  static GenerateRequest ask(std::uint64_t max_tokens) {
    GenerateRequest request;
    request.prompt.emplace_back(std::vector<TokenId>{84, 104, 101, 32, 99, 97, 116});
    request.sampling.temperature = 1;
    request.sampling.top_k = 50;
    request.sampling.repetition_penalty = 1.1F;
    request.sampling.presence_penalty = 0.3F;
    request.sampling.seed = 11;
    request.max_tokens = max_tokens;
    request.ignore_end_of_generation = true;
    request.logprobs = 4;
    return request;
  }
  const SteadyClock clock_;
};

// Tokens, bytes and log-probabilities, to the last bit.
TEST_F(IsolatedBackendTest, GivesWhatTheEngineInThisProcessGives) {
  const ModelSpec spec = gemma("both");
  const auto isolated = loaded(spec);
  const Subject native = native_subject("both", spec.path);
  const auto here = native.make(clock_);
  ASSERT_TRUE(here->load_model(spec, 256));
  GenerateRequest request = ask(40);
  request.n = 3;
  for (const bool resumed : {false, true}) {
    if (resumed) {
      request.n = 1;
      request.resume_prefix = {65, 66, 67};
    }
    const Recording theirs = run(*isolated, request);
    const Recording ours = run(*here, request);
    ASSERT_EQ(theirs.tokens.size(), ours.tokens.size());
    for (const auto& [choice, tokens] : ours.tokens) {
      const auto& others = theirs.tokens.at(choice);
      ASSERT_EQ(others.size(), tokens.size());
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        EXPECT_EQ(others[i].id, tokens[i].id);
        EXPECT_EQ(others[i].bytes, tokens[i].bytes);
        EXPECT_EQ(others[i].logprob, tokens[i].logprob);
        ASSERT_EQ(others[i].top.size(), tokens[i].top.size());
        for (std::size_t k = 0; k < tokens[i].top.size(); ++k) {
          EXPECT_EQ(others[i].top[k].id, tokens[i].top[k].id);
          EXPECT_EQ(others[i].top[k].bytes, tokens[i].top[k].bytes);
          EXPECT_EQ(others[i].top[k].logprob, tokens[i].top[k].logprob);
        }
      }
    }
    EXPECT_EQ(theirs.reasons, ours.reasons);
    EXPECT_EQ(theirs.end->seed, ours.end->seed);
    EXPECT_EQ(theirs.end->usage.prompt_tokens, ours.end->usage.prompt_tokens);
    EXPECT_EQ(theirs.end->usage.completion_tokens, ours.end->usage.completion_tokens);
  }
}

TEST_F(IsolatedBackendTest, OneThatIsKilledTakesOnlyItsOwnAlong) {
  // With an answer that no socket's buffer holds, so that it cannot have ended before.
  const auto doomed = loaded(tiny("doomed", {}), 2048);
  const auto other = loaded(gemma("other"));
  const auto alone = run(*other, ask(200)).ids();
  // Both run, and nobody reads yet.
  const auto lost = std::make_shared<GenerationStream>(4);
  const auto kept = std::make_shared<GenerationStream>(4);
  ASSERT_TRUE(doomed->generate(ask(2000), lost));
  ASSERT_TRUE(other->generate(ask(200), kept));
  ASSERT_TRUE(lost->pop_for(std::chrono::minutes(1)));
  const std::int64_t pid = doomed->usage().pid;
  ASSERT_GT(pid, 0);
  ASSERT_NE(pid, other->usage().pid);
  ASSERT_EQ(::kill(static_cast<pid_t>(pid), SIGKILL), 0);
  const Recording failed = record(*lost);
  ASSERT_TRUE(failed.end);
  EXPECT_EQ(failed.end->outcome, Outcome::Failed);
  EXPECT_EQ(failed.end->error.value().code, ErrorCode::Unavailable);
  // Its connections break a moment before its guard has told of its end.
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (doomed->is_loaded() && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::yield();
  }
  EXPECT_EQ(doomed->probe().health, Health::Failed);
  EXPECT_FALSE(doomed->is_loaded());
  const Recording whole = record(*kept);
  EXPECT_EQ(whole.end->outcome, Outcome::Done);
  EXPECT_EQ(whole.ids(), alone);
  // It can be loaded again.
  EXPECT_TRUE(doomed->load_model(tiny("doomed", {}), 256));
  EXPECT_EQ(run(*doomed, ask(5)).token_count(), 5U);
}

// The error is the engine's own, not "exit code 1".
TEST_F(IsolatedBackendTest, ALoadThatFailsKeepsItsReason) {
  const auto engine = make_isolated(options(), loop(), clock_);
  const auto done = engine->load_model(tiny("small", {}), 1'000'000);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(done.error().param, "context");
  EXPECT_EQ(engine->usage().pid, 0);
}

TEST_F(IsolatedBackendTest, ItsSocketIsOursAloneAndGoesWithIt) {
  std::string socket_folder;
  {
    const auto engine = loaded(tiny("socket", {}));
    const std::int64_t pid = engine->usage().pid;
    socket_folder = std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/cwd").string();
    struct stat info{};
    ASSERT_EQ(::stat(socket_folder.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0700U);
    EXPECT_TRUE(std::filesystem::is_socket(socket_folder + "/engine.sock"));
  }
  // Work that is left on the loop may hold it for a moment.
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (std::filesystem::exists(socket_folder) && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(std::filesystem::exists(socket_folder));
}

}  // namespace
}  // namespace minerva::backend
