#include "backend/remote/remote_run.h"

#include <fmt/core.h>

#include <utility>

#include "base/log.h"

namespace minerva::backend {
namespace {

// Events that a server may give before its client has taken them; then it is paused.
constexpr std::size_t kAhead = 64;

std::uint64_t hash_of(const RemoteRun::Request& request) {
  if (const auto* generate = std::get_if<GenerateRequest>(&request)) return prompt_hash(*generate);
  // Of what is embedded nothing is kept, so any server is as good as another.
  GenerateRequest like;
  const auto& inputs = std::get<EmbedRequest>(request).inputs;
  if (!inputs.empty()) {
    std::visit([&](const auto& first) { like.prompt.emplace_back(first); }, inputs.front());
  }
  return prompt_hash(like);
}

}  // namespace

RemoteRun::RemoteRun(std::shared_ptr<RemotePool> pool, std::string name, Request request,
                     std::shared_ptr<GenerationStream> client, const Clock& clock)
    : pool_(std::move(pool)),
      name_(std::move(name)),
      request_(std::move(request)),
      client_(std::move(client)),
      clock_(clock),
      hash_(hash_of(request_)),
      tried_(pool_->backends.size()) {}

Result<void> RemoteRun::begin() {
  client_->on_wake_producer([self = shared_from_this()] { self->pump(); });
  if (auto begun = begin_on_next(); !begun) {
    client_->on_wake_producer([] {});
    return begun;
  }
  pump_until_quiet();
  return {};
}

Result<void> RemoteRun::begin_on_next() {
  while (true) {
    {
      const std::lock_guard lock(pool_->mutex);
      const TimePoint now = clock_.now();
      const auto next = pool_->replicas.choose(hash_, tried_, now);
      if (!next) {
        Error none{ErrorCode::Unavailable, "no server may be asked now", {}, name_};
        none.retry_after =
            std::chrono::duration_cast<std::chrono::milliseconds>(pool_->replicas.wait(now));
        return fail(std::move(none));
      }
      replica_ = *next;
      tried_[replica_] = true;
      pool_->replicas.begun(replica_, now);
    }
    stream_ = std::make_shared<GenerationStream>(kAhead);
    stream_->on_wake_reader([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->pump();
    });
    auto taken = hand_to(*pool_->backends[replica_]);
    if (taken) return {};
    const std::lock_guard lock(pool_->mutex);
    if (!worth_another(taken.error())) {
      pool_->replicas.abandoned(replica_);
      return taken;
    }
    pool_->replicas.failed(replica_, clock_.now());
  }
}

Result<void> RemoteRun::hand_to(InferenceBackend& replica) {
  if (const auto* embed = std::get_if<EmbedRequest>(&request_)) {
    return replica.embed(*embed, stream_);
  }
  return replica.generate(std::get<GenerateRequest>(request_), stream_);
}

std::optional<TimePoint> RemoteRun::deadline() const {
  return std::visit([](const auto& request) { return request.deadline; }, request_);
}

// What another server may do better.
bool RemoteRun::worth_another(const Error& error) const {
  switch (error.code) {
    case ErrorCode::Unavailable:
    case ErrorCode::QueueFull:
    case ErrorCode::OutOfMemory:
    case ErrorCode::Io:
      return true;
    case ErrorCode::Timeout:  // the server's silence; not the request's own time, nor a slow reader
      return !client_->paused() && !(deadline() && clock_.now() >= *deadline());
    default:
      return false;
  }
}

void RemoteRun::pump() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(pumping_, true)) {
      again_ = true;
      return;
    }
  }
  pump_until_quiet();
}

void RemoteRun::pump_until_quiet() {
  while (true) {
    while (step()) {
    }
    const std::lock_guard lock(mutex_);
    if (!std::exchange(again_, false)) {
      pumping_ = false;
      return;
    }
  }
}

bool RemoteRun::step() {
  if (ended_ || stream_ == nullptr) return false;
  if (client_->cancelled()) {
    if (!stream_->cancelled()) stream_->cancel();
  } else if (client_->paused()) {
    return false;  // the replica's stream fills up, and pauses it
  }
  auto event = stream_->try_pop();
  return event && take(std::move(*event));
}

bool RemoteRun::take(GenerationEvent event) {
  if (auto* end = std::get_if<EndEvent>(&event)) return take_end(std::move(*end));
  given_ = given_ || !std::holds_alternative<ProgressEvent>(event);
  client_->push(std::move(event));
  return true;
}

bool RemoteRun::take_end(EndEvent end) {
  settle(end);
  const bool another = end.outcome == EndEvent::Outcome::Failed && !given_ &&
                       !client_->cancelled() && end.error && worth_another(*end.error);
  if (another) {
    log_info("{}: {} gave no token: {}", name_, pool_->replicas.name(replica_), end.error->message);
    if (begin_on_next()) return true;
  }
  ended_ = true;
  end.engine = name_;
  // Both hold this object.
  const auto self = shared_from_this();
  stream_->on_wake_reader([] {});
  client_->on_wake_producer([] {});
  client_->push(std::move(end));
  return false;
}

void RemoteRun::settle(const EndEvent& end) {
  const std::lock_guard lock(pool_->mutex);
  const TimePoint now = clock_.now();
  if (end.outcome == EndEvent::Outcome::Done) return pool_->replicas.succeeded(replica_);
  if (end.outcome == EndEvent::Outcome::Cancelled || !end.error) {
    return pool_->replicas.abandoned(replica_);
  }
  if (end.error->retry_after > std::chrono::milliseconds::zero()) {
    return pool_->replicas.asked_to_wait(replica_, now + end.error->retry_after);
  }
  if (worth_another(*end.error)) return pool_->replicas.failed(replica_, now);
  // It is the request that was wrong; or a deadline of ours, which says nothing of the server.
  pool_->replicas.abandoned(replica_);
}

}  // namespace minerva::backend
