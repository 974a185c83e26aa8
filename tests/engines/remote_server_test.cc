// Remote servers that are really processes: fake_engine with its faults, another Minerva, and TLS
// in front of one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/fake/fake_model.h"
#include "backend/remote/remote_kind.h"
#include "base/utf8.h"
#include "engines/engine_fixture.h"
#include "process/child.h"
#include "process/port.h"
#include "support/gguf_writer.h"
#include "support/listening_program.h"
#include "support/tiny_model.h"

namespace minerva::backend {
namespace {

using ::testing::HasSubstr;
using Outcome = EndEvent::Outcome;

class RemoteServerTest : public ::testing::Test {
 protected:
  std::uint16_t fake(std::vector<std::string> flags = {}, std::uint16_t port = 0) {
    if (port == 0) port = test::a_port();
    std::vector<std::string> argv = {FAKE_ENGINE, "--port", std::to_string(port)};
    argv.insert(argv.end(), flags.begin(), flags.end());
    programs_.push_back(std::make_unique<test::ListeningProgram>(std::move(argv)));
    EXPECT_TRUE(programs_.back()->wait_until_it_listens(port));
    return port;
  }
  static std::string url(std::uint16_t port) {
    return "http://127.0.0.1:" + std::to_string(port) + "/v1";
  }
  void open(std::vector<std::string> urls) {
    options_.name = "x";
    options_.urls = std::move(urls);
    auto kind = RemoteKind::make_kind(options_, loop_, clock_);
    ASSERT_TRUE(kind) << kind.error().message;
    kind_ = std::move(*kind);
    engine_ = kind_->make().value();
  }
  Result<void> load(const std::string& id = "fake") {
    ModelSpec spec;
    spec.name = id;
    spec.path = id;
    spec.format = ModelFormat::Remote;
    return engine_->load_model(spec, 0);
  }
  static std::string expected(std::string_view prompt, std::size_t count) {
    std::string text;
    for (const TokenId id : FakeModel(0).greedy(FakeModel::encode(prompt), count)) {
      text.push_back(static_cast<char>(id));
    }
    // It sends whole characters, and at its end what is left of one.
    return utf8_replace_invalid(text);
  }
  RemoteBackend& remote() { return dynamic_cast<RemoteBackend&>(*engine_); }

  UpstreamLoop loop_;
  const SteadyClock clock_;
  std::vector<std::unique_ptr<test::ListeningProgram>> programs_;
  RemoteOptions options_;
  std::unique_ptr<RemoteKind> kind_;
  std::unique_ptr<InferenceBackend> engine_;
};

const std::vector<std::string> kNoEnd = {"--end-one-in", "0"};

TEST_F(RemoteServerTest, RawPromptsAndConversations) {
  open({url(fake(kNoEnd))});
  const auto done = load();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(engine_->probe().health, Health::Ready);
  const Answer raw = ask(*engine_, greedy_request("hello", 20));
  EXPECT_EQ(raw.end.outcome, Outcome::Done) << raw.end.error.value_or(Error{}).message;
  EXPECT_EQ(raw.text, expected("hello", 20));
  EXPECT_EQ(raw.end.engine, "remote:x");
  EXPECT_EQ(raw.reason, FinishReason::Length);
  GenerateRequest chat = greedy_request("", 20);
  chat.prompt = {ChatPrompt{R"([{"role":"user","content":"hello"}])", ""}};
  const Answer talked = ask(*engine_, chat);
  EXPECT_EQ(talked.end.outcome, Outcome::Done) << talked.end.error.value_or(Error{}).message;
  EXPECT_FALSE(talked.text.empty());
}

TEST_F(RemoteServerTest, ItsModelsAreListedAndNoOthersTaken) {
  open({url(fake())});
  ASSERT_TRUE(load());  // so that it is ready
  const Availability found = kind_->probe(std::chrono::seconds(20));
  EXPECT_TRUE(found.available) << found.why_not;
  const auto models = kind_->own_models(std::chrono::seconds(20));
  ASSERT_EQ(models.size(), 1U);
  EXPECT_FALSE(kind_->objection(models.front()));
  ModelSpec other = models.front();
  other.path = "other";
  EXPECT_TRUE(kind_->objection(other));
  other = models.front();
  other.format = ModelFormat::Gguf;
  EXPECT_TRUE(kind_->objection(other));
}

TEST_F(RemoteServerTest, AServerThatIsAwayIsSaidWithItsReason) {
  open({url(test::a_port())});
  const auto done = load();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::Unavailable);
  EXPECT_FALSE(engine_->is_loaded());
  const Availability found = kind_->probe(std::chrono::seconds(5));
  EXPECT_FALSE(found.available);
  EXPECT_NE(found.why_not, "");
}

// Replicas that fail before their first token cost no request, whichever it would have been.
TEST_F(RemoteServerTest, AFailureBeforeTheFirstTokenGoesToTheNext) {
  std::vector<std::string> cut = kNoEnd;
  cut.insert(cut.end(), {"--hang-at", "0"});
  options_.silence_max = std::chrono::seconds(1);
  std::vector<std::string> dies = kNoEnd;
  dies.insert(dies.end(), {"--die-at", "0"});
  open({url(fake(dies)), url(fake(cut)), url(fake(kNoEnd))});
  ASSERT_TRUE(load());
  for (int i = 0; i < 12; ++i) {
    const std::string prompt = "prompt " + std::to_string(i);
    const Answer answer = ask(*engine_, greedy_request(prompt, 8));
    EXPECT_EQ(answer.end.outcome, Outcome::Done) << answer.end.error.value_or(Error{}).message;
    EXPECT_EQ(answer.text, expected(prompt, 8));
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(remote().running(i), 0U);
}

TEST_F(RemoteServerTest, AFailureBehindTheFirstTokenIsSaid) {
  std::vector<std::string> dies = kNoEnd;
  dies.insert(dies.end(), {"--die-at", "3"});
  open({url(fake(dies)), url(fake(dies))});
  ASSERT_TRUE(load());
  const Answer answer = ask(*engine_, greedy_request("hello", 8));
  EXPECT_EQ(answer.end.outcome, Outcome::Failed);
  EXPECT_EQ(answer.end.error.value().code, ErrorCode::Unavailable);
  EXPECT_EQ(answer.text, expected("hello", 2));  // the third is a part of a character
}

TEST_F(RemoteServerTest, OneThatComesBackIsUsedAgain) {
  const std::uint16_t port = test::a_port();
  open({url(port), url(fake(kNoEnd))});
  ASSERT_TRUE(load());  // with one of two
  programs_.erase(programs_.begin());
  Answer answer = ask(*engine_, greedy_request("hello", 4));
  EXPECT_EQ(answer.end.outcome, Outcome::Failed);
  fake(kNoEnd, port);
  // It is found again in the background, when its breaker lets.
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (answer.end.outcome != Outcome::Done && std::chrono::steady_clock::now() < give_up) {
    const auto stream = std::make_shared<GenerationStream>();
    if (engine_->generate(greedy_request("hello", 4), stream)) answer = read_answer(*stream);
  }
  EXPECT_EQ(answer.end.outcome, Outcome::Done);
  EXPECT_EQ(answer.text, expected("hello", 4));
}

TEST_F(RemoteServerTest, CancellingAndUnloadingEndWhatRuns) {
  std::vector<std::string> slow = kNoEnd;
  slow.insert(slow.end(), {"--hang-at", "2"});
  open({url(fake(slow))});
  ASSERT_TRUE(load());
  const auto begin = [&] {
    auto stream = std::make_shared<GenerationStream>();
    EXPECT_TRUE(engine_->generate(greedy_request("hello", 100), stream));
    while (const auto event = stream->pop_for(std::chrono::minutes(1))) {
      if (std::holds_alternative<TokenEvent>(*event)) break;
    }
    return stream;
  };
  const auto cancelled = begin();
  cancelled->cancel();
  EXPECT_EQ(read_answer(*cancelled).end.outcome, Outcome::Cancelled);
  const auto unloaded = begin();
  EXPECT_TRUE(engine_->unload_model());
  EXPECT_NE(read_answer(*unloaded).end.outcome, Outcome::Done);
  EXPECT_FALSE(engine_->is_loaded());
  EXPECT_TRUE(load());
}

TEST_F(RemoteServerTest, ASlowReaderLosesNothing) {
  open({url(fake(kNoEnd))});
  ASSERT_TRUE(load());
  const auto stream = std::make_shared<GenerationStream>(4);
  ASSERT_TRUE(engine_->generate(greedy_request("hello", 200), stream));
  EXPECT_EQ(ask(*engine_, greedy_request("hello", 20)).text, expected("hello", 20));
  const Answer answer = read_answer(*stream);
  EXPECT_EQ(answer.end.outcome, Outcome::Done);
  EXPECT_EQ(answer.text, expected("hello", 200));
}

TEST_F(RemoteServerTest, OverTlsOnlyWithACertificateThatIsTrusted) {
  const test::TempFolder folder;
  const std::string cert = (folder.path() / "cert.pem").string();
  const std::string key = (folder.path() / "key.pem").string();
  test::ListeningProgram openssl({"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                  "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                                  "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                                  "-keyout", key, "-out", cert});
  ASSERT_TRUE(openssl.child().wait_for(std::chrono::minutes(1)));
  if (!std::filesystem::exists(cert)) GTEST_SKIP() << "NOT RUN: openssl makes no certificate here";
  const std::uint16_t port = test::a_port();
  programs_.push_back(std::make_unique<test::ListeningProgram>(
      std::vector<std::string>{"/usr/bin/python3", MINERVA_SOURCE_DIR "/tests/engines/tls_front.py",
                               std::to_string(port), std::to_string(fake(kNoEnd)), cert, key}));
  ASSERT_TRUE(programs_.back()->wait_until_it_listens(port));
  const std::string by_name = "https://localhost:" + std::to_string(port) + "/v1";

  open({by_name});
  EXPECT_FALSE(load());  // nobody vouches for it
  options_.ca_file = cert;
  open({"https://127.0.0.1:" + std::to_string(port) + "/v1"});
  EXPECT_FALSE(load());  // it is another name's
  open({by_name});
  const auto done = load();
  ASSERT_TRUE(done) << done.error().message;
  const Answer answer = ask(*engine_, greedy_request("hello", 6));
  EXPECT_EQ(answer.text, expected("hello", 6));
  EXPECT_EQ(answer.end.outcome, Outcome::Done) << answer.end.error.value_or(Error{}).message;
}

// Another Minerva, which says what it is and so is asked for more.
class AnotherMinervaTest : public RemoteServerTest {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(home_.path() / "models");
    test::write_file(home_.path() / "models" / "tiny.gguf", test::tiny_model({}).bytes());
    port_ = test::a_port();
    programs_.push_back(std::make_unique<test::ListeningProgram>(
        std::vector<std::string>{MINERVA_BINARY, "serve", "--port", std::to_string(port_),
                                 "--threads", "1", "--kv-memory", "64M", "--log-level", "error"},
        std::vector<std::string>{"MINERVA_HOME=" + home_.path().string(),
                                 "HOME=" + home_.path().string()}));
    ASSERT_TRUE(programs_.back()->wait_until_it_listens(port_));
  }
  const test::TempFolder home_;
  std::uint16_t port_ = 0;
};

TEST_F(AnotherMinervaTest, Answers) {
  open({url(port_)});
  const auto models = kind_->own_models(std::chrono::seconds(60));
  ASSERT_EQ(models.size(), 1U);
  EXPECT_EQ(models.front().name, "tiny");
  EXPECT_EQ(kind_->probe(std::chrono::seconds(60)).version, "minerva");
  ASSERT_TRUE(load("tiny"));
  GenerateRequest request = greedy_request("The quick brown fox", 12);
  request.ignore_end_of_generation = true;
  const Answer first = ask(*engine_, request);
  EXPECT_EQ(first.end.outcome, Outcome::Done) << first.end.error.value_or(Error{}).message;
  EXPECT_EQ(first.end.usage.completion_tokens, 12U);
  EXPECT_GT(first.end.usage.prompt_tokens, 0U);
  EXPECT_EQ(ask(*engine_, request).text, first.text);
  request.sampling.temperature = 1;
  request.sampling.top_k = 1;
  EXPECT_EQ(ask(*engine_, request).text, first.text);
}

TEST_F(AnotherMinervaTest, GivesVectors) {
  open({url(port_)});
  ASSERT_TRUE(load("tiny"));
  EXPECT_EQ(engine_->capabilities().embeddings, Support::BestEffort);
  const auto embed = [&](std::vector<EmbedInput> inputs) {
    EmbedRequest request;
    request.inputs = std::move(inputs);
    const auto stream = std::make_shared<GenerationStream>();
    const auto taken = engine_->embed(std::move(request), stream);
    EXPECT_TRUE(taken) << taken.error().message;
    std::map<std::uint32_t, std::vector<float>> vectors;
    while (taken) {
      auto event = stream->pop_for(std::chrono::seconds(60));
      if (!event) break;
      if (auto* one = std::get_if<EmbeddingEvent>(&*event)) vectors[one->input] = one->values;
      if (const auto* end = std::get_if<EndEvent>(&*event)) {
        EXPECT_EQ(end->outcome, Outcome::Done) << end->error.value_or(Error{}).message;
        EXPECT_EQ(end->engine, "remote:x");
        EXPECT_GT(end->usage.prompt_tokens, 0U);
        break;
      }
    }
    return vectors;
  };
  // More than go into one call.
  std::vector<EmbedInput> many;
  for (int i = 0; i < 70; ++i) many.emplace_back("text " + std::to_string(i));
  const auto all = embed(many);
  ASSERT_EQ(all.size(), many.size());
  EXPECT_EQ(embed({many[69]}).at(0), all.at(69));
  EXPECT_NE(all.at(0), all.at(69));
}

}  // namespace
}  // namespace minerva::backend
