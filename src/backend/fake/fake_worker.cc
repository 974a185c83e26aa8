#include "backend/fake/fake_worker.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/rng.h"

namespace minerva::backend {
namespace {

constexpr auto kIdleWait = std::chrono::seconds(1);
// Deadlines are read from the clock that was passed in, which may be a fake one: so look often.
constexpr auto kDeadlineWait = std::chrono::milliseconds(5);

Error fake_error(ErrorCode code, std::string message) {
  return Error{code, std::move(message), {}, "fake"};
}

}  // namespace

void FakeWorker::Signal::raise() {
  {
    const std::lock_guard lock(mutex);
  }
  changed.notify_all();
}

FakeWorker::FakeWorker(FakeOptions options, const Clock& clock)
    : options_(std::move(options)),
      model_(options_.end_one_in, options_.script),
      clock_(clock),
      faults_(options_.faults),
      thread_([this] { run(); }) {}

FakeWorker::~FakeWorker() {
  if (thread_.joinable()) close();
}

void FakeWorker::close() {
  {
    const std::lock_guard lock(signal_->mutex);
    stopping_ = true;
  }
  signal_->changed.notify_all();
  thread_.join();
}

Result<void> FakeWorker::load(std::size_t context_size) {
  std::unique_lock lock(signal_->mutex);
  if (context_size_ != 0) {
    return fail(fake_error(ErrorCode::InvalidArgument, "a model is loaded: unload it first"));
  }
  ++loads_;
  health_ = Health::Starting;
  signal_->changed.notify_all();
  while (options_.hold_load && !load_released_ && !stopping_) {
    signal_->changed.wait_for(lock, kIdleWait);
  }
  if (faults_.load || stopping_) {
    health_ = Health::Failed;
    const Error error =
        faults_.load.value_or(fake_error(ErrorCode::Cancelled, "stopped while loading"));
    detail_ = error.message;
    return fail(error);
  }
  context_size_ =
      context_size == 0 ? options_.context_size : std::min(context_size, options_.context_size);
  health_ = Health::Ready;
  detail_.clear();
  return {};
}

void FakeWorker::unload() {
  std::unique_lock lock(signal_->mutex);
  if (!running_.empty()) abort_ = fake_error(ErrorCode::Cancelled, "the model was unloaded");
  signal_->changed.notify_all();
  while (!running_.empty()) signal_->changed.wait_for(lock, kIdleWait);
  abort_.reset();
  context_size_ = 0;
  if (health_ != Health::Failed) health_ = Health::Stopped;
}

Result<void> FakeWorker::submit(GenerateRequest request, std::vector<TokenId> prompt,
                                std::shared_ptr<GenerationStream> stream) {
  auto running = std::make_shared<Running>();
  running->seed = request.sampling.seed.value_or(random_seed());
  running->end.engine = "fake";
  running->end.seed = running->seed;
  running->end.usage.prompt_tokens = prompt.size();
  prompt.insert(prompt.end(), request.resume_prefix.begin(), request.resume_prefix.end());
  running->choices.assign(request.n, Choice{std::move(prompt), request.resume_prefix.size()});
  running->submitted = clock_.now();
  running->request = std::move(request);
  running->stream = std::move(stream);

  // Before the worker can push. Weak: a stream that outlives its request must not keep it.
  running->stream->on_wake_producer([signal = signal_, weak = std::weak_ptr<Running>(running)] {
    if (const auto alive = weak.lock()) alive->resumed = true;
    signal->raise();
  });
  {
    const std::lock_guard lock(signal_->mutex);
    const std::size_t length = running->choices.front().prefix.size();
    if (context_size_ == 0) {
      return fail(fake_error(ErrorCode::Unavailable, "no model is loaded: call load_model first"));
    }
    if (length >= context_size_) {
      return fail(fake_error(ErrorCode::ContextExceeded,
                             fmt::format("the prompt has {} tokens, which leaves no room in the "
                                         "context of {}: shorten it or load with a larger one",
                                         length, context_size_)));
    }
    running->context_size = context_size_;
    running_.push_back(std::move(running));
  }
  signal_->raise();
  return {};
}

bool FakeWorker::must_end(const Running& running) const {
  if (stopping_ || abort_) return true;
  if (faults_.deaf) return false;
  return running.stream->cancelled() ||
         (running.request.deadline && clock_.now() >= *running.request.deadline);
}

bool FakeWorker::may_generate(const Running& running) const {
  if (running.hung || (options_.manual && allowed_steps_ == 0)) return false;
  return !running.paused || running.resumed;
}

void FakeWorker::run() {
  std::unique_lock lock(signal_->mutex);
  while (!stopping_ || !running_.empty()) {
    std::vector<std::shared_ptr<Running>> ending;
    std::vector<std::shared_ptr<Running>> batch;
    std::vector<std::shared_ptr<Running>> queued;
    bool has_deadline = false;
    for (const auto& running : running_) {
      has_deadline = has_deadline || running->request.deadline.has_value();
      if (must_end(*running)) {
        ending.push_back(running);
      } else if (batch.size() < options_.batch_max && may_generate(*running)) {
        batch.push_back(running);
      } else if (batch.size() >= options_.batch_max && !running->first_step && !running->queued) {
        queued.push_back(running);
      }
    }
    if (ending.empty() && batch.empty()) {
      if (has_deadline) {
        signal_->changed.wait_for(lock, kDeadlineWait);
      } else {
        signal_->changed.wait_for(lock, kIdleWait);
      }
      continue;
    }
    if (!batch.empty() && options_.manual) --allowed_steps_;
    widest_step_ = std::max(widest_step_, batch.size());
    const FakeFaults faults = faults_;
    const std::optional<Error> abort =
        stopping_ ? fake_error(ErrorCode::Cancelled, "the backend was stopped") : abort_;
    if (!batch.empty() && options_.token_latency > Duration::zero()) {
      signal_->changed.wait_for(lock, options_.token_latency, [this] { return stopping_; });
    }
    lock.unlock();

    // Streams call back into us, so they are pushed to without the lock.
    for (const auto& running : queued) {
      running->queued = true;
      running->stream->push(ProgressEvent{});
    }
    bool died = false;
    for (const auto& running : ending) {
      if (abort) {
        const bool failed = abort->code != ErrorCode::Cancelled;
        end(*running, failed ? EndEvent::Outcome::Failed : EndEvent::Outcome::Cancelled,
            failed ? abort : std::nullopt);
      } else {
        end_if_asked(*running, faults);
      }
    }
    std::uint64_t made = 0;
    for (const auto& running : batch) {
      const std::uint64_t before = running->end.usage.completion_tokens;
      died = generate_step(*running, faults) || died;
      made += running->end.usage.completion_tokens - before;
    }

    lock.lock();
    tokens_made_ += made;
    if (died) die();
    std::erase_if(running_, [](const auto& running) { return running->ended; });
    if (running_.empty() && health_ == Health::Failed) abort_.reset();
    signal_->changed.notify_all();
  }
}

void FakeWorker::end_if_asked(Running& running, const FakeFaults& faults) {
  if (faults.deaf) return;
  if (running.stream->cancelled()) {
    end(running, EndEvent::Outcome::Cancelled);
  } else {
    end(running, EndEvent::Outcome::Failed,
        fake_error(ErrorCode::Timeout, fmt::format("the deadline passed after {} tokens",
                                                   running.end.usage.completion_tokens)));
  }
}

bool FakeWorker::generate_step(Running& running, const FakeFaults& faults) {
  running.resumed = false;
  running.paused = false;
  const std::size_t prompt_tokens = running.choices.front().prefix.size();
  if (!running.first_step) {
    running.first_step = clock_.now();
    running.stream->push(
        ProgressEvent{ProgressEvent::Phase::Prefill, prompt_tokens, prompt_tokens, 0});
  }
  for (std::uint32_t i = 0; i < running.choices.size(); ++i) {
    if (running.choices[i].ended) continue;
    if (generate_token(running, i, faults)) return true;
    if (running.ended || running.hung) return false;
  }
  if (std::ranges::all_of(running.choices, &Choice::ended)) end(running, EndEvent::Outcome::Done);
  return false;
}

FakeWorker::Fault FakeWorker::fault_at(const FakeFaults& faults, std::uint64_t token,
                                       std::string_view bytes) {
  if (faults.fail_at_token == token) return Fault::Fail;
  if (faults.hang_at_token == token) return Fault::Hang;
  // A byte of 10xxxxxx goes on with a character.
  const bool inside = !bytes.empty() && (static_cast<unsigned char>(bytes[0]) & 0xC0U) == 0x80U;
  if (faults.die_at_token == token || (faults.die_inside_character && inside)) return Fault::Die;
  return Fault::None;
}

bool FakeWorker::generate_token(Running& running, std::uint32_t index, const FakeFaults& faults) {
  Choice& choice = running.choices[index];
  const GenerateRequest& request = running.request;
  const std::uint64_t max_tokens = request.max_tokens.value_or(options_.context_size);
  if (choice.generated >= max_tokens) {
    end_choice(running, index, FinishReason::Length);
    return false;
  }
  const auto candidates =
      model_.candidates(choice.prefix, choice.generated, request.ignore_end_of_generation);
  const FakeCandidate chosen =
      FakeModel::choose(candidates, request.sampling, running.seed, index, choice.generated);
  const std::string bytes = FakeModel::bytes(chosen.id);
  switch (fault_at(faults, choice.generated, bytes)) {
    case Fault::None:
      break;
    case Fault::Fail:
      end(running, EndEvent::Outcome::Failed,
          fake_error(ErrorCode::Internal,
                     fmt::format("ordered to fail at token {}", choice.generated)));
      return false;
    case Fault::Hang:
      running.hung = true;
      return false;
    case Fault::Die:
      return true;
  }
  if (chosen.id == FakeModel::kEnd) {
    ++running.end.usage.completion_tokens;  // it was generated, too
    end_choice(running, index, FinishReason::Stop);
    return false;
  }

  TokenEvent event{index, chosen.id, bytes, std::nullopt, {}};
  if (request.logprobs >= 0) {
    event.logprob = chosen.logprob;
    for (const FakeCandidate& candidate : candidates) {
      if (event.top.size() >= static_cast<std::size_t>(request.logprobs)) break;
      event.top.push_back({candidate.id, FakeModel::bytes(candidate.id), candidate.logprob});
    }
  }
  choice.prefix.push_back(chosen.id);
  ++choice.generated;
  ++running.end.usage.completion_tokens;
  running.last_token = clock_.now();
  if (!running.first_token) running.first_token = running.last_token;
  const auto verdict = running.stream->push(std::move(event));
  running.paused = running.paused || verdict == GenerationStream::Push::Full;
  if (choice.generated >= max_tokens || choice.prefix.size() >= running.context_size) {
    end_choice(running, index, FinishReason::Length);
  }
  return false;
}

void FakeWorker::end_choice(Running& running, std::uint32_t index, FinishReason reason) {
  running.choices[index].ended = true;
  running.stream->push(ChoiceEndEvent{index, reason});
}

void FakeWorker::end(Running& running, EndEvent::Outcome outcome, std::optional<Error> error) {
  running.ended = true;
  running.end.outcome = outcome;
  running.end.error = std::move(error);
  if (running.first_step) running.end.timings.queued = *running.first_step - running.submitted;
  if (running.first_token) {
    running.end.timings.prefill = *running.first_token - *running.first_step;
    running.end.timings.decode = running.last_token - *running.first_token;
  }
  running.stream->push(running.end);
}

void FakeWorker::stop(Duration grace) {
  {
    std::unique_lock lock(signal_->mutex);
    signal_->changed.wait_for(lock, grace, [this] { return running_.empty(); });
  }
  unload();
}

void FakeWorker::kill() {
  {
    const std::lock_guard lock(signal_->mutex);
    die();
  }
  signal_->changed.notify_all();
}

void FakeWorker::die() {
  if (!running_.empty()) abort_ = fake_error(ErrorCode::Unavailable, "the engine died");
  health_ = Health::Failed;
  detail_ = "the engine died";
  context_size_ = 0;
}

Probe FakeWorker::probe() const {
  const std::lock_guard lock(signal_->mutex);
  return {health_, detail_};
}

std::size_t FakeWorker::context_size() const {
  const std::lock_guard lock(signal_->mutex);
  return context_size_;
}

void FakeWorker::set_faults(FakeFaults faults) {
  {
    const std::lock_guard lock(signal_->mutex);
    faults_ = std::move(faults);
  }
  signal_->changed.notify_all();
}

void FakeWorker::advance(std::uint64_t steps) {
  {
    const std::lock_guard lock(signal_->mutex);
    allowed_steps_ += steps;
  }
  signal_->changed.notify_all();
}

void FakeWorker::set_load_progress(LoadProgress progress) {
  const std::lock_guard lock(signal_->mutex);
  load_progress_ = progress;
}

LoadProgress FakeWorker::load_progress() const {
  const std::lock_guard lock(signal_->mutex);
  return load_progress_;
}

void FakeWorker::release_load() {
  {
    const std::lock_guard lock(signal_->mutex);
    load_released_ = true;
  }
  signal_->changed.notify_all();
}

FakeFaults FakeWorker::faults() const {
  const std::lock_guard lock(signal_->mutex);
  return faults_;
}

std::size_t FakeWorker::running() const {
  const std::lock_guard lock(signal_->mutex);
  return running_.size();
}

std::size_t FakeWorker::loads() const {
  const std::lock_guard lock(signal_->mutex);
  return loads_;
}

std::size_t FakeWorker::widest_step() const {
  const std::lock_guard lock(signal_->mutex);
  return widest_step_;
}

std::uint64_t FakeWorker::tokens_made() const {
  const std::lock_guard lock(signal_->mutex);
  return tokens_made_;
}

}  // namespace minerva::backend
