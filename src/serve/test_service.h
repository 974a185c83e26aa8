// LocalService over the fake backend and a small vocabulary file with the same token ids, on a
// clock that is moved by hand. For this room's tests only.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backend/fake/fake_backend.h"
#include "backend/fake/fake_model.h"
#include "backend/fake/fake_worker.h"
#include "serve/local_service.h"
#include "support/byte_vocab.h"

namespace minerva::serve {

// Reaching it is a failure, never a pass.
inline constexpr auto kPatience = std::chrono::seconds(60);

class CountingMetrics final : public Metrics {
 public:
  void add(Metric counter, double by, std::string_view label) override {
    const std::lock_guard lock(mutex_);
    sums_[{counter, std::string(label)}] += by;
  }
  void observe(Metric histogram, double) override {
    const std::lock_guard lock(mutex_);
    ++observed_[histogram];
  }
  void set(Metric gauge, double value, std::string_view) override {
    const std::lock_guard lock(mutex_);
    gauges_[gauge] = value;
  }
  double sum(Metric counter, const std::string& label = {}) const {
    const std::lock_guard lock(mutex_);
    const auto at = sums_.find({counter, label});
    return at == sums_.end() ? 0 : at->second;
  }
  int observed(Metric histogram) const {
    const std::lock_guard lock(mutex_);
    const auto at = observed_.find(histogram);
    return at == observed_.end() ? 0 : at->second;
  }
  double gauge(Metric gauge) const {
    const std::lock_guard lock(mutex_);
    const auto at = gauges_.find(gauge);
    return at == gauges_.end() ? -1 : at->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<Metric, std::string>, double> sums_;
  std::map<Metric, int> observed_;
  std::map<Metric, double> gauges_;
};

// Reads a generation as http does: try_next() until there is nothing, then waits to be called.
class Reader {
 public:
  explicit Reader(Generation& generation) : generation_(generation) {
    generation_.on_ready([flag = flag_] {
      {
        const std::lock_guard lock(flag->mutex);
        flag->raised = true;
      }
      flag->changed.notify_all();
    });
  }

  // The next piece; fails the test when none comes.
  std::optional<Delta> next() {
    while (true) {
      if (auto delta = generation_.try_next()) return delta;
      std::unique_lock lock(flag_->mutex);
      if (!flag_->changed.wait_for(lock, kPatience, [this] { return flag_->raised; })) {
        ADD_FAILURE() << "no piece came";
        return std::nullopt;
      }
      flag_->raised = false;
    }
  }

 private:
  struct Flag {
    std::mutex mutex;
    std::condition_variable changed;
    bool raised = false;
  };
  Generation& generation_;
  std::shared_ptr<Flag> flag_ = std::make_shared<Flag>();
};

struct Answer {
  std::map<std::uint32_t, std::string> text;
  std::map<std::uint32_t, std::vector<TextDelta>> deltas;
  std::map<std::uint32_t, FinishDelta> finish;
  std::map<std::uint32_t, std::vector<float>> vectors;  // by input
  EndDelta end;

  const Error& error() const {
    static const Error kNone;
    return end.end.error ? *end.end.error : kNone;
  }
};

inline Answer read_all(Generation& generation) {
  Answer answer;
  Reader reader(generation);
  while (auto delta = reader.next()) {
    if (auto* text = std::get_if<TextDelta>(&*delta)) {
      EXPECT_FALSE(answer.finish.contains(text->choice)) << "text behind a choice's end";
      answer.text[text->choice] += text->text;
      answer.deltas[text->choice].push_back(std::move(*text));
    } else if (auto* vector = std::get_if<EmbeddingDelta>(&*delta)) {
      EXPECT_EQ(vector->input, answer.vectors.size()) << "in the inputs' order";
      answer.vectors.emplace(vector->input, std::move(vector->values));
    } else if (auto* finish = std::get_if<FinishDelta>(&*delta)) {
      EXPECT_TRUE(answer.finish.emplace(finish->choice, *finish).second) << "ended twice";
    } else if (auto* end = std::get_if<EndDelta>(&*delta)) {
      answer.end = std::move(*end);
      EXPECT_FALSE(generation.try_next()) << "a piece behind the end";
      break;
    }
  }
  return answer;
}

// The fake backend as a kind of engine. `made` hears of the worker of each backend that is made.
class FakeKind final : public backend::EngineKind {
 public:
  using Made = std::function<void(std::shared_ptr<backend::FakeWorker>)>;
  FakeKind(std::string name, backend::FakeOptions options, const Clock& clock, Made made)
      : name_(std::move(name)),
        options_(std::move(options)),
        clock_(clock),
        made_(std::move(made)) {
    found.available = true;
  }

  std::string_view name() const override { return name_; }
  backend::Availability probe(Duration) override { return found; }
  std::optional<std::string> objection(const backend::ModelSpec&) const override {
    return refuses.empty() ? std::nullopt : std::optional(refuses);
  }
  backend::Capabilities capabilities(const backend::ModelSpec&) const override {
    return backend::FakeBackend(options_, clock_).capabilities();
  }
  backend::MemoryNeed memory_need(const backend::ModelSpec&, std::size_t) const override {
    return {};
  }
  Result<std::unique_ptr<backend::InferenceBackend>> make() override {
    auto fresh = std::make_unique<backend::FakeBackend>(options_, clock_);
    {
      const std::lock_guard lock(mutex_);
      if (faults_) fresh->set_faults(*faults_);
    }
    made_(fresh->worker());
    return fresh;
  }

  // Of all that are made from now on.
  void set_faults(backend::FakeFaults faults) {
    const std::lock_guard lock(mutex_);
    faults_ = std::move(faults);
  }

  // Set before the service is opened.
  backend::Availability found;
  std::string refuses;

 private:
  const std::string name_;
  const backend::FakeOptions options_;
  const Clock& clock_;
  const Made made_;
  std::mutex mutex_;
  std::optional<backend::FakeFaults> faults_;
};

class ServiceFixture : public ::testing::Test {
 protected:
  // A model file of this name; the first one is configured.
  std::string add_model(const std::string& name, const test::ByteVocabOptions& options) {
    const auto path = folder_.path() / (name + ".gguf");
    test::write_file(path, test::byte_vocab(options).bytes());
    return path.string();
  }

  // Opens the service over "tiny", and waits until it is ready.
  LocalService& open(backend::FakeOptions fake = {}, ServiceOptions options = {}) {
    const bool manual = fake.manual;
    begin(std::move(fake), std::move(options));
    if (manual) engine().advance(1);  // the self test's token
    const auto ready = service_->wait_until_ready(clock_.now() + std::chrono::minutes(1));
    EXPECT_TRUE(ready) << ready.error().message;
    // The self test's end is told a moment before the engine has forgotten it.
    EXPECT_TRUE(eventually([this] { return engine().running() == 0; }));
    return *service_;
  }

  // Opens it and waits for nothing.
  LocalService& begin(backend::FakeOptions fake = {}, ServiceOptions options = {}) {
    if (options.models.empty()) {
      options.models = {add_model(
          "tiny", {.chat_template = std::string(test::byte_vocab_template()), .add_bos = false})};
    }
    // A test may move the clock by more than any engine may be still, while one has work.
    suspect_nobody(options);
    Engines engines;
    kind_ = fake_kind("fake", std::move(fake));
    engines.kinds = {kind_};
    for (const auto& more : more_kinds_) engines.kinds.push_back(more);
    ModelSources sources{std::make_shared<models::ModelStore>(std::vector{folder_.path().string()}),
                         std::make_shared<models::VocabularyCache>()};
    auto opened = LocalService::open(std::move(options), std::move(engines), std::move(sources),
                                     clock_, metrics_);
    EXPECT_TRUE(opened) << opened.error().message;
    service_ = std::move(*opened);
    return *service_;
  }

  static void suspect_nobody(ServiceOptions& options) {
    WatchdogOptions& watchdog = options.loop.switchboard.watchdog;
    watchdog.patience_min = watchdog.patience_max = std::chrono::years(1);
  }

  std::shared_ptr<FakeKind> fake_kind(std::string name, backend::FakeOptions fake) {
    return std::make_shared<FakeKind>(std::move(name), std::move(fake), clock_,
                                      [this](std::shared_ptr<backend::FakeWorker> made) {
                                        const std::lock_guard lock(engines_mutex_);
                                        engines_.push_back(std::move(made));
                                      });
  }

  // The engine that was made as this one; waits for it. It may be asked even where the service has
  // unloaded it meanwhile.
  backend::FakeWorker& engine(std::size_t index = 0) {
    EXPECT_TRUE(eventually([&] { return engine_count() > index; }));
    const std::lock_guard lock(engines_mutex_);
    return *engines_.at(index);
  }
  std::size_t engine_count() {
    const std::lock_guard lock(engines_mutex_);
    return engines_.size();
  }

  static Request completion(std::string text, std::uint64_t max_tokens = 60) {
    Request request;
    request.id = "cmpl-test";
    request.prompt = RawPrompt(std::move(text));
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    request.ignore_end_of_generation = true;
    return request;
  }
  static Request chat(std::string text, std::uint64_t max_tokens = 60) {
    Request request = completion("", max_tokens);
    chat::Message message;
    message.role = "user";
    message.content.emplace(1, chat::ContentPart{.kind = chat::ContentPart::Kind::Text,
                                                 .text = std::move(text),
                                                 .media_type = {},
                                                 .data = {}});
    chat::Conversation conversation;
    conversation.messages.push_back(std::move(message));
    request.prompt = std::move(conversation);
    return request;
  }

  Answer ask(Request request) {
    auto generation = service_->start(std::move(request));
    EXPECT_TRUE(generation) << generation.error().message;
    return generation ? read_all(**generation) : Answer{};
  }
  // Refused at once, or before any text.
  Error refusal(Request request) {
    const auto generation = service_->start(std::move(request));
    if (!generation) return generation.error();
    const Answer answer = read_all(**generation);
    EXPECT_EQ(answer.end.end.outcome, backend::EndEvent::Outcome::Failed);
    EXPECT_TRUE(answer.text.empty());
    return answer.error();
  }
  // What the model says greedily, as bytes.
  static std::string greedy_text(std::string_view prompt, std::size_t max_tokens) {
    const backend::FakeModel model;
    return backend::FakeModel::decode(
        model.greedy(backend::FakeModel::encode(prompt), max_tokens, /*ignore_end=*/true));
  }
  // Waits until the model has this state.
  bool becomes(std::string_view model, ModelState state) {
    return eventually([&] {
      const auto info = service_->model(model);
      return info && info->state == state;
    });
  }
  // Waits until neither the service nor its first engine has a request inside.
  bool becomes_idle() {
    return eventually([this] { return service_->active() == 0 && engine().running() == 0; });
  }
  static bool eventually(const std::function<bool()>& holds) {
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      std::this_thread::yield();
    }
    return true;
  }

  FakeClock clock_;
  CountingMetrics metrics_;
  test::TempFolder folder_;
  std::mutex engines_mutex_;
  std::vector<std::shared_ptr<backend::FakeWorker>> engines_;
  std::shared_ptr<FakeKind> kind_;
  std::vector<std::shared_ptr<FakeKind>> more_kinds_;  // behind the first one; set before begin()
  std::unique_ptr<LocalService> service_;
};

}  // namespace minerva::serve
