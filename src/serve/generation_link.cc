#include "serve/generation_link.h"

#include <utility>

namespace minerva::serve {

void GenerationLink::wake() {
  {
    const std::lock_guard lock(mutex_);
    // After a cancel nothing but the end arrives.
    if (abandoned_) place_.reset();
  }
  notify();
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
  {
    const std::lock_guard lock(mutex_);
    if (why_ || abandoned_ || !place_) return;
    why_ = std::move(why);
  }
  if (const auto stream = stream_.lock()) stream->cancel();
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

void GenerationLink::first_token() {
  const std::lock_guard lock(mutex_);
  if (place_) place_->now_runs();
}

void GenerationLink::engine_ended() {
  const std::lock_guard lock(mutex_);
  place_.reset();
}

void GenerationLink::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  on_ready_.reset();
}

}  // namespace minerva::serve
