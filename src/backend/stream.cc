#include "backend/stream.h"

#include <utility>

#include "base/check.h"

namespace minerva::backend {

GenerationStream::GenerationStream(std::size_t capacity) : capacity_(capacity) {}

GenerationStream::Push GenerationStream::push(GenerationEvent event) {
  Callback wake;
  Push verdict = Push::Taken;
  {
    const std::lock_guard lock(mutex_);
    MINERVA_CHECK(!ended_);
    const bool end = std::holds_alternative<EndEvent>(event);
    if (cancelled_ && !end) return Push::Cancelled;
    ended_ = end;
    const bool was_empty = events_.empty();
    events_.push_back(std::move(event));
    if (events_.size() >= capacity_) {
      paused_ = true;
      verdict = Push::Full;
    }
    if (was_empty) wake = wake_reader_;
  }
  arrived_.notify_one();
  if (wake) (*wake)();
  return verdict;
}

bool GenerationStream::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

bool GenerationStream::paused() const {
  const std::lock_guard lock(mutex_);
  return paused_;
}

void GenerationStream::on_wake_producer(std::function<void()> callback) {
  const std::lock_guard lock(mutex_);
  wake_producer_ = std::make_shared<const std::function<void()>>(std::move(callback));
}

void GenerationStream::on_wake_reader(std::function<void()> callback) {
  const std::lock_guard lock(mutex_);
  wake_reader_ = std::make_shared<const std::function<void()>>(std::move(callback));
}

std::optional<GenerationEvent> GenerationStream::take(Callback& wake) {
  if (events_.empty()) return std::nullopt;
  std::optional<GenerationEvent> event(std::move(events_.front()));
  events_.pop_front();
  if (paused_ && events_.size() <= capacity_ / 2) {
    paused_ = false;
    wake = wake_producer_;
  }
  return event;
}

std::optional<GenerationEvent> GenerationStream::try_pop() {
  Callback wake;
  std::optional<GenerationEvent> event;
  {
    const std::lock_guard lock(mutex_);
    event = take(wake);
  }
  if (wake) (*wake)();
  return event;
}

std::optional<GenerationEvent> GenerationStream::pop_for(Duration wait) {
  Callback wake;
  std::optional<GenerationEvent> event;
  {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, wait, [this] { return !events_.empty(); });
    event = take(wake);
  }
  if (wake) (*wake)();
  return event;
}

void GenerationStream::cancel() {
  Callback wake;
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_) return;
    cancelled_ = true;
    // The end, if it is there already, stays for the reader to see.
    while (events_.size() > (ended_ ? 1U : 0U)) events_.pop_front();
    wake = wake_producer_;
  }
  if (wake) (*wake)();
}

}  // namespace minerva::backend
