// LocalService over the fake backend and a small vocabulary file with the same token ids, on a
// clock that is moved by hand. For this room's tests only.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
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
    return *service_;
  }

  // Opens it and waits for nothing.
  LocalService& begin(backend::FakeOptions fake = {}, ServiceOptions options = {}) {
    if (options.models.empty()) {
      options.models = {add_model(
          "tiny", {.chat_template = std::string(test::byte_vocab_template()), .add_bos = false})};
    }
    EngineOffer offer;
    offer.name = "fake";
    offer.can = backend::FakeBackend(fake, clock_).capabilities();
    offer.make = [this, fake]() -> Result<std::unique_ptr<backend::InferenceBackend>> {
      auto made = std::make_unique<backend::FakeBackend>(fake, clock_);
      const std::lock_guard lock(engines_mutex_);
      engines_.push_back(made.get());
      return made;
    };
    ModelSources sources{std::make_shared<models::ModelStore>(std::vector{folder_.path().string()}),
                         std::make_shared<models::VocabularyCache>()};
    auto opened = LocalService::open(std::move(options), {std::move(offer)}, std::move(sources),
                                     clock_, metrics_);
    EXPECT_TRUE(opened) << opened.error().message;
    service_ = std::move(*opened);
    return *service_;
  }

  backend::FakeBackend& engine(std::size_t index = 0) {
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
  Error refusal(Request request) {
    const auto generation = service_->start(std::move(request));
    EXPECT_FALSE(generation);
    return generation ? Error{} : generation.error();
  }
  // What the model says greedily, as bytes.
  static std::string greedy_text(std::string_view prompt, std::size_t max_tokens) {
    const backend::FakeModel model;
    return backend::FakeModel::decode(
        model.greedy(backend::FakeModel::encode(prompt), max_tokens, /*ignore_end=*/true));
  }
  // Waits until neither the service nor its first engine has a request inside.
  bool becomes_idle() {
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    const auto idle = [this] { return service_->active() == 0 && engine().running() == 0; };
    while (!idle() && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
    return idle();
  }

  FakeClock clock_;
  CountingMetrics metrics_;
  test::TempFolder folder_;
  std::mutex engines_mutex_;
  std::vector<backend::FakeBackend*> engines_;  // owned by the service
  std::unique_ptr<LocalService> service_;
};

}  // namespace minerva::serve
