#include "backend/child/session.h"

#include <fmt/core.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "base/log.h"
#include "process/port.h"

namespace minerva::backend {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(25);
constexpr Duration kPoll = std::chrono::milliseconds(15);  // between two looks while it starts
constexpr std::size_t kSideConnections = 2;
constexpr Duration kHealthMax = std::chrono::seconds(2);
// The loop does this in microseconds; it is a bound, not a wait.
constexpr Duration kSweepMax = std::chrono::seconds(10);
// An engine that runs already (no child) is asked so often before a failure to connect counts.
constexpr Duration kUnreachableMax = std::chrono::seconds(5);

Error error_of(const ChildBackendOptions& options, ErrorCode code, std::string message) {
  return {code, std::move(message), {}, std::string(options.wire->name())};
}

ChildBackendOptions with_wire(ChildBackendOptions options, const LaunchPlan& plan) {
  if (plan.wire != nullptr) options.wire = plan.wire;
  return options;
}

}  // namespace

ChildSession::ChildSession(const ChildBackendOptions& options, std::string name, LaunchPlan plan,
                           UpstreamLoop& loop, const Clock& clock)
    : options_(with_wire(options, plan)),
      plan_(std::move(plan)),
      loop_(loop),
      clock_(clock),
      name_(std::move(name)),
      model_(std::make_shared<WireModel>(plan_.model)) {}

// --- getting ready ---

Result<void> ChildSession::bring_up() {
  const SteadyTime until = std::chrono::steady_clock::now() + options_.ready_max;
  if (plan_.child) {
    MINERVA_ASSIGN(owned_child_, process::Child::spawn(*plan_.child));
    child_ = owned_child_.get();
  }
  MINERVA_TRY(connect());
  MINERVA_TRY(wait_until_healthy(until));
  MINERVA_TRY(prove_port());
  const auto left = until - std::chrono::steady_clock::now();
  MINERVA_TRY(options_.wire->inspect(*side_, *model_,
                                     std::max<Duration>(left, std::chrono::milliseconds(1))));
  // A token of somebody else's server may cost money, and that it answers is enough to know.
  // Whoever loads it asks an engine that makes no tokens for a vector.
  if (plan_.child && model_->generates) MINERVA_TRY(generate_one(until));
  settle_capabilities();
  return {};
}

Result<void> ChildSession::connect() {
  UpstreamOptions upstream = plan_.upstream;
  if (upstream.name.empty()) upstream.name = options_.wire->name();
  upstream.connect_max = std::min(upstream.connect_max, options_.connect_max);
  UpstreamOptions side = upstream;
  side.connections_max = kSideConnections;
  MINERVA_ASSIGN(upstream_, Upstream::make(std::move(upstream), loop_));
  MINERVA_ASSIGN(side_, Upstream::make(std::move(side), loop_));
  return {};
}

Result<void> ChildSession::check_alive(SteadyTime until, std::string_view doing) const {
  if (abandoned_) return fail(error_of(options_, ErrorCode::Cancelled, "the load was abandoned"));
  if (!alive()) {
    return fail(error_of(options_, ErrorCode::Unavailable,
                         fmt::format("the engine ended while it {}: {}", doing, how_it_ended())));
  }
  if (std::chrono::steady_clock::now() < until) return {};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options_.ready_max);
  return fail(error_of(
      options_, ErrorCode::Timeout,
      fmt::format("the engine was not ready within {} s: it still {}", seconds.count(), doing)));
}

void ChildSession::wait_a_moment() const {
  if (child() != nullptr) {
    static_cast<void>(child()->wait_for(kPoll));
  } else {
    std::this_thread::sleep_for(kPoll);
  }
}

Result<void> ChildSession::wait_until_healthy(SteadyTime until) {
  const SteadyTime unreachable = std::chrono::steady_clock::now() + kUnreachableMax;
  const std::string path(options_.wire->health_path());
  while (true) {
    MINERVA_TRY(check_alive(until, "loaded the model"));
    UpstreamRequest ask;
    ask.method = "GET";
    ask.path = path;
    ask.total_max = kHealthMax;
    const auto answer = side_->exchange(std::move(ask));
    if (answer) {
      const LoadProgress progress = options_.wire->load_progress(*answer);
      load_done_ = progress.done;
      load_total_ = progress.total;
      const EngineHealth health = options_.wire->read_health(*answer);
      if (health == EngineHealth::Answering) return {};
      if (health == EngineHealth::Dead) {
        if (auto why = options_.wire->load_failure(*answer)) return fail(std::move(*why));
        return fail(error_of(options_, ErrorCode::Unavailable,
                             fmt::format("the engine cannot load the model: {}", how_it_ended())));
      }
    } else if (child() == nullptr && std::chrono::steady_clock::now() >= unreachable) {
      return fail(answer.error());
    }
    wait_a_moment();
  }
}

Result<void> ChildSession::prove_port() const {
  if (child() == nullptr || !plan_.prove_port) return {};
  const std::uint16_t port = plan_.upstream.address.port;
  if (process::listens(child()->pid(), port)) return {};
  return fail(error_of(options_, ErrorCode::Unavailable,
                       fmt::format("another process answers at port {}, not the engine that was "
                                   "started",
                                   port)));
}

Result<void> ChildSession::generate_one(SteadyTime until) {
  struct Watcher final : UpstreamHandler {
    void on_event(const wire::SseEvent& event) override {
      const std::lock_guard lock(mutex);
      if (error) return;
      std::vector<GenerationEvent> out;
      if (const auto read = reader->read(event, out); !read) error = read.error();
      for (const auto& said : out) tokens += std::holds_alternative<ProgressEvent>(said) ? 0 : 1;
    }
    void on_end(UpstreamEnd given) override {
      const std::lock_guard lock(mutex);
      end = std::move(given);
    }
    std::mutex mutex;
    std::unique_ptr<ChunkReader> reader;
    std::optional<Error> error;
    std::size_t tokens = 0;
    std::optional<UpstreamEnd> end;
  };
  const auto watcher = std::make_shared<Watcher>();
  GenerateRequest request;
  request.sampling.temperature = 0;
  const WireRequest ask{request};
  watcher->reader = options_.wire->reader(ask, *model_);
  MINERVA_ASSIGN(UpstreamRequest call, options_.wire->warm_up_call(*model_));
  const auto running = upstream_->start(std::move(call), watcher);
  std::optional<UpstreamEnd> end;
  while (!end) {
    if (const auto fine = check_alive(until, "made its first token"); !fine) {
      running->cancel();
      return fine;
    }
    wait_a_moment();
    const std::lock_guard lock(watcher->mutex);
    if (watcher->error) {
      running->cancel();
      return fail(error_of(options_, ErrorCode::Unavailable, std::move(watcher->error->message)));
    }
    if (watcher->end) end = std::move(watcher->end);
  }
  if (end->error) {
    // A child that has just died shows as a closed connection first.
    if (child() != nullptr && child()->wait_for(std::chrono::milliseconds(200))) {
      return check_alive(until, "made its first token");
    }
    return fail(std::move(*end->error));
  }
  if (end->status != 200) return fail(options_.wire->refusal(*end));
  if (watcher->tokens > 0) return {};
  return fail(
      error_of(options_, ErrorCode::Unavailable, "the engine answered, but generated nothing"));
}

void ChildSession::settle_capabilities() {
  capabilities_ = options_.wire->capabilities(*model_);
  capabilities_.choices_max = options_.choices_max;
  const bool by_engine = options_.wire->tokenize_call("a", {}).has_value();
  capabilities_.tokenize = model_->tokenizer != nullptr || by_engine ? Support::Yes : Support::No;
}

// --- state ---

bool ChildSession::alive() const { return child() == nullptr || child()->running(); }

std::string ChildSession::how_it_ended() const {
  if (child() == nullptr) return "it is not ours to start";
  const auto status = child()->exit_status();
  std::string words = status ? status->words() : std::string("it runs");
  if (given_up_) words = "it said that it can generate no more, and was killed";
  const auto lines = child()->last_log_lines(20);
  const auto said =
      std::ranges::find_if(lines.rbegin(), lines.rend(), [this](const std::string& line) {
        return line.find_first_not_of(' ') != std::string::npos && !options_.wire->is_noise(line);
      });
  if (said != lines.rend()) words += fmt::format("; it last said: {}", cleaned_message(*said));
  return words;
}

// --- what runs ---

void ChildSession::submit(std::shared_ptr<Generation> generation) {
  loop_.post([self = shared_from_this(), generation = std::move(generation)] {
    self->generations_.insert(generation);
    const auto done = [self, weak = std::weak_ptr(generation)] {
      if (const auto ended = weak.lock()) self->on_ended(ended);
    };
    if (self->closed_) {
      generation->refuse(*self->closed_, done);
      return;
    }
    generation->begin(*self->upstream_, done);
    if (!self->ticking_ && !self->generations_.empty()) self->tick();
  });
}

void ChildSession::on_ended(const std::shared_ptr<Generation>& generation) {
  generations_.erase(generation);
  if (generation->failed_by_engine()) look_after_engine();
  const std::lock_guard lock(idle_mutex_);
  idle_.notify_all();
}

// An engine may live on and generate nothing: mlx_lm.server does, once its one thread has died.
void ChildSession::look_after_engine() {
  if (child() == nullptr || looking_ || closed_ || !alive()) return;
  struct Look final : UpstreamHandler {
    explicit Look(std::weak_ptr<ChildSession> owner) : session(std::move(owner)) {}
    void on_event(const wire::SseEvent&) override {}
    void on_end(UpstreamEnd end) override {
      if (const auto alive = session.lock()) alive->on_looked(end);
    }
    const std::weak_ptr<ChildSession> session;
  };
  looking_ = true;
  UpstreamRequest ask;
  ask.method = "GET";
  ask.path = std::string(options_.wire->health_path());
  ask.total_max = kHealthMax;
  side_->start(std::move(ask), std::make_shared<Look>(weak_from_this()));
}

void ChildSession::on_looked(const UpstreamEnd& end) {
  looking_ = false;
  if (end.error || options_.wire->read_health(end) != EngineHealth::Dead || !alive()) return;
  given_up_ = true;
  closed_ = error_of(options_, ErrorCode::Unavailable,
                     fmt::format("the engine ended: {}", how_it_ended()));
  end_all(EndEvent::Outcome::Failed, closed_);
  child()->kill();
}

void ChildSession::tick() {
  ticking_ = false;
  if (!alive()) {
    end_all(EndEvent::Outcome::Failed,
            error_of(options_, ErrorCode::Unavailable,
                     fmt::format("the engine ended: {}", how_it_ended())));
  }
  // A last look may come after the backend, and the clock with it, has gone.
  if (generations_.empty()) return;
  const TimePoint now = clock_.now();
  const auto running = generations_;
  for (const auto& generation : running) generation->tick(now);
  if (generations_.empty()) return;
  ticking_ = true;
  loop_.post_after(kTick, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->tick();
  });
}

void ChildSession::end_all(EndEvent::Outcome outcome, const std::optional<Error>& error) {
  const auto running = generations_;
  for (const auto& generation : running) generation->end(outcome, error);
}

void ChildSession::close_on_loop() {
  loop_.post([self = shared_from_this()] {
    self->closed_ = error_of(self->options_, ErrorCode::Unavailable, "the engine was stopped");
    self->end_all(EndEvent::Outcome::Cancelled, {});
  });
}

void ChildSession::kill() {
  abandoned_ = true;
  close_on_loop();
  if (child() != nullptr) child()->kill();
}

void ChildSession::take_down(Duration grace) {
  abandoned_ = true;
  {
    std::unique_lock lock(idle_mutex_);
    idle_.wait_for(lock, grace, [&] { return counters_->running == 0 || !alive(); });
  }
  close_on_loop();
  // Connections are closed before the engine is told to stop, so that it idles by then: some hang
  // when they are told so while they compute.
  const Error stops = error_of(options_, ErrorCode::Cancelled, "the engine stops");
  if (upstream_ != nullptr) upstream_->fail_all(stops);
  if (side_ != nullptr) side_->fail_all(stops);
  loop_.post([self = shared_from_this()] {
    const std::lock_guard lock(self->idle_mutex_);
    self->swept_ = true;
    self->idle_.notify_all();
  });
  {
    std::unique_lock lock(idle_mutex_);
    idle_.wait_for(lock, kSweepMax, [&] { return swept_; });
  }
  if (child() != nullptr) static_cast<void>(child()->stop(options_.ladder));
}

}  // namespace minerva::backend
