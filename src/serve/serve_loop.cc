#include "serve/serve_loop.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/system.h"

namespace minerva::serve {
namespace {

// While somebody waits for something whose time comes by itself, and otherwise.
constexpr auto kTick = std::chrono::milliseconds(50);
// Memory and processor time are measured so often: that walks the page tables of large processes
// and all of /proc, 5 ms of a processor that the engine would use.
constexpr int kLooksPerMeasure = 4;
constexpr auto kCloseMax = std::chrono::seconds(30);
// Who waits hears so often how far it is.
constexpr auto kTellEvery = std::chrono::seconds(1);

std::optional<unsigned> load_percent(const EngineRunner& runner) {
  const auto engine = runner.engine();
  if (!engine) return std::nullopt;
  const backend::LoadProgress progress = engine->load_progress();
  if (progress.total == 0) return std::nullopt;
  const double part = static_cast<double>(progress.done) / static_cast<double>(progress.total);
  return static_cast<unsigned>(std::min(part, 1.0) * 100);
}

Error context_error(std::size_t tokens, std::size_t context_size) {
  return {ErrorCode::ContextExceeded,
          fmt::format("the prompt has {} tokens, and the context holds {} with at least one of "
                      "them for the answer: shorten the prompt, or serve the model with a larger "
                      "context",
                      tokens, context_size)};
}

InstanceUsage usage_of(const backend::InferenceBackend& engine) {
  const backend::ResourceUsage usage = engine.usage();
  InstanceUsage out;
  for (const backend::DeviceMemory& memory : usage.memory) {
    // Other devices' memory is not this machine's to give.
    if (memory.device == "cpu") out.held_bytes += memory.bytes;
  }
  out.mapped_bytes = usage.mapped_bytes;
  out.cpu_time = usage.cpu_time;
  out.pid = usage.pid;
  return out;
}

// The tokens that end a text stay at its end; they are looked for, as a client's own ids may have
// none.
void cut_off(std::vector<backend::EmbedInput>& inputs, std::size_t tokens_max,
             std::span<const TokenId> ending) {
  for (backend::EmbedInput& input : inputs) {
    auto& tokens = std::get<std::vector<TokenId>>(input);
    if (tokens_max == 0 || tokens.size() <= tokens_max) continue;
    const auto tail =
        tokens.end() - static_cast<std::ptrdiff_t>(std::min(ending.size(), tokens_max));
    const bool kept = std::equal(tail, tokens.end(), ending.begin(), ending.end());
    const auto too_many = static_cast<std::ptrdiff_t>(tokens.size() - tokens_max);
    const auto to = kept ? tail : tokens.end();
    tokens.erase(to - too_many, to);
  }
}

}  // namespace

bool ServeLoop::Mailbox::post(std::function<void()> message) {
  {
    const std::lock_guard lock(mutex);
    if (closed) return false;
    messages.push_back(std::move(message));
  }
  arrived.notify_one();
  return true;
}

ServeLoop::ServeLoop(LoopOptions options, Workers& workers, const Clock& clock, Metrics& metrics)
    : options_(options),
      workers_(workers),
      clock_(clock),
      metrics_(metrics),
      switchboard_(options.switchboard, *this) {
  thread_ = std::thread([this] { run(); });
  watcher_ = std::thread([this] { watch(); });
}

ServeLoop::~ServeLoop() {
  {
    const std::lock_guard lock(watch_mutex_);
    watch_stop_ = true;
  }
  watch_changed_.notify_all();
  watcher_.join();
  mailbox_->post([this] { closing_ = true; });
  thread_.join();
}

TicketId ServeLoop::next_ticket() { return next_ticket_.fetch_add(1); }

GenerationLink::Tell ServeLoop::teller(TicketId id) const {
  // The generation may outlive the loop; the mailbox then takes nothing.
  return [mailbox = mailbox_, self = const_cast<ServeLoop*>(this), id](TicketNews news) {
    mailbox->post(
        [self, id, news = std::move(news)]() mutable { self->on_news(id, std::move(news)); });
  };
}

void ServeLoop::run() {
  std::deque<std::function<void()>> messages;
  TimePoint next_tick = clock_.now();
  auto give_up = std::chrono::steady_clock::time_point::max();
  while (true) {
    {
      std::unique_lock lock(mailbox_->mutex);
      mailbox_->arrived.wait_for(lock, kTick, [this] { return !mailbox_->messages.empty(); });
      messages.swap(mailbox_->messages);
    }
    const bool was_closing = closing_;
    const bool quiet = messages.empty();
    for (auto& message : messages) message();
    messages.clear();
    const TimePoint now = clock_.now();
    if (closing_ && !was_closing) {
      give_up = std::chrono::steady_clock::now() + kCloseMax;
      switchboard_.close(now);
    }
    if (quiet || now >= next_tick || closing_) {
      switchboard_.tick(now);
      next_tick = now + kTick;
      tell_waiting(now);
    }
    // A breaker opens and closes by time alone.
    if (std::exchange(changed_, false) || (quiet && breakers_open_)) {
      publish();
    }
    for (auto& answer : std::exchange(outgoing_, {})) answer();
    if (closing_ && (switchboard_.at_rest() || std::chrono::steady_clock::now() > give_up)) break;
  }
  // What is left ends outside the lock: it may own what posts when it goes.
  std::deque<std::function<void()>> dropped;
  const std::lock_guard lock(mailbox_->mutex);
  mailbox_->closed = true;
  dropped.swap(mailbox_->messages);
}

void ServeLoop::watch() {
  std::unique_lock lock(watch_mutex_);
  for (int round = 0; !watch_stop_; ++round) {
    watch_changed_.wait_for(lock, options_.look_every, [this] { return watch_stop_; });
    if (watch_stop_) return;
    lock.unlock();
    const auto snapshot = this->snapshot();
    for (std::size_t id = 0; id < snapshot->size(); ++id) {
      const InstanceSnapshot& place = (*snapshot)[id];
      const bool ready = place.info.state == ModelState::Ready;
      if (!ready && place.info.state != ModelState::Loading) continue;
      const auto engine = place.runner->engine();
      if (!engine) continue;
      InstanceLook look;
      if (ready) {
        const backend::Probe probe = engine->probe();
        look.alive = engine->is_loaded() && probe.health != backend::Health::Failed;
        look.detail = probe.detail.empty() ? "it has no model any more" : probe.detail;
        look.activity = engine->activity();
      }
      if (round % kLooksPerMeasure == 0) look.usage = usage_of(*engine);
      mailbox_->post([this, id, engine, look = std::move(look)] {
        // Another engine may have taken its place since.
        if (places_[id].runner->engine() != engine) return;
        switchboard_.look(static_cast<InstanceId>(id), look, clock_.now());
        changed_ = true;
      });
    }
    lock.lock();
  }
}

// --- what comes in ---

std::vector<InstanceId> ServeLoop::places_of(std::vector<InstancePlan>& chain) {
  std::vector<InstanceId> ids;
  for (InstancePlan& plan : chain) {
    const auto known = by_key_.find(plan.key);
    if (known != by_key_.end()) {
      switchboard_.join(known->second, plan.setup);
      ids.push_back(known->second);
      continue;
    }
    const InstanceId id = switchboard_.add(plan.setup);
    places_.push_back({plan.key, plan.setup.engine,
                       std::make_shared<EngineRunner>(plan.runner, plan.kind, workers_, clock_),
                       plan.learned});
    by_key_.emplace(plan.key, id);
    ids.push_back(id);
  }
  return ids;
}

void ServeLoop::submit(Job job) {
  const auto link = job.link;
  const TicketId id = job.ticket;
  const bool taken = mailbox_->post([this, id, job = std::make_shared<Job>(std::move(job))] {
    changed_ = true;
    Ticket& ticket = tickets_[id];
    ticket.chain = places_of(job->chain);
    TicketAsk ask;
    ask.chain = ticket.chain;
    ask.prompt_tokens = job->embed ? job->embed->total() : job->prompt.tokens.size();
    ask.wait_until = job->wait_until;
    ticket.job = std::move(*job);
    switchboard_.request(id, std::move(ask), clock_.now());
  });
  if (!taken) link->refuse(Error{ErrorCode::Unavailable, "the server is stopping"}, {});
}

void ServeLoop::load(InstancePlan plan, TimePoint wait_until,
                     std::function<void(Result<void>)> done) {
  const TicketId id = next_ticket();
  const auto shared = std::make_shared<std::function<void(Result<void>)>>(std::move(done));
  const bool taken = mailbox_->post([this, id, plan = std::move(plan), wait_until, shared] {
    changed_ = true;
    std::vector<InstancePlan> chain = {plan};
    Ticket& ticket = tickets_[id];
    ticket.loaded = *shared;
    ticket.chain = places_of(chain);
    switchboard_.request(id, {ticket.chain, 0, wait_until, true}, clock_.now());
  });
  if (!taken) (*shared)(fail(ErrorCode::Unavailable, "the server is stopping"));
}

void ServeLoop::unload(std::string model, std::vector<std::string> keys, bool at_once,
                       std::function<void(Result<void>)> done) {
  const auto shared = std::make_shared<std::function<void(Result<void>)>>(std::move(done));
  const bool taken =
      mailbox_->post([this, model = std::move(model), keys = std::move(keys), at_once, shared] {
        changed_ = true;
        Unloading unloading{{}, *shared};
        for (const Switchboard::Status& status : switchboard_.statuses(clock_.now())) {
          // By its name also where its file has changed since.
          const bool meant = status.setup->model == model ||
                             std::ranges::find(keys, places_[status.id].key) != keys.end();
          if (meant && switchboard_.occupied(status.id)) unloading.left.insert(status.id);
        }
        if (unloading.left.empty()) {
          outgoing_.emplace_back([shared, model] {
            (*shared)(
                fail(ErrorCode::NotFound, fmt::format("model '{}' is not loaded", model), "model"));
          });
          return;
        }
        const std::set<InstanceId> ids = unloading.left;
        unloadings_.push_back(std::move(unloading));
        for (const InstanceId id : ids) switchboard_.unload(id, at_once, clock_.now());
      });
  if (!taken) (*shared)(fail(ErrorCode::Unavailable, "the server is stopping"));
}

void ServeLoop::on_unloaded(InstanceId id) {
  switchboard_.unloaded(id, clock_.now());
  std::erase_if(unloadings_, [&](Unloading& unloading) {
    unloading.left.erase(id);
    if (!unloading.left.empty()) return false;
    outgoing_.emplace_back([done = unloading.done] { done({}); });
    return true;
  });
}

bool ServeLoop::has_died(TicketId id) const {
  const auto at = tickets_.find(id);
  if (at == tickets_.end() || !at->second.dispatched_to) return false;
  const auto engine = places_[*at->second.dispatched_to].runner->engine();
  return !engine || !engine->is_loaded() || engine->probe().health == backend::Health::Failed;
}

void ServeLoop::on_news(TicketId id, TicketNews news) {
  const TimePoint now = clock_.now();
  switch (news.kind) {
    case TicketNews::Kind::FirstToken:
      switchboard_.first_token(id, now);
      return;
    case TicketNews::Kind::Failed: {
      const bool died = has_died(id);
      if (const auto at = tickets_.find(id); at != tickets_.end()) {
        at->second.dispatched_to.reset();
      }
      switchboard_.failed(id, std::move(*news.error), died, now);
      if (!switchboard_.knows(id)) tickets_.erase(id);
      break;
    }
    case TicketNews::Kind::Ended:
      switchboard_.ended(id, news.end, news.end.error && has_died(id), now);
      tickets_.erase(id);
      break;
    case TicketNews::Kind::Gone:
      switchboard_.gone(id, now);
      // One that was given to an engine a moment ago still has its end to come.
      if (!switchboard_.knows(id)) tickets_.erase(id);
      break;
  }
  changed_ = true;
}

// --- what goes out ---

void ServeLoop::start_load(InstanceId id) {
  places_[id].runner->load(
      [this, id, begun = clock_.now(), mailbox = mailbox_](Result<void> outcome) {
        mailbox->post([this, id, begun, outcome = std::move(outcome)] {
          changed_ = true;
          const TimePoint now = clock_.now();
          // What it needs is best known right after it was loaded.
          if (const auto engine = places_[id].runner->engine(); engine && outcome) {
            switchboard_.look(id, {true, {}, engine->activity(), usage_of(*engine)}, now);
          }
          switchboard_.loaded(id, outcome, now);
          if (outcome) {
            metrics_.observe(Metric::ModelLoadSeconds,
                             std::chrono::duration<double>(now - begun).count());
          }
        });
      });
}

void ServeLoop::abort_load(InstanceId id) { places_[id].runner->abort(); }

void ServeLoop::start_unload(InstanceId id, bool kill) {
  places_[id].runner->unload(kill, [this, id, mailbox = mailbox_] {
    mailbox->post([this, id] {
      changed_ = true;
      on_unloaded(id);
    });
  });
}

void ServeLoop::probe(InstanceId id) {
  places_[id].runner->probe(options_.probe_time_max, [this, id, mailbox = mailbox_](bool passed) {
    mailbox->post([this, id, passed] {
      changed_ = true;
      switchboard_.probed(id, passed, clock_.now());
    });
  });
}

Result<void> ServeLoop::hand_over(const Job& job, backend::InferenceBackend& engine,
                                  const std::shared_ptr<backend::GenerationStream>& stream) {
  const backend::Capabilities can = engine.capabilities();
  if (job.embed) {
    backend::EmbedRequest order = job.embed->order;
    const bool ids = can.token_prompts != backend::Support::No && !job.embed->tokens.empty();
    if (ids) {
      order.inputs.assign(job.embed->tokens.begin(), job.embed->tokens.end());
      if (job.embed->truncate) cut_off(order.inputs, engine.text_tokens_max(), job.embed->ending);
    } else {
      order.inputs.assign(job.embed->texts.begin(), job.embed->texts.end());
    }
    return engine.embed(std::move(order), stream);
  }
  backend::GenerateRequest order = job.order;
  const std::size_t tokens = job.prompt.tokens.size();
  const std::size_t context = engine.context_size();
  if (context != 0 && tokens >= context) return fail(context_error(tokens, context));
  if (job.chat && can.chat_only != backend::Support::No) {
    order.prompt.emplace_back(*job.chat);
  } else if (can.token_prompts != backend::Support::No && tokens > 0) {
    order.prompt.emplace_back(job.prompt.tokens);
  } else {
    order.prompt.emplace_back(job.prompt.text);
  }
  return engine.generate(std::move(order), stream);
}

void ServeLoop::dispatch(TicketId id, InstanceId place, const std::vector<FailedAttempt>& retries) {
  Ticket& ticket = tickets_.at(id);
  ticket.dispatched_to = place;
  const Job& job = *ticket.job;
  const auto engine = places_[place].runner->engine();
  const auto failed = [this, id](Error why) {
    // Later: the switchboard is in the middle of something.
    mailbox_->post([this, id, why = std::move(why)]() mutable {
      on_news(id, {TicketNews::Kind::Failed, std::move(why), {}});
    });
  };
  if (!engine) return failed(Error{ErrorCode::Unavailable, "the engine has gone"});

  auto stream = job.link->make_stream();
  if (auto taken = hand_over(job, *engine, stream); !taken) {
    job.link->withdraw_stream();
    return failed(std::move(taken).error());
  }
  std::string reason;
  for (std::size_t i = 0; i < ticket.chain.size(); ++i) {
    if (ticket.chain[i] == place) reason = job.chain[i].reason;
  }
  if (!retries.empty()) {
    reason = fmt::format("{} gave no answer: {}", retries.back().backend, retries.back().why);
  }
  job.link->deliver({std::move(stream), places_[place].engine, std::move(reason), retries});
}

void ServeLoop::ready(TicketId id, InstanceId) {
  const auto at = tickets_.find(id);
  const auto done = std::move(at->second.loaded);
  tickets_.erase(at);
  outgoing_.emplace_back([done] { done({}); });
}

void ServeLoop::refuse(TicketId id, Error why, std::vector<FailedAttempt> retries) {
  const auto at = tickets_.find(id);
  if (at == tickets_.end()) return;
  changed_ = true;
  outgoing_.emplace_back([ticket = std::make_shared<Ticket>(std::move(at->second)),
                          why = std::move(why), retries = std::move(retries)]() mutable {
    if (ticket->loaded) {
      ticket->loaded(fail(std::move(why)));
    } else {
      ticket->job->link->refuse(std::move(why), std::move(retries));
    }
  });
  tickets_.erase(at);
}

void ServeLoop::tell_waiting(TimePoint now) {
  for (const Switchboard::Waiting& waits : switchboard_.waiting(now)) {
    const auto at = tickets_.find(waits.ticket);
    if (at == tickets_.end() || !at->second.job) continue;
    Ticket& ticket = at->second;
    if (ticket.told == waits.what && now < ticket.told_at + kTellEvery) continue;
    ticket.told = waits.what;
    ticket.told_at = now;
    const EngineRunner& runner = *places_[waits.instance].runner;
    WaitDelta news{waits.what, runner.spec().name, {}, waits.waited};
    if (waits.what == WaitDelta::For::Load) news.percent = load_percent(runner);
    ticket.job->link->waits(std::move(news));
  }
}

void ServeLoop::learned(InstanceId id, std::uint64_t peak_bytes) {
  if (!places_[id].learned) return;
  workers_.run([note = places_[id].learned, peak_bytes] { note(peak_bytes); });
}

RoomLimits ServeLoop::room() {
  return {memory_info().available_bytes, options_.memory_max, options_.models_max};
}

void ServeLoop::count(Metric what, std::string_view engine) {
  const bool labelled = what != Metric::ModelEvictionsTotal && what != Metric::QuarantinedTotal;
  metrics_.add(what, 1, labelled ? engine : std::string_view());
}

std::shared_ptr<const Snapshot> ServeLoop::snapshot() const {
  const std::lock_guard lock(snapshot_mutex_);
  return snapshot_;
}

void ServeLoop::publish() {
  const TimePoint now = clock_.now();
  auto next = std::make_shared<Snapshot>();
  std::size_t loaded = 0, open = 0;
  for (const Switchboard::Status& status : switchboard_.statuses(now)) {
    InstanceSnapshot place;
    place.key = places_[status.id].key;
    place.runner = places_[status.id].runner;
    InstanceInfo& info = place.info;
    info.model = status.setup->model;
    info.backend = status.setup->engine;
    info.state = status.state;
    if (status.last_error) info.problem = status.last_error->message;
    info.memory_bytes = status.memory_bytes;
    info.pid = status.pid;
    info.running = status.running;
    info.waiting = status.waiting;
    info.pinned = status.setup->pinned;
    info.idle = status.idle;
    info.idle_ttl = status.setup->idle_ttl;
    info.breaker = to_string(status.breaker);
    info.restarts = status.restarts;
    info.tokens_per_second = status.tokens_per_second;
    info.loaded_in_seconds = std::chrono::duration<double>(status.load_time).count();
    if (status.state == ModelState::Loading) info.load_percent = load_percent(*place.runner);
    if (const auto engine = place.runner->engine(); engine && status.state == ModelState::Ready) {
      info.context_size = engine->context_size();
      place.can = engine->capabilities();
      ++loaded;
    }
    metrics_.set(Metric::ModelMemoryBytes, static_cast<double>(status.memory_bytes),
                 status.setup->model);
    const bool busy_or_up =
        status.state == ModelState::Ready || status.state == ModelState::Loading;
    if (status.breaker == backend::Breaker::State::Open) ++open;
    if (status.breaker == backend::Breaker::State::Open && !busy_or_up) {
      place.unwell = fmt::format("it has failed with this model: {}", info.problem);
      place.retry_after = std::chrono::ceil<std::chrono::milliseconds>(status.breaker_wait);
    }
    next->push_back(std::move(place));
  }
  metrics_.set(Metric::LoadedModels, static_cast<double>(loaded));
  metrics_.set(Metric::BreakersOpen, static_cast<double>(open));
  breakers_open_ = open > 0;
  const std::lock_guard lock(snapshot_mutex_);
  snapshot_ = std::move(next);
}

}  // namespace minerva::serve
