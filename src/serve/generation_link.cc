#include "serve/generation_link.h"

#include <utility>

namespace minerva::serve {

std::shared_ptr<backend::GenerationStream> GenerationLink::make_stream() {
  auto stream = std::make_shared<backend::GenerationStream>();
  stream->on_wake_reader([weak = weak_from_this()] {
    if (const auto link = weak.lock()) link->wake();
  });
  // From now on the engine may have it, and whoever leaves has to wait for its end.
  const std::lock_guard lock(mutex_);
  current_ = stream;
  return stream;
}

void GenerationLink::withdraw_stream() {
  const std::lock_guard lock(mutex_);
  current_.reset();
}

void GenerationLink::deliver(Attempt attempt) {
  std::shared_ptr<backend::GenerationStream> unwanted;
  {
    const std::lock_guard lock(mutex_);
    current_ = attempt.stream;
    if (abandoned_ || why_) {
      unwanted = current_;
    } else {
      news_.attempt = std::move(attempt);
    }
  }
  if (!unwanted) return notify();
  unwanted->cancel();
  finish_abandoned(unwanted);
}

void GenerationLink::waits(WaitDelta news) {
  {
    const std::lock_guard lock(mutex_);
    if (abandoned_ || news_.attempt) return;
    news_.wait = std::move(news);
  }
  notify();
}

void GenerationLink::refuse(Error why, std::vector<FailedAttempt> retries) {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    place_.reset();
    news_.refused = std::move(why);
    news_.retries = std::move(retries);
  }
  notify();
}

void GenerationLink::wake() {
  std::shared_ptr<backend::GenerationStream> left;
  {
    const std::lock_guard lock(mutex_);
    if (abandoned_) left = current_;
  }
  if (left) return finish_abandoned(left);
  notify();
}

// After a cancel nothing but the end arrives, and nobody else looks for it.
void GenerationLink::finish_abandoned(const std::shared_ptr<backend::GenerationStream>& stream) {
  while (const auto event = stream->try_pop()) {
    if (const auto* end = std::get_if<backend::EndEvent>(&*event)) return engine_ended(*end);
  }
}

void GenerationLink::notify() {
  Callback callback;
  {
    const std::lock_guard lock(mutex_);
    came_ = true;
    callback = on_ready_;
  }
  if (callback) (*callback)();
}

void GenerationLink::stop(Error why) {
  std::shared_ptr<backend::GenerationStream> running;
  {
    const std::lock_guard lock(mutex_);
    if (why_ || abandoned_ || over_) return;
    why_ = std::move(why);
    running = current_;
  }
  if (running) running->cancel();
  notify();
}

std::optional<Error> GenerationLink::stopped() const {
  const std::lock_guard lock(mutex_);
  return why_;
}

void GenerationLink::on_ready(std::function<void()> callback) {
  bool came = false;
  {
    const std::lock_guard lock(mutex_);
    on_ready_ = std::make_shared<const std::function<void()>>(std::move(callback));
    came = came_;
  }
  if (came) notify();
}

GenerationLink::News GenerationLink::take_news() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

void GenerationLink::first_token() {
  {
    const std::lock_guard lock(mutex_);
    if (place_) place_->now_runs();
  }
  tell_({TicketNews::Kind::FirstToken, {}, {}});
}

void GenerationLink::attempt_failed(Error why) {
  {
    const std::lock_guard lock(mutex_);
    current_.reset();
    if (place_) place_->waits_again();
  }
  tell_({TicketNews::Kind::Failed, std::move(why), {}});
}

void GenerationLink::engine_ended(const backend::EndEvent& end) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(over_, true)) return;
    place_.reset();
    current_.reset();
  }
  tell_({TicketNews::Kind::Ended, end.error, end});
}

void GenerationLink::abandon() {
  std::shared_ptr<backend::GenerationStream> running;
  bool over = false;
  {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    on_ready_.reset();
    news_ = {};
    running = current_;
    over = over_;
    if (!running) place_.reset();
  }
  if (running) {
    running->cancel();
    finish_abandoned(running);
  } else if (!over) {
    tell_({TicketNews::Kind::Gone, {}, {}});
  }
}

}  // namespace minerva::serve
