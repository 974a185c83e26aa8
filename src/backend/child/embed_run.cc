#include "backend/child/embed_run.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>
#include <utility>

namespace minerva::backend {
namespace {

constexpr std::size_t kInputsPerCall = 32;

}  // namespace

EmbedRun::EmbedRun(std::shared_ptr<ChildSession> session, std::shared_ptr<const EngineWire> wire,
                   EmbedRequest request, std::shared_ptr<GenerationStream> stream,
                   const Clock& clock)
    : session_(std::move(session)),
      wire_(std::move(wire)),
      request_(std::move(request)),
      stream_(std::move(stream)),
      clock_(clock),
      submitted_(clock.now()) {
  ++session_->counters()->running;
}

EmbedRun::~EmbedRun() { --session_->counters()->running; }

Result<void> EmbedRun::begin() {
  stream_->on_wake_producer([weak = weak_from_this(), stream = std::weak_ptr(stream_)] {
    const auto self = weak.lock();
    const auto alive = stream.lock();
    if (self && alive && alive->cancelled()) self->cancel();
  });
  return start_next();
}

Result<void> EmbedRun::start_next() {
  count_ = std::min(kInputsPerCall, request_.inputs.size() - first_);
  MINERVA_ASSIGN(
      UpstreamRequest call,
      wire_->embed_call(std::span(request_.inputs).subspan(first_, count_), *session_->model()));
  if (request_.deadline) {
    call.total_max = *request_.deadline - clock_.now();
    if (call.total_max <= Duration::zero()) {
      return fail(ErrorCode::Timeout, "the request's deadline has passed");
    }
  }
  std::shared_ptr<UpstreamCall> running;
  {
    // Its end may come at once, on the loop's thread, and must find it here.
    const std::lock_guard lock(mutex_);
    running = call_ = session_->upstream().start(std::move(call), shared_from_this());
  }
  if (stream_->cancelled()) running->cancel();
  return {};
}

void EmbedRun::cancel() {
  std::shared_ptr<UpstreamCall> running;
  {
    const std::lock_guard lock(mutex_);
    running = call_;
  }
  if (running) running->cancel();
}

void EmbedRun::on_end(UpstreamEnd end) {
  if (stream_->cancelled()) return finish(EndEvent::Outcome::Cancelled);
  if (auto taken = take(end); !taken) {
    return finish(EndEvent::Outcome::Failed, std::move(taken).error());
  }
  first_ += count_;
  if (first_ == request_.inputs.size()) return finish(EndEvent::Outcome::Done);
  if (auto next = start_next(); !next) {
    finish(EndEvent::Outcome::Failed, std::move(next).error());
  }
}

Result<void> EmbedRun::take(const UpstreamEnd& end) {
  if (end.error) return fail(*end.error);
  if (end.status != 200) return fail(wire_->refusal(end));
  MINERVA_ASSIGN(WireVectors answer, wire_->read_vectors(end.body, count_));
  tokens_ += answer.prompt_tokens;
  for (std::size_t i = 0; i < count_; ++i) {
    if (width_ == 0) width_ = answer.vectors[i].size();
    if (answer.vectors[i].size() != width_) {
      return fail(ErrorCode::Unavailable,
                  fmt::format("the engine gave vectors of {} and of {} numbers", width_,
                              answer.vectors[i].size()));
    }
    ++session_->counters()->progress;
    stream_->push(
        EmbeddingEvent{static_cast<std::uint32_t>(first_ + i), std::move(answer.vectors[i])});
  }
  return {};
}

void EmbedRun::finish(EndEvent::Outcome outcome, std::optional<Error> error) {
  {
    const std::lock_guard lock(mutex_);
    call_.reset();
  }
  if (error && error->origin.empty()) error->origin = wire_->name();
  EndEvent end;
  end.outcome = outcome;
  end.error = std::move(error);
  end.usage.prompt_tokens = tokens_;
  end.timings.prefill = clock_.now() - submitted_;
  end.engine = wire_->name();
  stream_->push(std::move(end));
}

}  // namespace minerva::backend
