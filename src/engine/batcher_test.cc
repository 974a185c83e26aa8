// Continuous batching under every kind of disturbance: answers stay those of a request alone, and
// every page comes back.
#include "engine/batcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <random>

#include "formats/gguf.h"
#include "support/tiny_arch.h"
#include "support/tiny_delta.h"
#include "support/tiny_model.h"

namespace minerva::engine {
namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 60s;  // for a hung batcher only

// Collects an answer; the test decides when it pauses and cancels.
class Collector final : public BatchSink {
 public:
  enum class End { None, Finished, Failed, Cancelled };

  bool cancelled() const override { return cancel_now.load(); }
  bool paused() const override { return pause_now.load(); }
  void prefill(std::size_t, std::size_t) override { ++prefills; }
  void token(std::uint32_t choice, TokenId id, const Logprobs* logprobs) override {
    const std::lock_guard lock(mutex_);
    if (choices.size() <= choice) choices.resize(choice + 1);
    choices[choice].push_back(id);
    if (logprobs != nullptr) logprob_sum += static_cast<double>(logprobs->chosen);
    ++count_;
    if (cancel_after != 0 && count_ >= cancel_after) cancel_now = true;
    changed_.notify_all();
  }
  void choice_end(std::uint32_t, StopReason reason) override { reasons.push_back(reason); }
  void embedding(std::span<const float> values) override {
    vectors.emplace_back(values.begin(), values.end());
  }
  void finished(const BatchUsage& usage) override { ended(End::Finished, usage); }
  void failed(Error e, const BatchUsage& usage) override {
    error = std::move(e);
    ended(End::Failed, usage);
  }
  void cancelled_end(const BatchUsage& usage) override { ended(End::Cancelled, usage); }

  End wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [this] { return end_ != End::None; }));
    return end_;
  }
  void wait_tokens(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return count_ >= count; }));
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

  std::vector<std::vector<TokenId>> choices;
  std::vector<StopReason> reasons;
  std::vector<std::vector<float>> vectors;
  std::atomic<bool> cancel_now{false}, pause_now{false};
  std::size_t cancel_after = 0;
  std::atomic<int> prefills{0};
  double logprob_sum = 0;
  Error error;
  BatchUsage usage;
  std::atomic<int> ends{0};

 private:
  void ended(End end, const BatchUsage& u) {
    const std::lock_guard lock(mutex_);
    usage = u;
    end_ = end;
    ++ends;
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t count_ = 0;
  End end_ = End::None;
};

// Runs any sequences, in any chunks, and takes pages from anybody but the oldest.
class RandomScheduler final : public Scheduler {
 public:
  explicit RandomScheduler(unsigned seed) : random_(seed) {}
  std::vector<std::size_t> plan(std::span<const Runnable> runnable) override {
    std::vector<std::size_t> counts(runnable.size(), 0);
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (random_() % 3 != 0) counts[i] = 1 + random_() % runnable[i].pending;
    }
    if (!counts.empty()) {
      const std::size_t one = random_() % counts.size();  // somebody always runs
      counts[one] = std::max<std::size_t>(counts[one], 1);
    }
    return counts;
  }
  std::size_t victim(std::span<const Runnable> runnable) override {
    // Never the oldest, so that the whole ends: it alone could take pages from others for ever.
    return runnable.size() < 2 ? 0 : 1 + random_() % (runnable.size() - 1);
  }

 private:
  std::mt19937 random_;
};

struct RigOptions {
  test::TinyModel model = {.type = formats::DType::Q8_0, .layers = 2};
  std::string path;         // a file in place of `model`
  std::string named;        // or a model of tiny_arch.h
  std::string with_states;  // or one of tiny_delta.h
  unsigned threads = 1;
  std::size_t context = 256;
  std::size_t pool_contexts = 8;  // full contexts that the pool holds
  std::size_t waiting_max = 512;
  Duration paused_max = 60s;
  std::unique_ptr<Scheduler> scheduler = std::make_unique<FairScheduler>(ScheduleLimits{});
};

class Bench {
 public:
  explicit Bench(RigOptions setup = {}) : pool_(setup.threads) {
    const auto made = [&] {
      if (!setup.with_states.empty()) {
        return test::tiny_delta(
            {.architecture = setup.with_states, .vocabulary = test::kTinyVocabulary});
      }
      return setup.named.empty() ? test::tiny_model(setup.model)
                                 : test::tiny_arch(setup.named, formats::DType::Q8_0);
    };
    auto file = setup.path.empty() ? formats::GgufFile::parse(made().bytes()).value()
                                   : formats::GgufFile::open(setup.path).value();
    auto model = Model::load(file, Numerics::Exact, pool_).value();
    KvLayout layout(model->config());
    const auto bytes = layout.bytes_for(setup.context) * setup.pool_contexts;
    kv_ = KvPool::create(std::move(layout), bytes, setup.context).value();
    kv_->poison_freed_pages(true);
    auto decoder =
        std::make_unique<Decoder>(model, *kv_, pool_, kernels::best_kernels(), Decoder::Limits{});
    Batcher::Options options;
    options.context = setup.context;
    options.vocabulary = std::min(test::kTinyVocabulary, model->config().vocabulary);
    options.waiting_max = setup.waiting_max;
    options.paused_max = setup.paused_max;
    options.end_of_generation = {test::kTinyEnd};
    batcher_ = std::make_unique<Batcher>(std::move(decoder), *kv_, std::move(setup.scheduler),
                                         kernels::best_kernels(), options, clock, metrics_);
  }

  std::shared_ptr<Collector> submit(BatchRequest request) {
    auto sink = std::make_shared<Collector>();
    return submit(std::move(request), sink) ? sink : nullptr;
  }
  bool submit(BatchRequest request, std::shared_ptr<Collector> sink) {
    request.sink = std::move(sink);
    last = batcher_->submit(std::move(request));
    return last.has_value();
  }
  Batcher& batcher() { return *batcher_; }
  std::size_t used_pages() const { return kv_->used_pages(); }
  void expect_no_pages_left() {
    // The last page is given back just after the end is told.
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while ((used_pages() != 0 || batcher_->active() != 0) &&
           std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(used_pages(), 0u);
  }

  FakeClock clock;
  Result<void> last;

 private:
  NoMetrics metrics_;
  ComputePool pool_;
  std::unique_ptr<KvPool> kv_;
  std::unique_ptr<Batcher> batcher_;
};

BatchRequest request(std::size_t prompt, unsigned seed, std::size_t max_tokens = 24) {
  std::mt19937 random(seed);
  BatchRequest r;
  for (std::size_t i = 0; i < prompt; ++i) {
    r.prompt.push_back(static_cast<TokenId>(random() % 256));
  }
  r.sampling.temperature = seed % 2 == 0 ? 0.0F : 0.9F;
  r.sampling.top_p = 0.95F;
  r.sampling.repetition_penalty = 1.1F;
  r.sampling.seed = seed;
  r.max_tokens = max_tokens;
  r.ignore_end_of_generation = true;  // a random model may end at any token
  return r;
}

std::vector<TokenId> alone(std::size_t prompt, unsigned seed, std::size_t max_tokens = 24,
                           const std::string& with_states = {}) {
  RigOptions setup;
  setup.with_states = with_states;
  Bench bench(std::move(setup));
  const auto sink = bench.submit(request(prompt, seed, max_tokens));
  EXPECT_EQ(sink->wait(), Collector::End::Finished);
  return sink->choices.at(0);
}

TEST(Batcher, StopsAtMaxTokens) {
  Bench bench;
  const auto sink = bench.submit(request(10, 2, 5));
  EXPECT_EQ(sink->wait(), Collector::End::Finished);
  EXPECT_EQ(sink->choices.at(0).size(), 5u);
  EXPECT_EQ(sink->reasons, std::vector{StopReason::Length});
  EXPECT_EQ(sink->usage.prompt_tokens, 10u);
  EXPECT_EQ(sink->usage.generated_tokens, 5u);
  bench.expect_no_pages_left();
}

TEST(Batcher, StopsAtTheContextsEnd) {
  Bench bench;
  const auto sink = bench.submit(request(250, 4, 100));
  EXPECT_EQ(sink->wait(), Collector::End::Finished);
  EXPECT_EQ(sink->choices.at(0).size(), 6u);
  EXPECT_EQ(sink->reasons, std::vector{StopReason::Length});
}

TEST(Batcher, StopsAtTheEndToken) {
  Bench bench;
  BatchRequest r = request(10, 6);
  r.ignore_end_of_generation = false;
  r.sampling.logit_bias = {{test::kTinyEnd, 1000.0F}};
  const auto sink = bench.submit(std::move(r));
  EXPECT_EQ(sink->wait(), Collector::End::Finished);
  EXPECT_TRUE(sink->choices.empty()) << "the end token is not text";
  EXPECT_EQ(sink->reasons, std::vector{StopReason::EndOfGeneration});

  BatchRequest on = request(10, 6, 3);
  on.sampling.logit_bias = {{test::kTinyEnd, 1000.0F}};
  const auto more = bench.submit(std::move(on));
  EXPECT_EQ(more->wait(), Collector::End::Finished);
  EXPECT_EQ(more->choices.at(0).size(), 3u);
}

TEST(Batcher, MaxTokensOfZeroMakesNone) {
  Bench bench;
  const auto sink = bench.submit(request(10, 6, 0));
  EXPECT_EQ(sink->wait(), Collector::End::Finished);
  EXPECT_TRUE(sink->choices.empty());
}

TEST(Batcher, AnswersAreThoseOfARequestAlone) {
  std::vector<std::vector<TokenId>> expected;
  for (unsigned i = 0; i < 16; ++i) expected.push_back(alone(5 + 9 * i, i));
  for (const unsigned threads : {1U, 2U, 3U}) {
    RigOptions setup;
    setup.threads = threads;
    Bench bench(std::move(setup));
    std::vector<std::shared_ptr<Collector>> sinks;
    for (unsigned i = 0; i < 16; ++i) sinks.push_back(bench.submit(request(5 + 9 * i, i)));
    for (unsigned i = 0; i < 16; ++i) {
      EXPECT_EQ(sinks[i]->wait(), Collector::End::Finished);
      EXPECT_EQ(sinks[i]->choices.at(0), expected[i]) << "request " << i;
    }
    bench.expect_no_pages_left();
  }
}

// The architecture of a model with states, or nothing.
class RandomSchedules : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, RandomSchedules, testing::Values("", "qwen35"),
                         [](const auto& tested) {
                           return tested.param[0] == 0 ? std::string("plain") : tested.param;
                         });

// Random chunks, pauses, cancels and preemption (a pool of two contexts for a dozen requests).
TEST_P(RandomSchedules, ChangeNoAnswer) {
  std::vector<std::vector<TokenId>> expected;
  for (unsigned i = 0; i < 12; ++i) expected.push_back(alone(20 + 13 * i, i, 24, GetParam()));
  // A page of states is the whole past, which takes longer to compute again.
  const bool states = GetParam()[0] != 0;
  for (unsigned round = 0; round < (states ? 2 : 6); ++round) {
    RigOptions setup;
    setup.pool_contexts = states ? 6 : 2;
    setup.threads = 1 + round % 3;
    setup.scheduler = std::make_unique<RandomScheduler>(round);
    setup.with_states = GetParam();
    Bench bench(std::move(setup));
    std::mt19937 random(round);
    std::vector<std::shared_ptr<Collector>> sinks;
    std::vector<std::shared_ptr<Collector>> cancelled;
    for (unsigned i = 0; i < 12; ++i) {
      sinks.push_back(bench.submit(request(20 + 13 * i, i)));
      if (random() % 2 == 0) {
        auto sink = std::make_shared<Collector>();
        sink->cancel_after = 1 + random() % 5;
        ASSERT_TRUE(bench.submit(request(30, 99), sink));
        cancelled.push_back(std::move(sink));
      }
      if (random() % 3 == 0) {
        sinks.back()->pause_now = true;
      }
    }
    for (const auto& sink : sinks) {
      sink->pause_now = false;
      bench.batcher().wake();
    }
    for (unsigned i = 0; i < 12; ++i) {
      EXPECT_EQ(sinks[i]->wait(), Collector::End::Finished);
      EXPECT_EQ(sinks[i]->choices.at(0), expected[i]) << "round " << round << ", request " << i;
    }
    for (const auto& sink : cancelled) {
      EXPECT_EQ(sink->wait(), Collector::End::Cancelled);
      EXPECT_LE(sink->choices.at(0).size(), sink->cancel_after);
    }
    bench.expect_no_pages_left();
  }
}

class Vectors : public ::testing::TestWithParam<std::string> {};

// Keys and values of their own, latents, convolutions, and states.
INSTANTIATE_TEST_SUITE_P(Models, Vectors, ::testing::Values("llama", "deepseek2", "lfm2", "qwen35"),
                         [](const auto& info) { return info.param; });

// Of a text alone, and beside others in random chunks with its pages taken away again and again.
TEST_P(Vectors, SurviveRandomSchedules) {
  const auto setup_of = [] {
    RigOptions setup;
    if (GetParam() == "lfm2" || GetParam() == "qwen35") setup.named = GetParam();
    if (GetParam() == "deepseek2") {
      setup.model.architecture = "deepseek2";
      setup.model.experts = 4;
      setup.model.query_rank = 32;
    }
    return setup;
  };
  const auto ask = [](Pooling pooling, unsigned i) {
    BatchRequest r = request(20 + 13 * i, i);
    for (TokenId& id : r.prompt) id %= 80;  // all of these models have so many
    r.embed = pooling;
    return r;
  };
  constexpr Pooling kAll[] = {Pooling::Mean, Pooling::Cls, Pooling::Last};
  std::vector<std::vector<float>> expected;
  for (unsigned i = 0; i < 12; ++i) {
    Bench bench(setup_of());
    const auto sink = bench.submit(ask(kAll[i % 3], i));
    EXPECT_EQ(sink->wait(), Collector::End::Finished);
    ASSERT_EQ(sink->vectors.size(), 1U);
    expected.push_back(sink->vectors[0]);
  }
  const auto ask_for_text = [] {
    BatchRequest r = request(20, 0);
    for (TokenId& id : r.prompt) id %= 80;
    return r;
  };
  Bench quiet(setup_of());
  const auto without = quiet.submit(ask_for_text());
  EXPECT_EQ(without->wait(), Collector::End::Finished);
  for (unsigned round = 0; round < 4; ++round) {
    RigOptions setup = setup_of();
    setup.pool_contexts = 2;
    setup.threads = 1 + round % 3;
    setup.scheduler = std::make_unique<RandomScheduler>(round);
    Bench bench(std::move(setup));
    std::vector<std::shared_ptr<Collector>> sinks;
    for (unsigned i = 0; i < 12; ++i) sinks.push_back(bench.submit(ask(kAll[i % 3], i)));
    const auto answer = bench.submit(ask_for_text());
    for (unsigned i = 0; i < 12; ++i) {
      EXPECT_EQ(sinks[i]->wait(), Collector::End::Finished);
      ASSERT_EQ(sinks[i]->vectors.size(), 1U);
      EXPECT_EQ(sinks[i]->vectors[0], expected[i]) << "round " << round << ", text " << i;
    }
    EXPECT_EQ(answer->wait(), Collector::End::Finished);
    EXPECT_EQ(answer->choices.at(0), without->choices.at(0));
    bench.expect_no_pages_left();
  }
}

// Its keys and values take twice the room of an answer's.
TEST(Batcher, ATextThatThePoolCannotHoldFails) {
  RigOptions setup;
  setup.pool_contexts = 1;
  Bench bench(std::move(setup));
  for (const std::size_t tokens : {128U, 129U}) {
    BatchRequest ask = request(tokens, 1);
    ask.embed = Pooling::Last;
    const auto sink = bench.submit(std::move(ask));
    EXPECT_EQ(sink->wait(), tokens == 128 ? Collector::End::Finished : Collector::End::Failed);
    EXPECT_EQ(sink->vectors.size(), tokens == 128 ? 1U : 0U);
    if (tokens > 128) {
      EXPECT_EQ(sink->error.code, ErrorCode::OutOfMemory);
    }
  }
  bench.expect_no_pages_left();
}

TEST_P(RandomSchedules, ChoicesShareThePromptAndDiffer) {
  BatchRequest r = request(40, 3);
  r.n = 4;
  r.sampling.temperature = 1.5F;
  RigOptions setup;
  setup.with_states = GetParam();
  Bench bench(std::move(setup));
  const auto sink = bench.submit(std::move(r));
  EXPECT_EQ(sink->wait(), Collector::End::Finished);
  ASSERT_EQ(sink->choices.size(), 4u);
  EXPECT_NE(sink->choices[0], sink->choices[1]);
  EXPECT_EQ(sink->reasons.size(), 4u);
  bench.expect_no_pages_left();

  // Choice 0 is what n = 1 gives, and greedy choices are all alike.
  BatchRequest one = request(40, 3);
  one.sampling.temperature = 1.5F;
  const auto single = bench.submit(std::move(one));
  EXPECT_EQ(single->wait(), Collector::End::Finished);
  EXPECT_EQ(single->choices[0], sink->choices[0]);
  BatchRequest greedy = request(40, 2);
  greedy.n = 3;
  const auto alike = bench.submit(std::move(greedy));
  EXPECT_EQ(alike->wait(), Collector::End::Finished);
  EXPECT_EQ(alike->choices[0], alike->choices[2]);
  EXPECT_EQ(alike->choices[0], alone(40, 2, 24, GetParam()));
}

// Allows every token, and fails from the `fails_at`th on, counted over all copies.
class FailingMask final : public LogitMask {
 public:
  FailingMask(std::shared_ptr<int> tokens, int fails_at) : tokens_(tokens), fails_at_(fails_at) {}
  Result<void> prepare() override { return {}; }
  void apply(std::span<float>) override {}
  Result<void> accept(TokenId) override {
    if (++*tokens_ < fails_at_) return {};
    return fail(ErrorCode::Internal, "the mask has failed");
  }
  Result<void> rollback(std::size_t) override { return {}; }
  std::unique_ptr<LogitMask> fork() const override {
    return std::make_unique<FailingMask>(tokens_, fails_at_);
  }

 private:
  std::shared_ptr<int> tokens_;
  int fails_at_;
};

TEST(Batcher, AMaskThatFailsEndsEveryChoice) {
  Bench bench;
  // While the second of four choices begins, and once all run.
  for (const int fails_at : {2, 9}) {
    BatchRequest r = request(40, 3);
    r.n = 4;
    r.mask = std::make_unique<FailingMask>(std::make_shared<int>(0), fails_at);
    const auto sink = bench.submit(std::move(r));
    EXPECT_EQ(sink->wait(), Collector::End::Failed);
    EXPECT_EQ(sink->error.message, "the mask has failed");
    EXPECT_EQ(sink->ends, 1);
    bench.expect_no_pages_left();
  }
  // Nothing of them runs on beside another request.
  const std::uint64_t before = bench.batcher().steps();
  const auto next = bench.submit(request(40, 2));
  EXPECT_EQ(next->wait(), Collector::End::Finished);
  EXPECT_EQ(next->choices[0], alone(40, 2));
  EXPECT_LE(bench.batcher().steps() - before, 30U);
}

TEST(Batcher, ResumesBehindWhatWasSaidAlready) {
  for (const unsigned seed : {2U, 3U}) {
    const auto whole = alone(30, seed);
    Bench bench;
    BatchRequest r = request(30, seed);
    r.resume_prefix.assign(whole.begin(), whole.begin() + 10);
    const auto sink = bench.submit(std::move(r));
    EXPECT_EQ(sink->wait(), Collector::End::Finished);
    EXPECT_EQ(sink->choices.at(0), std::vector<TokenId>(whole.begin() + 10, whole.end()));
  }
}

TEST(Batcher, CancelFreesPagesWhileOthersGoOn) {
  Bench bench;
  auto doomed = std::make_shared<Collector>();
  doomed->cancel_after = 3;  // by itself: a cancel from here might come too late
  ASSERT_TRUE(bench.submit(request(100, 2, 150), doomed));
  const auto other = bench.submit(request(40, 4));
  EXPECT_EQ(doomed->wait(), Collector::End::Cancelled);
  EXPECT_EQ(doomed->ends, 1);
  EXPECT_EQ(doomed->choices.at(0).size(), 3u);
  EXPECT_EQ(other->wait(), Collector::End::Finished);
  EXPECT_EQ(other->choices.at(0), alone(40, 4));
  bench.expect_no_pages_left();
}

TEST(Batcher, ASlowReaderPausesAloneAndKeepsItsPlace) {
  const auto expected = alone(30, 2);
  Bench bench;
  auto slow = std::make_shared<Collector>();
  slow->pause_now = true;
  ASSERT_TRUE(bench.submit(request(30, 2), slow));
  const auto other = bench.submit(request(40, 4));
  EXPECT_EQ(other->wait(), Collector::End::Finished);
  EXPECT_EQ(slow->count(), 0u);
  slow->pause_now = false;
  bench.batcher().wake();
  EXPECT_EQ(slow->wait(), Collector::End::Finished);
  EXPECT_EQ(slow->choices.at(0), expected);
}

TEST(Batcher, AReaderThatNeverReadsIsCutOff) {
  RigOptions setup;
  setup.paused_max = 10s;
  Bench bench(std::move(setup));
  auto slow = std::make_shared<Collector>();
  slow->pause_now = true;
  ASSERT_TRUE(bench.submit(request(30, 2), slow));
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  // Time passes only here; the batcher looks at it every 50 ms.
  while (slow->ends == 0 && std::chrono::steady_clock::now() < deadline) {
    bench.clock.advance(1s);
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(slow->wait(), Collector::End::Failed);
  EXPECT_EQ(slow->error.code, ErrorCode::Timeout);
  bench.expect_no_pages_left();
}

TEST(Batcher, DeadlinesEndARequest) {
  Bench bench;
  BatchRequest r = request(30, 2, 200);
  r.deadline = bench.clock.now() - 1s;
  const auto sink = bench.submit(std::move(r));
  EXPECT_EQ(sink->wait(), Collector::End::Failed);
  EXPECT_EQ(sink->error.code, ErrorCode::Timeout);
  bench.expect_no_pages_left();
}

TEST(Batcher, AFullQueueRefuses) {
  RigOptions setup;
  setup.waiting_max = 2;
  Bench bench(std::move(setup));
  auto stuck = std::make_shared<Collector>();
  stuck->pause_now = true;
  ASSERT_TRUE(bench.submit(request(10, 2), stuck));
  ASSERT_TRUE(bench.submit(request(10, 2), stuck));
  EXPECT_EQ(bench.submit(request(10, 2)), nullptr);
  EXPECT_EQ(bench.last.error().code, ErrorCode::QueueFull);
}

TEST(Batcher, StoppingEndsEveryRequestOnce) {
  Bench bench;
  std::vector<std::shared_ptr<Collector>> sinks;
  for (unsigned i = 0; i < 8; ++i) sinks.push_back(bench.submit(request(30, i, 200)));
  sinks[0]->wait_tokens(1);
  bench.batcher().stop();
  for (const auto& sink : sinks) {
    const auto end = sink->wait();
    EXPECT_TRUE(end == Collector::End::Failed || end == Collector::End::Finished);
    EXPECT_EQ(sink->ends, 1);
  }
  EXPECT_EQ(bench.submit(request(10, 1)), nullptr);
  EXPECT_EQ(bench.last.error().code, ErrorCode::Unavailable);
}

TEST(Batcher, AModelFileCutShortFailsRequestsAndNothingElse) {
  test::TempFolder folder;
  const auto path = folder.path() / "tiny.gguf";
  test::write_file(path, test::tiny_model({.type = formats::DType::Q8_0}).bytes());
  RigOptions setup;
  setup.path = path.string();
  Bench bench(std::move(setup));
  const auto before = bench.submit(request(10, 2, 4));
  EXPECT_EQ(before->wait(), Collector::End::Finished);
  std::filesystem::resize_file(path, 4096);
  for (int again = 0; again < 2; ++again) {
    const auto sink = bench.submit(request(10, 2, 4));
    EXPECT_EQ(sink->wait(), Collector::End::Failed);
    EXPECT_EQ(sink->error.code, ErrorCode::InvalidModel);
    EXPECT_TRUE(sink->choices.empty());
  }
  bench.expect_no_pages_left();
}

TEST(Batcher, LogprobsComeWithTheTokens) {
  Bench bench;
  BatchRequest r = request(10, 3, 8);
  r.logprobs = 2;
  const auto with = bench.submit(std::move(r));
  EXPECT_EQ(with->wait(), Collector::End::Finished);
  EXPECT_LT(with->logprob_sum, 0);
  EXPECT_EQ(with->choices.at(0), alone(10, 3, 8)) << "asking changes nothing";
}

}  // namespace
}  // namespace minerva::engine
