// The real llama-server in the suite (MINERVA_LLAMA_SERVER is its path, MINERVA_SAMPLE_SMOLLM2 a
// model), and what only the real one can show.
#include "backend/llama_cpp/llama_cpp.h"

#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "conformance/backend_conformance.h"
#include "conformance/recorder.h"
#include "process/port.h"

namespace minerva::backend {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using Outcome = EndEvent::Outcome;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool can_run() {
  return !variable("MINERVA_LLAMA_SERVER").empty() && !variable("MINERVA_SAMPLE_SMOLLM2").empty();
}

LlamaOptions llama_options() {
  LlamaOptions options;
  options.program = variable("MINERVA_LLAMA_SERVER");
  options.guard = {GUARD_PROGRAM, "guard"};
  options.environment = {"PATH=/usr/bin:/bin", "LLAMA_ARG_CTX_SIZE=17", "LLAMA_API_KEY=stolen"};
  options.threads = 2;
  options.prompt_cache_mib = 0;
  return options;
}

ModelSpec sample() {
  ModelSpec spec;
  spec.name = "smollm2";
  spec.format = ModelFormat::Gguf;
  spec.path = variable("MINERVA_SAMPLE_SMOLLM2");
  spec.trained_context = 8192;
  spec.kv_bytes_per_token = 23040;
  return spec;
}

std::vector<Subject> subjects() {
  if (!can_run()) return {};
  static UpstreamLoop loop;
  Subject subject;
  subject.name = "smollm2";
  subject.spec = sample();
  subject.end_token = token_of("<|im_end|>");
  subject.make = [](const Clock& clock) {
    return *LlamaCppKind(llama_options(), loop, clock).make();
  };
  return {subject};
}

INSTANTIATE_TEST_SUITE_P(LlamaCpp, BackendConformance, ::testing::ValuesIn(subjects()),
                         subject_name);

TEST(LlamaCppSample, IsThere) {
  if (!can_run()) {
    GTEST_SKIP() << "NOT RUN: MINERVA_LLAMA_SERVER or MINERVA_SAMPLE_SMOLLM2 is not set";
  }
}

class LlamaServer : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_run()) {
      GTEST_SKIP() << "NOT RUN: MINERVA_LLAMA_SERVER or MINERVA_SAMPLE_SMOLLM2 is not set";
    }
    kind_ = std::make_unique<LlamaCppKind>(llama_options(), loop_, clock_);
    engine_ = *kind_->make();
    const auto loaded = engine_->load_model(sample(), 512);
    ASSERT_TRUE(loaded) << loaded.error().message;
  }
  GenerateRequest ask(std::string_view text, std::uint64_t max_tokens) {
    GenerateRequest request;
    request.prompt.emplace_back(std::string(text));
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    request.ignore_end_of_generation = true;
    return request;
  }
  std::string proc(const char* file) {
    std::ifstream in("/proc/" + std::to_string(engine_->usage().pid) + "/" + file,
                     std::ios::binary);
    std::string all((std::istreambuf_iterator<char>(in)), {});
    std::ranges::replace(all, '\0', ' ');
    return " " + all;
  }
  // Until it generates.
  static void wait_for_token(GenerationStream& stream) {
    while (const auto event = stream.pop_for(std::chrono::minutes(1))) {
      if (std::holds_alternative<TokenEvent>(*event)) return;
    }
    ADD_FAILURE() << "no token within a minute";
  }

  UpstreamLoop loop_;
  SteadyClock clock_;
  std::unique_ptr<LlamaCppKind> kind_;
  std::unique_ptr<InferenceBackend> engine_;
};

TEST_F(LlamaServer, RunsWithWhatWeGaveItAndNothingElse) {
  const std::string command = proc("cmdline");
  for (const char* wanted : {" --no-slots ", " --no-webui ", " --offline ", " --api-key-file "}) {
    EXPECT_THAT(command, HasSubstr(wanted));
  }
  EXPECT_THAT(command, HasSubstr(" -m " + sample().path + " "));
  for (const char* never : {" -hf", " --rpc", " --slot-save-path", " --sleep-idle-seconds",
                            " --tools", " --agent", " --api-key "}) {
    EXPECT_THAT(command, Not(HasSubstr(never)));
  }
  const std::string environment = proc("environ");
  EXPECT_THAT(environment, Not(HasSubstr("LLAMA_")));
  EXPECT_THAT(environment, HasSubstr(" PATH=/usr/bin:/bin "));
  EXPECT_THAT(environment, HasSubstr(" HOME="));
}

TEST_F(LlamaServer, AnswersNobodyWithoutTheKey) {
  const std::string command = proc("cmdline");
  const std::size_t at = command.find(" --host ") + 8;
  UpstreamOptions options;
  options.name = "intruder";
  options.address.socket_path = command.substr(at, command.find(' ', at) - at);
  EXPECT_EQ(
      std::filesystem::status(std::filesystem::path(options.address.socket_path).parent_path())
              .permissions() &
          std::filesystem::perms::mask,
      std::filesystem::perms::owner_all);
  const auto upstream = *Upstream::make(std::move(options), loop_);
  UpstreamRequest request;
  request.path = "/completion";
  request.body = "{\"prompt\":\"a\"}";
  request.total_max = std::chrono::seconds(30);
  EXPECT_EQ(upstream->exchange(request).value().status, 401U);
}

// It hangs for ever on a single SIGTERM while it computes; cancelled first, it ends in good order.
TEST_F(LlamaServer, StopsInGoodOrderWhileItIsBusy) {
  std::vector<std::shared_ptr<GenerationStream>> streams;
  for (int i = 0; i < 3; ++i) {
    streams.push_back(std::make_shared<GenerationStream>());
    ASSERT_TRUE(engine_->generate(ask("Once upon a time", 400), streams.back()));
  }
  for (const auto& stream : streams) wait_for_token(*stream);
  engine_->stop(Duration::zero());
  for (const auto& stream : streams) EXPECT_EQ(record(*stream).end->outcome, Outcome::Cancelled);
  EXPECT_FALSE(engine_->is_loaded());
  EXPECT_THAT(engine_->last_log_lines(5), Contains("[ended: exit code 0]"));
}

TEST_F(LlamaServer, KilledItFailsWhatRunsAndCanBeLoadedAgain) {
  const auto stream = std::make_shared<GenerationStream>();
  ASSERT_TRUE(engine_->generate(ask("Once upon a time", 400), stream));
  wait_for_token(*stream);
  ASSERT_EQ(::kill(static_cast<pid_t>(engine_->usage().pid), SIGKILL), 0);
  const Recording got = record(*stream);
  EXPECT_EQ(got.end->outcome, Outcome::Failed);
  EXPECT_EQ(got.end->error.value().code, ErrorCode::Unavailable);
  ASSERT_TRUE(engine_->load_model(sample(), 512));
  EXPECT_EQ(run(*engine_, ask("Once upon a time", 5)).token_count(), 5U);
}

TEST_F(LlamaServer, StoppedItIsCancelledAndKilled) {
  const auto stream = std::make_shared<GenerationStream>();
  ASSERT_TRUE(engine_->generate(ask("Once upon a time", 400), stream));
  wait_for_token(*stream);
  ASSERT_EQ(::kill(static_cast<pid_t>(engine_->usage().pid), SIGSTOP), 0);
  stream->cancel();
  EXPECT_EQ(record(*stream).end->outcome, Outcome::Cancelled);
  engine_->kill();
  EXPECT_FALSE(engine_->is_loaded());
  EXPECT_TRUE(engine_->unload_model());
}

// Of a character's tokens it names the last one only.
TEST_F(LlamaServer, CharactersOfSeveralTokensHaveAllOfTheirIds) {
  const std::string text = "漢字😀 漢字😀 漢字😀 漢字😀 漢字😀 漢字";
  const auto got = run(*engine_, ask(text, 24));
  EXPECT_THAT(got.bytes(), HasSubstr("😀"));
  const auto ids = got.ids();
  ASSERT_EQ(ids.size(), 24U);
  // Whatever a cut character at the end leaves without an id.
  const auto known = std::ranges::find(ids, -1);
  EXPECT_GE(known - ids.begin(), 20);
  const std::string whole = engine_->detokenize(std::vector<TokenId>(ids.begin(), known)).value();
  EXPECT_EQ(got.bytes().substr(0, whole.size()), whole);
  EXPECT_EQ(got.end->usage.completion_tokens, 24U);
}

TEST_F(LlamaServer, WhatItWouldIgnoreNeverReachesIt) {
  const auto pid = engine_->usage().pid;
  for (const auto kind : {ConstraintSpec::Kind::JsonObject, ConstraintSpec::Kind::JsonSchema,
                          ConstraintSpec::Kind::Regex, ConstraintSpec::Kind::Grammar}) {
    GenerateRequest request = ask("a", 5);
    request.constraint = ConstraintSpec{kind, std::string(60'000, '(')};
    const auto refused =
        engine_->generate(std::move(request), std::make_shared<GenerationStream>());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::Unsupported);
  }
  EXPECT_EQ(run(*engine_, ask("a", 5)).token_count(), 5U);
  EXPECT_EQ(engine_->usage().pid, pid);
}

TEST_F(LlamaServer, SaysWhatItFoundInItsCache) {
  const std::string text = "The quick brown fox jumps over the lazy dog, and then it goes home.";
  const auto first = run(*engine_, ask(text, 4)).end->usage;
  const auto second = run(*engine_, ask(text, 4)).end->usage;
  EXPECT_EQ(first.prompt_tokens, second.prompt_tokens);
  EXPECT_GT(second.cached_tokens, first.prompt_tokens / 2);
}

// A vocabulary that only it can read.
TEST_F(LlamaServer, TokenizesWhereWeCannot) {
  const std::string text = "The quick brown fox é";
  const auto ours = engine_->tokenize(text, {});
  const auto answer = run(*engine_, ask(text, 8));
  engine_->kill();
  LlamaOptions options = llama_options();
  options.vocabulary = [](const ModelSpec&) -> Result<std::shared_ptr<const text::Tokenizer>> {
    return fail(ErrorCode::Unsupported, "a kind of tokenizer that is not here");
  };
  const auto alone = *LlamaCppKind(options, loop_, clock_).make();
  ASSERT_TRUE(alone->load_model(sample(), 512));
  EXPECT_EQ(alone->capabilities().tokenize, Support::Yes);
  EXPECT_EQ(alone->tokenize(text, {}).value(), *ours);
  EXPECT_EQ(alone->detokenize(*ours).value(), text);
  const auto got = run(*alone, ask(text, 8));
  EXPECT_EQ(got.ids(), answer.ids());
  EXPECT_EQ(got.bytes(), answer.bytes());
  EXPECT_EQ(got.end->usage.prompt_tokens, ours->size());
}

TEST_F(LlamaServer, AFileThatItCannotLoad) {
  const auto folder = process::PrivateFolder::make("minerva-junk-");
  ASSERT_TRUE(folder);
  ModelSpec junk = sample();
  junk.path = *folder->write_secret("junk.gguf", "GGUF, it says, and is none");
  const auto engine = *kind_->make();
  const auto refused = engine->load_model(junk, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Unavailable);
  EXPECT_EQ(refused.error().origin, "llama_cpp");
  EXPECT_THAT(refused.error().message, HasSubstr("exit code 1"));
  EXPECT_THAT(refused.error().message, Not(HasSubstr(folder->path())));
}

TEST_F(LlamaServer, ItsProgramIsAskedOnce) {
  const Availability found = kind_->probe(std::chrono::minutes(1));
  EXPECT_TRUE(found.available) << found.why_not;
  EXPECT_FALSE(found.version.empty());
  EXPECT_FALSE(found.device.empty());
  EXPECT_EQ(found.path, variable("MINERVA_LLAMA_SERVER"));
  // The answer is kept, so no time is needed.
  EXPECT_TRUE(kind_->probe(Duration::zero()).available);
}

}  // namespace
}  // namespace minerva::backend
