// Engines as doctor and bench meet them, with fake ones.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend/fake/fake_backend.h"
#include "cli/engine_probes.h"
#include "cli/engine_speed.h"

namespace minerva::cli {
namespace {

// Lets its threads go on when so many have come.
class Meeting {
 public:
  explicit Meeting(std::size_t wanted) : wanted_(wanted) {}
  bool come() {
    std::unique_lock lock(mutex_);
    ++here_;
    all_.notify_all();
    return all_.wait_for(lock, std::chrono::seconds(60), [&] { return here_ >= wanted_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_;
  const std::size_t wanted_;
  std::size_t here_ = 0;
};

class FakeKind final : public backend::EngineKind {
 public:
  explicit FakeKind(std::string name, Meeting* meeting = nullptr)
      : name_(std::move(name)), meeting_(meeting) {}
  std::string_view name() const override { return name_; }
  backend::Availability probe(Duration) override {
    backend::Availability found;
    found.available = meeting_ == nullptr || meeting_->come();
    found.version = "1";
    return found;
  }
  std::optional<std::string> objection(const backend::ModelSpec& spec) const override {
    if (spec.format == backend::ModelFormat::Mlx) return "takes no MLX folders";
    return std::nullopt;
  }
  backend::Capabilities capabilities(const backend::ModelSpec&) const override { return {}; }
  backend::MemoryNeed memory_need(const backend::ModelSpec&, std::size_t) const override {
    return {};
  }
  Result<std::unique_ptr<backend::InferenceBackend>> make() override {
    ++made;
    return std::make_unique<backend::FakeBackend>(options, clock_);
  }

  backend::FakeOptions options;
  int made = 0;

 private:
  const SteadyClock clock_;
  const std::string name_;
  Meeting* const meeting_;
};

TEST(EngineProbes, AllLookAtOnceAndKeepTheirOrder) {
  Meeting meeting(3);
  const std::vector<std::shared_ptr<backend::EngineKind>> kinds = {
      std::make_shared<FakeKind>("a", &meeting), std::make_shared<FakeKind>("b", &meeting),
      std::make_shared<FakeKind>("c", &meeting)};
  const auto probed = probe_engines(kinds, std::chrono::seconds(1));
  ASSERT_EQ(probed.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(probed[i].name, kinds[i]->name());
    EXPECT_TRUE(probed[i].found.available) << "the probes waited for each other";
  }
  EXPECT_TRUE(probe_engines({}, std::chrono::seconds(1)).empty());
}

EngineBenchOptions small() {
  EngineBenchOptions options;
  options.prompt_tokens = 100;
  options.new_tokens = 10;
  options.rounds = 2;
  return options;
}

TEST(EngineBench, MeasuresThroughTheInterface) {
  const SteadyClock clock;
  FakeKind kind("fake");
  const auto report = bench_engine(kind, {}, small(), clock);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->engine, "fake");
  EXPECT_EQ(report->prompt_tokens, 100U);
  EXPECT_EQ(report->new_tokens, 10U);
  EXPECT_GT(report->first_token_s, 0);
  EXPECT_GT(report->prefill_tokens_per_s, 0);
  EXPECT_GT(report->decode_tokens_per_s, 0);
  EXPECT_EQ(kind.made, 1);
}

TEST(EngineBench, FailuresSayWhatFailed) {
  const SteadyClock clock;
  FakeKind kind("fake");
  backend::ModelSpec spec;
  spec.format = backend::ModelFormat::Mlx;
  EXPECT_EQ(bench_engine(kind, spec, small(), clock).error().message, "takes no MLX folders");
  EXPECT_EQ(kind.made, 0);

  kind.options.faults.load = Error{ErrorCode::InvalidModel, "a broken file"};
  EXPECT_EQ(bench_engine(kind, {}, small(), clock).error().message, "a broken file");

  kind.options.faults = {};
  kind.options.faults.die_at_token = 3;
  EXPECT_FALSE(bench_engine(kind, {}, small(), clock));

  kind.options.faults = {};
  kind.options.faults.hang_at_token = 3;
  EngineBenchOptions short_of_time = small();
  short_of_time.time_max = std::chrono::milliseconds(1);
  const auto hung = bench_engine(kind, {}, short_of_time, clock);
  ASSERT_FALSE(hung);
  EXPECT_EQ(hung.error().code, ErrorCode::Timeout);
}

}  // namespace
}  // namespace minerva::cli
