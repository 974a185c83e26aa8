// Many requests at once: each gets its own vectors, whatever shares its steps, and exactly one end.
#include "engine/encode_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <random>

#include "formats/gguf.h"
#include "support/tiny_encoder.h"

namespace minerva::engine {
namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 60s;  // for a hung queue only

class Collector final : public EmbedSink {
 public:
  enum class End { None, Finished, Failed, Cancelled };

  bool cancelled() const override { return cancel_now.load(); }
  void embedding(std::size_t text, std::span<const float> values) override {
    if (hold) hold->wait_for(kPatience);
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(vectors.emplace(text, std::vector(values.begin(), values.end())).second);
    if (cancel_at_first) cancel_now = true;
  }
  void finished(const EmbedUsage& u) override { ended(End::Finished, u, {}); }
  void failed(Error error, const EmbedUsage& u) override {
    ended(End::Failed, u, std::move(error));
  }
  void cancelled_end(const EmbedUsage& u) override { ended(End::Cancelled, u, {}); }

  End wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [this] { return end != End::None; }));
    return end;
  }

  std::atomic<bool> cancel_now{false};
  bool cancel_at_first = false;
  // Where set, no step goes on before this is ready.
  std::optional<std::shared_future<void>> hold;
  std::function<void()> on_end;
  std::map<std::size_t, std::vector<float>> vectors;
  EmbedUsage usage;
  Error error;

 private:
  void ended(End how, const EmbedUsage& given, Error why) {
    {
      const std::lock_guard lock(mutex_);
      EXPECT_EQ(end, End::None) << "a second end";
      end = how;
      usage = given;
      error = std::move(why);
    }
    if (on_end) on_end();
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  End end = End::None;
};
using End = Collector::End;

std::vector<std::vector<TokenId>> texts_of(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::vector<TokenId>> texts(count);
  for (auto& text : texts) {
    text.resize(1 + random() % 40);
    for (TokenId& id : text) id = static_cast<TokenId>(random() % test::kTinyEncoderVocabulary);
  }
  return texts;
}

class EncodeQueueTest : public ::testing::Test {
 protected:
  EncodeQueueTest() {
    file_ = *formats::GgufFile::parse(test::tiny_encoder({}).bytes());
    model_ = *EncoderModel::load(file_, Numerics::Exact, pool_);
  }
  EncodeQueue& open(EncodeQueue::Options options) {
    queue_ = std::make_unique<EncodeQueue>(
        std::make_unique<Encoder>(model_, pool_, kernels::best_kernels()), options, clock_,
        metrics_);
    return *queue_;
  }
  static std::shared_ptr<Collector> submit(
      EncodeQueue& queue, std::vector<std::vector<TokenId>> texts,
      std::optional<TimePoint> deadline = {},
      std::shared_ptr<Collector> sink = std::make_shared<Collector>()) {
    const auto taken = queue.submit({std::move(texts), deadline, sink});
    EXPECT_TRUE(taken.has_value()) << taken.error().message;
    return sink;
  }
  std::vector<float> alone(const std::vector<TokenId>& text) {
    std::vector<float> out(model_->config().width);
    const std::span<const TokenId> view = text;
    Encoder(model_, pool_, kernels::best_kernels()).encode({&view, 1}, out.data());
    return out;
  }

  FakeClock clock_;
  NoMetrics metrics_;
  ComputePool pool_{2};
  std::shared_ptr<const formats::GgufFile> file_;
  std::shared_ptr<const EncoderModel> model_;
  std::unique_ptr<EncodeQueue> queue_;
};

TEST_F(EncodeQueueTest, EveryTextGetsTheVectorItHasAlone) {
  EncodeQueue& queue = open({.step_tokens = 100});
  std::vector<std::vector<std::vector<TokenId>>> asked;
  std::vector<std::shared_ptr<Collector>> sinks;
  for (unsigned i = 0; i < 6; ++i) {
    asked.push_back(texts_of(1 + 7 * i, i));
    sinks.push_back(submit(queue, asked.back()));
  }
  for (std::size_t i = 0; i < sinks.size(); ++i) {
    ASSERT_EQ(sinks[i]->wait(), End::Finished);
    ASSERT_EQ(sinks[i]->vectors.size(), asked[i].size());
    std::size_t tokens = 0;
    for (std::size_t t = 0; t < asked[i].size(); ++t) {
      EXPECT_EQ(sinks[i]->vectors.at(t), alone(asked[i][t])) << "request " << i << ", text " << t;
      tokens += asked[i][t].size();
    }
    EXPECT_EQ(sinks[i]->usage.prompt_tokens, tokens);
  }
  EXPECT_GT(queue.steps(), 10U);
}

TEST_F(EncodeQueueTest, ALongListKeepsNobodyWaiting) {
  EncodeQueue& queue = open({.step_tokens = 40});
  std::promise<void> both_are_there;
  auto many = std::make_shared<Collector>();
  many->hold = both_are_there.get_future().share();
  submit(queue, texts_of(300, 1), {}, many);
  auto one = std::make_shared<Collector>();
  one->on_end = [&many] { many->cancel_now = true; };
  submit(queue, texts_of(1, 2), {}, one);
  both_are_there.set_value();
  ASSERT_EQ(one->wait(), End::Finished);
  ASSERT_EQ(many->wait(), End::Cancelled) << "it was done before the short one";
}

TEST_F(EncodeQueueTest, WhoLeavesIsNotComputedFor) {
  EncodeQueue& queue = open({.step_tokens = 40});
  auto sink = std::make_shared<Collector>();
  sink->cancel_at_first = true;
  submit(queue, texts_of(400, 1), {}, sink);
  ASSERT_EQ(sink->wait(), End::Cancelled);
  EXPECT_LT(sink->vectors.size(), 100U);
}

TEST_F(EncodeQueueTest, ADeadlineThatHasPassedEndsIt) {
  EncodeQueue& queue = open({});
  const auto sink = submit(queue, texts_of(3, 1), clock_.now());
  ASSERT_EQ(sink->wait(), End::Failed);
  EXPECT_EQ(sink->error.code, ErrorCode::Timeout);
  EXPECT_TRUE(sink->vectors.empty());
}

TEST_F(EncodeQueueTest, TakesNoMoreThanItsLimitAndNothingOnceStopped) {
  EncodeQueue& queue = open({.waiting_max = 0});
  auto sink = std::make_shared<Collector>();
  const auto full = queue.submit({texts_of(1, 1), {}, sink});
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code, ErrorCode::QueueFull);

  EncodeQueue& other = open({.step_tokens = 1});
  std::promise<void> stopped;
  auto running = std::make_shared<Collector>();
  running->hold = stopped.get_future().share();
  submit(other, texts_of(20, 1), {}, running);
  other.stop();
  stopped.set_value();
  ASSERT_EQ(running->wait(), End::Failed);
  EXPECT_EQ(running->error.code, ErrorCode::Unavailable);
  const auto late = other.submit({texts_of(1, 1), {}, sink});
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, ErrorCode::Unavailable);
}

TEST_F(EncodeQueueTest, BrokenWeightsAreSaid) {
  test::GgufWriter writer = test::tiny_encoder({.layers = 1});
  const std::uint64_t dims[] = {64};
  // The last norm's bias is infinite.
  const auto whole = formats::GgufFile::parse(writer.bytes()).value();
  ASSERT_NE(whole->find_tensor("blk.0.layer_output_norm.bias"), nullptr);
  writer.remove_tensor("blk.0.layer_output_norm.bias")
      .add_f32_tensor("blk.0.layer_output_norm.bias", dims, std::vector<float>(64, INFINITY));
  model_ =
      *EncoderModel::load(formats::GgufFile::parse(writer.bytes()).value(), Numerics::Exact, pool_);
  const auto sink = submit(open({}), texts_of(1, 1));
  ASSERT_EQ(sink->wait(), End::Failed);
  EXPECT_EQ(sink->error.code, ErrorCode::InvalidModel);
}

}  // namespace
}  // namespace minerva::engine
