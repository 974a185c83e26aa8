#include "serve/ledger.h"

#include <fmt/core.h>

namespace minerva::serve {

Place::~Place() { ledger_->leave(runs_); }

void Place::now_runs() {
  const std::lock_guard lock(mutex_);
  if (runs_) return;
  runs_ = true;
  ledger_->waiting_to_running();
}

void Place::waits_again() {
  const std::lock_guard lock(mutex_);
  if (!runs_) return;
  runs_ = false;
  ledger_->running_to_waiting();
}

Result<std::unique_ptr<Place>> Ledger::enter() {
  const std::lock_guard lock(mutex_);
  if (closed_) return fail(ErrorCode::Unavailable, "the server is stopping");
  if (waiting_ + running_ >= requests_max_) {
    return fail(ErrorCode::QueueFull,
                fmt::format("{} requests are running and {} are waiting, and {} is the limit: try "
                            "again later",
                            running_, waiting_, requests_max_));
  }
  ++waiting_;
  report();
  return std::make_unique<Place>(shared_from_this());
}

void Ledger::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

std::size_t Ledger::active() const {
  const std::lock_guard lock(mutex_);
  return waiting_ + running_;
}

void Ledger::leave(bool ran) {
  const std::lock_guard lock(mutex_);
  --(ran ? running_ : waiting_);
  report();
}

void Ledger::waiting_to_running() {
  const std::lock_guard lock(mutex_);
  --waiting_;
  ++running_;
  report();
}

void Ledger::running_to_waiting() {
  const std::lock_guard lock(mutex_);
  ++waiting_;
  --running_;
  report();
}

void Ledger::report() const {
  metrics_.set(Metric::QueuedRequests, static_cast<double>(waiting_));
  metrics_.set(Metric::RunningRequests, static_cast<double>(running_));
}

}  // namespace minerva::serve
