// A serve::Service without engines: each answer is scripted by the test, piece by piece, and what
// the reader does (takes, cancels, leaves) can be watched. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "serve/service.h"

namespace minerva::test {

// Far above what a loaded machine needs; reaching it is a failure, never a pass.
inline constexpr std::chrono::seconds kPatience{30};

// One answer, seen by the test. Its queue has a bound, as a real stream has.
class FakeAnswer {
 public:
  explicit FakeAnswer(std::size_t capacity = 64) : capacity_(capacity) {}

  // Waits while the queue is full. False once the reader has cancelled.
  bool push(serve::Delta delta) {
    std::function<void()> wake;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, kPatience, [&] { return gone_ || deltas_.size() < capacity_; });
      if (gone_ || deltas_.size() >= capacity_) return false;
      deltas_.push_back(std::move(delta));
      ++pushed_;
      wake = on_ready_;
    }
    changed_.notify_all();
    if (wake) wake();
    return true;
  }
  bool text(std::string text) { return push(serve::TextDelta{0, std::move(text), {}}); }
  bool finish() { return push(serve::FinishDelta{}) && end(); }
  // Without the end of a choice, which vectors do not have.
  bool end() {
    serve::EndDelta end;
    end.end.usage = {3, 0, pushed()};
    end.model = "fake";
    end.backend = "fake";
    return push(std::move(end));
  }
  bool fail_with(Error error) {
    serve::EndDelta end;
    end.end.outcome = backend::EndEvent::Outcome::Failed;
    end.end.error = std::move(error);
    return push(std::move(end));
  }

  std::size_t pushed() const {
    const std::lock_guard lock(mutex_);
    return pushed_;
  }
  // The reader cancelled it, or dropped it before its end.
  bool cancelled() const {
    const std::lock_guard lock(mutex_);
    return gone_ && !ended_;
  }
  bool wait_cancelled() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return gone_; }) && !ended_;
  }
  // Waits until the queue is full: the reader takes nothing.
  bool wait_full() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return deltas_.size() >= capacity_; });
  }

 private:
  friend class FakeGeneration;
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<serve::Delta> deltas_;
  std::function<void()> on_ready_;
  std::size_t pushed_ = 0;
  bool gone_ = false;
  bool ended_ = false;
};

class FakeGeneration final : public serve::Generation {
 public:
  FakeGeneration(std::shared_ptr<FakeAnswer> answer, std::string route)
      : answer_(std::move(answer)), route_(std::move(route)) {}
  ~FakeGeneration() override { cancel(); }

  std::optional<serve::Delta> try_next() override {
    std::optional<serve::Delta> delta;
    {
      const std::lock_guard lock(answer_->mutex_);
      if (answer_->deltas_.empty()) return std::nullopt;
      delta = std::move(answer_->deltas_.front());
      answer_->deltas_.pop_front();
      if (std::holds_alternative<serve::EndDelta>(*delta)) answer_->ended_ = true;
    }
    answer_->changed_.notify_all();
    return delta;
  }
  void on_ready(std::function<void()> callback) override {
    const std::lock_guard lock(answer_->mutex_);
    answer_->on_ready_ = std::move(callback);
  }
  void cancel() override {
    {
      const std::lock_guard lock(answer_->mutex_);
      answer_->gone_ = true;
      answer_->on_ready_ = {};
    }
    answer_->changed_.notify_all();
  }
  std::string_view backend() const override { return "fake"; }
  std::string_view route() const override { return route_; }
  std::uint64_t prompt_tokens() const override { return 3; }

 private:
  const std::shared_ptr<FakeAnswer> answer_;
  const std::string route_;
};

class FakeService final : public serve::Service {
 public:
  // What start() does with a request, on the thread that calls it. Returning nothing starts the
  // answer. Set before the server listens. By default every request is answered "Hello world".
  std::function<std::optional<Error>(const serve::Request&, FakeAnswer&)> on_start =
      [](const serve::Request&, FakeAnswer& answer) -> std::optional<Error> {
    answer.text("Hello");
    answer.text(" world");
    answer.finish();
    return std::nullopt;
  };
  // The same for embed(): by default the vector of input i is {i, 0.5}.
  std::function<std::optional<Error>(const serve::EmbeddingRequest&, FakeAnswer&)> on_embed =
      [](const serve::EmbeddingRequest& request, FakeAnswer& answer) -> std::optional<Error> {
    for (std::uint32_t i = 0; i < request.inputs.size(); ++i) {
      answer.push(serve::EmbeddingDelta{i, {static_cast<float>(i), 0.5F}});
    }
    answer.end();
    return std::nullopt;
  };
  std::size_t answer_capacity = 64;
  std::string route = "fake: the only one";
  std::vector<serve::ModelInfo> known_models;
  std::vector<serve::BackendInfo> known_backends;
  std::vector<serve::InstanceInfo> known_instances;
  // What a call that loads gets; runs on the thread that calls.
  std::function<Result<serve::InstanceInfo>(
      const std::string& model, const std::optional<std::string>& backend, Duration time_max)>
      on_load = [](const std::string& model, const std::optional<std::string>& backend, Duration) {
        serve::InstanceInfo info;
        info.model = model;
        info.backend = backend.value_or("fake");
        info.state = serve::ModelState::Ready;
        return info;
      };
  std::atomic<bool> is_ready{true};

  Result<std::unique_ptr<serve::Generation>> start(serve::Request request) override {
    auto answer = std::make_shared<FakeAnswer>(answer_capacity);
    {
      const std::lock_guard lock(mutex_);
      answers_.push_back(answer);
      requests_.push_back(request);
    }
    changed_.notify_all();
    auto generation = std::make_unique<FakeGeneration>(answer, route);
    if (auto refused = on_start(request, *answer)) return fail(std::move(*refused));
    return generation;
  }
  Result<std::unique_ptr<serve::Generation>> embed(serve::EmbeddingRequest request) override {
    auto answer = std::make_shared<FakeAnswer>(answer_capacity);
    {
      const std::lock_guard lock(mutex_);
      answers_.push_back(answer);
      embedded_.push_back(request);
    }
    changed_.notify_all();
    auto generation = std::make_unique<FakeGeneration>(answer, route);
    if (auto refused = on_embed(request, *answer)) return fail(std::move(*refused));
    return generation;
  }
  Result<serve::RouteReport> explain_route(serve::Request request) override {
    const std::lock_guard lock(mutex_);
    asked_ = request;
    return serve::RouteReport{request.model, "fake", route, {{"fake", true, "ready"}}, 3};
  }
  std::vector<serve::BackendInfo> backends() const override { return known_backends; }
  std::vector<serve::InstanceInfo> instances() const override { return known_instances; }
  Result<serve::InstanceInfo> load(std::string_view name, std::optional<std::string> backend,
                                   Duration time_max) override {
    {
      const std::lock_guard lock(mutex_);
      ++loads_;
    }
    changed_.notify_all();
    return on_load(std::string(name), backend, time_max);
  }
  Result<void> unload(std::string_view name, bool now) override {
    MINERVA_TRY(model(name));
    const std::lock_guard lock(mutex_);
    unloaded_.emplace_back(std::string(name), now);
    return {};
  }
  std::vector<serve::ModelInfo> models() const override { return known_models; }
  Result<serve::ModelInfo> model(std::string_view name) const override {
    for (const auto& info : known_models) {
      if (info.name == name) return info;
    }
    return fail(ErrorCode::NotFound, "no model \"" + std::string(name) + "\"", "model");
  }
  bool ready() const override { return is_ready; }
  std::size_t active() const override { return 0; }
  void drain(Duration) override {}

  std::size_t started() const {
    const std::lock_guard lock(mutex_);
    return answers_.size();
  }
  // The n-th answer, once its request has come; nothing when it does not.
  std::shared_ptr<FakeAnswer> answer(std::size_t n) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [&] { return answers_.size() > n; })) return nullptr;
    return answers_[n];
  }
  // The last request whose route was asked for.
  std::optional<serve::Request> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  std::vector<std::pair<std::string, bool>> unloaded() const {
    const std::lock_guard lock(mutex_);
    return unloaded_;
  }
  bool wait_loads(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return loads_ >= count; });
  }
  serve::Request request(std::size_t n) const {
    const std::lock_guard lock(mutex_);
    return requests_.at(n);
  }
  serve::EmbeddingRequest embedded(std::size_t n) const {
    const std::lock_guard lock(mutex_);
    return embedded_.at(n);
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<FakeAnswer>> answers_;
  std::vector<serve::Request> requests_;
  std::vector<serve::EmbeddingRequest> embedded_;
  std::optional<serve::Request> asked_;
  std::vector<std::pair<std::string, bool>> unloaded_;
  std::size_t loads_ = 0;
};

}  // namespace minerva::test
