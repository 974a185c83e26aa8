#include "serve/switchboard.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace minerva::serve {
namespace {

// Retry-After of an engine is honoured up to here; past it others are asked.
constexpr Duration kPauseMax = std::chrono::seconds(60);
constexpr Duration kPauseMin = std::chrono::milliseconds(50);

}  // namespace

bool worth_retrying(const Error& error) {
  switch (error.code) {
    case ErrorCode::Unavailable:
    case ErrorCode::QueueFull:
    case ErrorCode::Timeout:
    case ErrorCode::OutOfMemory:
    case ErrorCode::Io:
    case ErrorCode::Internal:
      return true;
    default:
      return false;
  }
}

// By the engine's own account, or what its last run took where that was more. Less teaches nothing:
// its context may not have been full.
RoomNeed Switchboard::Instance::need() const {
  if (!setup.holds_memory) return {};
  const std::uint64_t said = setup.need.total();
  const std::uint64_t more = learned_bytes > said ? learned_bytes - said : 0;
  const std::uint64_t least = setup.need.least_bytes;
  return {said + more, (least != 0 ? std::min(least, said) : said) + more};
}

InstanceId Switchboard::add(InstanceSetup setup) {
  Instance& added = instances_.emplace_back(options_);
  added.learned_bytes = setup.learned_bytes;
  added.setup = std::move(setup);
  return static_cast<InstanceId>(instances_.size() - 1);
}

void Switchboard::join(InstanceId id, const InstanceSetup& setup) {
  Instance& instance = instances_[id];
  InstanceSetup& mine = instance.setup;
  if (setup.pinned && !mine.pinned) {
    mine.pinned = true;
    instance.keep = instance.state == ModelState::Ready;
  }
  if (!setup.idle_ttl) {
    mine.idle_ttl.reset();
  } else if (mine.idle_ttl) {
    mine.idle_ttl = std::max(*mine.idle_ttl, *setup.idle_ttl);
  }
}

unsigned& Switchboard::attempts_of(Ticket& ticket, InstanceId at) const {
  const auto place = std::ranges::find(ticket.ask.chain, at) - ticket.ask.chain.begin();
  return ticket.attempts[static_cast<std::size_t>(place)];
}

// --- tickets ---

void Switchboard::request(TicketId id, TicketAsk ask, TimePoint now) {
  MINERVA_CHECK(!ask.chain.empty());
  Ticket& ticket = tickets_[id];
  ticket.attempts.assign(ask.chain.size(), 0);
  ticket.ask = std::move(ask);
  ticket.arrived = now;
  if (closed_) return refuse(id, Error{ErrorCode::Unavailable, "the server is stopping"});
  const auto at = next_instance(ticket, now);
  if (!at) {
    const Instance& first = instances_[ticket.ask.chain.front()];
    Error error{ErrorCode::Unavailable,
                fmt::format("{} has failed {} times in a row with model '{}'{}", first.setup.engine,
                            first.breaker.failures(), first.setup.model,
                            first.last_error ? ": " + first.last_error->message : "")};
    error.retry_after = std::chrono::ceil<std::chrono::milliseconds>(first.breaker.wait(now));
    return refuse(id, std::move(error));
  }
  enqueue(id, *at, now);
  pump(now);
}

// The first of the chain that may be asked now and was not asked too often; those that were asked
// less come first, since what has just failed is the worst bet, and then those that are well.
std::optional<InstanceId> Switchboard::next_instance(const Ticket& ticket, TimePoint now) const {
  std::optional<InstanceId> best;
  std::pair<unsigned, bool> least{options_.attempts_each_max, false};
  for (std::size_t i = 0; i < ticket.ask.chain.size(); ++i) {
    const InstanceId at = ticket.ask.chain[i];
    const Instance& instance = instances_[at];
    // One that is loaded is better than none, whatever its past.
    const bool well = instance.breaker.allows(now);
    const bool may =
        instance.state == ModelState::Ready || instance.state == ModelState::Loading || well;
    const std::pair<unsigned, bool> cost{ticket.attempts[i], !well};
    if (!may || cost >= least) continue;
    least = cost;
    best = at;
  }
  return best;
}

void Switchboard::enqueue(TicketId id, InstanceId at, TimePoint now) {
  Ticket& ticket = tickets_.at(id);
  Instance& instance = instances_[at];
  ticket.phase = Phase::Waiting;
  ticket.at = at;
  ++attempts_of(ticket, at);
  instance.waiting.push_back(id);
  instance.last_used = now;
  again_ = true;
}

void Switchboard::refuse(TicketId id, Error why) {
  const auto at = tickets_.find(id);
  std::vector<FailedAttempt> failures = std::move(at->second.failures);
  const bool left = at->second.left;
  tickets_.erase(at);
  if (!left) effects_.refuse(id, std::move(why), std::move(failures));
}

void Switchboard::drop_waiting(Ticket& ticket, TicketId id) {
  std::erase(instances_[ticket.at].waiting, id);
}

void Switchboard::first_token(TicketId id, TimePoint now) {
  const auto found = tickets_.find(id);
  if (found == tickets_.end()) return;
  found->second.has_token = true;
  instances_[found->second.at].last_used = now;
}

void Switchboard::failed(TicketId id, Error why, bool died, TimePoint now) {
  const auto found = tickets_.find(id);
  if (found == tickets_.end() || found->second.phase != Phase::Running) return;
  Ticket& ticket = found->second;
  const InstanceId at = ticket.at;
  // Its time is for waiting; that in which it was being answered does not count.
  const Duration answered = now - ticket.given;
  if (std::exchange(ticket.has_token, false) &&
      answered < TimePoint::max() - ticket.ask.wait_until) {
    ticket.ask.wait_until += answered;
  }
  died ? die(at, why.message, now) : blame(found->second, why, now);
  instances_[at].running.erase(id);
  instances_[at].last_used = now;
  after_failure(id, why, now);
  pump(now);
}

void Switchboard::after_failure(TicketId id, const Error& why, TimePoint now) {
  Ticket& ticket = tickets_.at(id);
  if (ticket.left) {
    tickets_.erase(id);
    return;
  }
  if (closed_) return refuse(id, Error{ErrorCode::Unavailable, "the server is stopping"});
  const std::string engine = instances_[ticket.at].setup.engine;
  const bool may_load_elsewhere = ticket.phase == Phase::Waiting;
  if (!worth_retrying(why) && !may_load_elsewhere) return refuse(id, why);
  ticket.failures.push_back({engine, why.message});
  if (ticket.crashes >= options_.crashes_max) {
    effects_.count(Metric::QuarantinedTotal, engine);
    return refuse(id, Error{ErrorCode::InvalidArgument,
                            fmt::format("this request was running when an engine died, {} times; "
                                        "it is not tried again (the last one: {})",
                                        ticket.crashes, why.message),
                            {},
                            engine});
  }
  const auto tries = static_cast<unsigned>(ticket.failures.size());
  if (tries >= options_.attempts_max) return refuse(id, why);

  const auto next = next_instance(ticket, now);
  if (next && *next != ticket.at) {
    effects_.count(Metric::RetriesTotal, engine);
    return enqueue(id, *next, now);
  }
  // Only the one that has just failed is left, or none that may be asked now: after a while.
  const Instance& here = instances_[ticket.at];
  if (attempts_of(ticket, ticket.at) >= options_.attempts_each_max) return refuse(id, why);
  // One that has died makes everybody wait by itself, until it is up again.
  const bool lives = here.state == ModelState::Ready;
  const Duration pause =
      std::max<Duration>(why.retry_after, lives ? kPauseMin : here.breaker.wait(now));
  if (pause > kPauseMax || now + pause > ticket.ask.wait_until) return refuse(id, why);
  effects_.count(Metric::RetriesTotal, engine);
  if (pause == Duration{}) return enqueue(id, ticket.at, now);
  ticket.phase = Phase::Pausing;
  ticket.resume_at = now + pause;
}

void Switchboard::ended(TicketId id, const backend::EndEvent& end, bool died, TimePoint now) {
  const auto found = tickets_.find(id);
  if (found == tickets_.end() || found->second.phase != Phase::Running) return;
  const InstanceId at = found->second.at;
  Instance& instance = instances_[at];
  if (end.outcome == backend::EndEvent::Outcome::Done) {
    instance.breaker.success();
    instance.blamed = false;
    const double decode = std::chrono::duration<double>(end.timings.decode).count();
    if (decode > 0 && end.usage.completion_tokens > 4) {
      const double rate = static_cast<double>(end.usage.completion_tokens - 1) / decode;
      instance.tokens_per_second =
          instance.tokens_per_second == 0 ? rate : instance.tokens_per_second * 0.8 + rate * 0.2;
    }
  } else if (end.error) {
    died ? die(at, end.error->message, now) : blame(found->second, *end.error, now);
  } else {
    instance.breaker.abandon();
  }
  release(id, now);
  pump(now);
}

void Switchboard::release(TicketId id, TimePoint now) {
  const auto found = tickets_.find(id);
  Instance& instance = instances_[found->second.at];
  instance.running.erase(id);
  instance.last_used = now;
  tickets_.erase(found);
}

void Switchboard::gone(TicketId id, TimePoint now) {
  const auto found = tickets_.find(id);
  if (found == tickets_.end()) return;
  Ticket& ticket = found->second;
  if (ticket.phase == Phase::Running) {
    ticket.left = true;
    return;
  }
  const InstanceId at = ticket.at;
  const bool waited = ticket.phase == Phase::Waiting;
  if (waited) drop_waiting(ticket, id);
  tickets_.erase(found);
  Instance& instance = instances_[at];
  if (waited && instance.state == ModelState::Loading && instance.waiting.empty() &&
      !instance.setup.pinned && !instance.aborting) {
    instance.aborting = true;
    log_info("model '{}' on {}: nobody waits for it any more, so its loading is stopped",
             instance.setup.model, instance.setup.engine);
    effects_.abort_load(at);
  }
  pump(now);
}

// --- instances ---

void Switchboard::loaded(InstanceId id, Result<void> outcome, TimePoint now) {
  Instance& instance = instances_[id];
  if (instance.state != ModelState::Loading) return;
  const bool aborted = std::exchange(instance.aborting, false);
  instance.load_time = now - instance.since;
  instance.since = now;
  // One that was to be stopped is no good even where it came to its end: its kill is on the way.
  if (outcome && !aborted) {
    instance.state = ModelState::Ready;
    instance.last_error.reset();
    instance.watchdog.restart();
    instance.last_used = now;
    instance.keep = instance.setup.pinned;
    instance.breaker.abandon();  // its trial is an answer
    instance.blamed = false;
    effects_.count(Metric::ModelLoadsTotal, instance.setup.engine);
    // Whoever it was loaded for is served, however many want its place.
    dispatch_waiting(id, now);
    return pump(now);
  }
  // What the attempt left behind has to be cleared away, also where it was successful in vain.
  instance.state = ModelState::Ready;
  begin_unload(instance, id, true, now);
  if (aborted) {
    instance.breaker.abandon();
    return pump(now);
  }
  instance.breaker.failure(now);
  instance.last_error = outcome.error();
  const std::deque<TicketId> waiting = std::exchange(instance.waiting, {});
  for (const TicketId ticket : waiting) {
    // A model that this engine cannot read or hold is not tried here again, but another may.
    const bool for_good =
        !worth_retrying(outcome.error()) || outcome.error().code == ErrorCode::OutOfMemory;
    if (for_good) attempts_of(tickets_.at(ticket), id) = options_.attempts_each_max;
    after_failure(ticket, outcome.error(), now);
  }
  pump(now);
}

void Switchboard::unloaded(InstanceId id, TimePoint now) {
  Instance& instance = instances_[id];
  if (instance.peak_bytes != 0) {
    instance.learned_bytes = std::exchange(instance.peak_bytes, 0);
    if (instance.setup.holds_memory) effects_.learned(id, instance.learned_bytes);
  }
  instance.state = ModelState::Unloaded;
  instance.since = now;
  // A trial that ended without a verdict must not keep out the next one.
  instance.breaker.abandon();
  instance.usage = {};
  instance.unload_wanted = false;
  instance.draining = false;
  pump(now);
}

void Switchboard::begin_unload(Instance& instance, InstanceId id, bool kill, TimePoint now) {
  instance.state = ModelState::Unloading;
  instance.since = now;
  instance.probing = false;
  effects_.start_unload(id, kill);
}

void Switchboard::die(InstanceId id, const std::string& why, TimePoint now) {
  Instance& instance = instances_[id];
  if (instance.state != ModelState::Ready) return;
  log_warning("{} with model '{}' has failed: {}", instance.setup.engine, instance.setup.model,
              why);
  instance.last_error = Error{ErrorCode::Unavailable, why, {}, instance.setup.engine};
  // Its streams may have broken a moment before its end was known.
  if (!std::exchange(instance.blamed, false)) instance.breaker.failure(now);
  ++instance.restarts;
  effects_.count(Metric::EngineRestartsTotal, instance.setup.engine);
  for (const TicketId ticket : instance.running) ++tickets_.at(ticket).crashes;
  begin_unload(instance, id, true, now);
}

void Switchboard::blame(const Ticket& ticket, const Error& why, TimePoint now) {
  Instance& instance = instances_[ticket.at];
  // Not that it is busy or full, that the request's own time was over, or what it was asked for.
  const bool its_fault = why.code == ErrorCode::Unavailable || why.code == ErrorCode::Internal ||
                         why.code == ErrorCode::Io;
  if (!its_fault || why.retry_after.count() > 0 || instance.state != ModelState::Ready) {
    return instance.breaker.abandon();
  }
  // What ran together failed together, and counts once.
  if (ticket.blames_before != instance.blames) return;
  ++instance.blames;
  instance.blamed = true;
  instance.breaker.failure(now);
  if (instance.breaker.allows(now)) return;
  log_warning(
      "{} with model '{}' lives and has failed {} times in a row, so others are asked first",
      instance.setup.engine, instance.setup.model, instance.breaker.failures());
}

void Switchboard::look(InstanceId id, const InstanceLook& look, TimePoint now) {
  Instance& instance = instances_[id];
  if (look.usage && look.usage->held_bytes != 0 &&
      (instance.state == ModelState::Ready || instance.state == ModelState::Loading)) {
    instance.usage = *look.usage;
    instance.peak_bytes = std::max(instance.peak_bytes, look.usage->held_bytes);
  }
  if (instance.state != ModelState::Ready) return;
  if (!look.alive) {
    die(id, look.detail, now);
    return pump(now);
  }
  std::uint64_t longest_prompt = 0;
  for (const TicketId ticket : instance.running) {
    const Ticket& running = tickets_.at(ticket);
    if (!running.has_token) longest_prompt = std::max(longest_prompt, running.ask.prompt_tokens);
  }
  const auto cpu_time = look.usage ? std::optional(look.usage->cpu_time) : std::nullopt;
  const auto verdict = instance.watchdog.look({now, look.activity, cpu_time, longest_prompt});
  if (verdict == Watchdog::Verdict::Suspect && !instance.probing) {
    instance.probing = true;
    log_warning(
        "{} with model '{}' has {} requests and has been still for over {:.0f} s: it is "
        "asked for a token",
        instance.setup.engine, instance.setup.model, look.activity.running,
        std::chrono::duration<double>(instance.watchdog.patience(longest_prompt)).count());
    effects_.probe(id);
  }
}

void Switchboard::probed(InstanceId id, bool passed, TimePoint now) {
  Instance& instance = instances_[id];
  if (!std::exchange(instance.probing, false) || instance.state != ModelState::Ready) return;
  if (passed) {
    instance.watchdog.passed(now);
    return;
  }
  die(id, "it was stuck: no token, no progress, and none when it was asked for one", now);
  pump(now);
}

void Switchboard::unload(InstanceId id, bool at_once, TimePoint now) {
  Instance& instance = instances_[id];
  instance.keep = false;
  if (instance.state == ModelState::Loading) {
    if (!std::exchange(instance.aborting, true)) effects_.abort_load(id);
    return;
  }
  if (instance.state != ModelState::Ready) return;
  if (at_once || instance.running.empty()) {
    begin_unload(instance, id, at_once, now);
  } else {
    instance.unload_wanted = true;
  }
  pump(now);
}

std::vector<Resident> Switchboard::residents(std::optional<InstanceId> except) const {
  std::vector<Resident> out;
  for (InstanceId id = 0; id < instances_.size(); ++id) {
    const Instance& instance = instances_[id];
    if (instance.state == ModelState::Unloaded || !instance.setup.holds_memory || id == except) {
      continue;
    }
    Resident resident;
    resident.id = id;
    resident.name = instance.setup.model;
    resident.held_bytes = instance.usage.held_bytes;
    resident.mapped_bytes = instance.usage.mapped_bytes;
    resident.bytes = std::max(instance.need().bytes, instance.usage.held_bytes);
    resident.pinned = instance.setup.pinned;
    resident.leaving = instance.state == ModelState::Unloading;
    resident.moving = resident.leaving || instance.state == ModelState::Loading;
    resident.busy = !instance.running.empty() || (!instance.waiting.empty() && !instance.draining);
    resident.last_used = instance.last_used;
    out.push_back(std::move(resident));
  }
  return out;
}

// A model that has been waiting for room gets it in the end, even if those who have it are asked
// for without a pause: they answer what runs, take nothing new, and go.
void Switchboard::mark_draining(TimePoint now) {
  for (Instance& instance : instances_) instance.draining = false;
  for (InstanceId id = 0; id < instances_.size(); ++id) {
    const Instance& waits = instances_[id];
    if (waits.state != ModelState::Unloaded || waits.waiting.empty()) continue;
    std::vector<Resident> others = residents(id);
    for (Resident& other : others) {
      const Instance& instance = instances_[other.id];
      // Its turn is not over, or it is nobody's to take.
      other.busy = instance.state == ModelState::Ready &&
                   now < instance.since + options_.turn_min &&
                   !(instance.running.empty() && instance.waiting.empty());
    }
    const RoomDecision decision =
        plan_room(waits.setup.model, waits.need(), others, effects_.room());
    for (const InstanceId victim : decision.evict) instances_[victim].draining = true;
  }
}

void Switchboard::try_load(InstanceId id, TimePoint now) {
  Instance& instance = instances_[id];
  const auto rest = residents(id);
  RoomDecision decision;
  if (instance.setup.holds_memory) {
    decision = plan_room(instance.setup.model, instance.need(), rest, effects_.room());
  }
  switch (decision.kind) {
    case RoomDecision::Kind::Load:
      instance.state = ModelState::Loading;
      instance.since = now;
      instance.breaker.attempt(now);
      effects_.start_load(id);
      return;
    case RoomDecision::Kind::Evict:
      for (const InstanceId victim : decision.evict) {
        Instance& other = instances_[victim];
        log_info("model '{}' leaves {} to make room for '{}'", other.setup.model,
                 other.setup.engine, instance.setup.model);
        effects_.count(Metric::ModelEvictionsTotal, other.setup.engine);
        begin_unload(other, victim, false, now);
      }
      return;
    case RoomDecision::Kind::Wait:
      return;
    case RoomDecision::Kind::Refuse: {
      const Error error{ErrorCode::OutOfMemory, decision.why, {}, "minerva"};
      instance.last_error = error;
      if (std::exchange(instance.keep, false)) {
        log_warning("the pinned model '{}' is not loaded again: {}", instance.setup.model,
                    decision.why);
      }
      const std::deque<TicketId> waiting = std::exchange(instance.waiting, {});
      for (const TicketId ticket : waiting) {
        // Room that is not there now is not there in a moment: another engine, or nothing.
        Ticket& entry = tickets_.at(ticket);
        attempts_of(entry, id) = options_.attempts_each_max;
        after_failure(ticket, error, now);
      }
      return;
    }
  }
}

void Switchboard::dispatch_waiting(InstanceId id, TimePoint now) {
  Instance& instance = instances_[id];
  while (!instance.waiting.empty()) {
    const TicketId ticket = instance.waiting.front();
    instance.waiting.pop_front();
    if (tickets_.at(ticket).ask.only_load) {
      tickets_.erase(ticket);
      effects_.ready(ticket, id);
      continue;
    }
    tickets_.at(ticket).phase = Phase::Running;
    tickets_.at(ticket).blames_before = instance.blames;
    tickets_.at(ticket).given = now;
    instance.breaker.attempt(now);
    instance.running.insert(ticket);
    instance.last_used = now;
    effects_.dispatch(ticket, id, tickets_.at(ticket).failures);
  }
}

// What is done may move requests to where they can go on at once, so it is done until nothing
// moves; each move is an attempt, of which there is a bound.
void Switchboard::pump(TimePoint now) {
  do {
    again_ = false;
    pump_once(now);
  } while (again_);
}

void Switchboard::pump_once(TimePoint now) {
  mark_draining(now);
  for (InstanceId id = 0; id < instances_.size(); ++id) {
    Instance& instance = instances_[id];
    if (instance.state != ModelState::Ready) continue;
    if (instance.unload_wanted && instance.running.empty()) {
      begin_unload(instance, id, false, now);
      continue;
    }
    if (!instance.draining && !instance.unload_wanted) dispatch_waiting(id, now);
  }
  // Who has waited longest is served first.
  std::vector<std::pair<TimePoint, InstanceId>> wanted;
  for (InstanceId id = 0; id < instances_.size(); ++id) {
    const Instance& instance = instances_[id];
    if (instance.state != ModelState::Unloaded || closed_) continue;
    if (!instance.waiting.empty()) {
      wanted.emplace_back(tickets_.at(instance.waiting.front()).arrived, id);
    } else if (instance.keep && instance.breaker.allows(now)) {
      wanted.emplace_back(now, id);
    }
  }
  std::ranges::sort(wanted);
  for (const auto& [arrived, id] : wanted) {
    if (!instances_[id].waiting.empty() || instances_[id].keep) try_load(id, now);
  }
}

void Switchboard::tick(TimePoint now) {
  std::vector<TicketId> late, rested;
  for (const auto& [id, ticket] : tickets_) {
    if (ticket.phase == Phase::Waiting && now >= ticket.ask.wait_until) late.push_back(id);
    if (ticket.phase == Phase::Pausing && now >= ticket.resume_at) rested.push_back(id);
  }
  for (const TicketId id : late) {
    Ticket& ticket = tickets_.at(id);
    const Instance& instance = instances_[ticket.at];
    Error error{ErrorCode::Timeout,
                fmt::format("model '{}' is {} on {}: it waited for its turn until its time was up; "
                            "try again later",
                            instance.setup.model,
                            instance.state == ModelState::Loading ? "still loading" : "not loaded",
                            instance.setup.engine)};
    drop_waiting(ticket, id);
    refuse(id, std::move(error));
  }
  for (const TicketId id : rested) {
    Ticket& ticket = tickets_.at(id);
    if (const auto next = next_instance(ticket, now)) {
      enqueue(id, *next, now);
      continue;
    }
    const Duration wait = std::max(instances_[ticket.at].breaker.wait(now), kPauseMin);
    if (now + wait < ticket.ask.wait_until) {
      ticket.resume_at = now + wait;
    } else {
      const Error why = instances_[ticket.at].last_error.value_or(
          Error{ErrorCode::Unavailable, "no engine is well"});
      refuse(id, why);
    }
  }
  for (InstanceId id = 0; id < instances_.size(); ++id) {
    Instance& instance = instances_[id];
    const bool idle = instance.running.empty() && instance.waiting.empty();
    if (instance.state != ModelState::Ready || !idle || instance.setup.pinned) continue;
    if (!instance.setup.idle_ttl || now - instance.last_used < *instance.setup.idle_ttl) continue;
    log_info("model '{}' was idle for {:.0f} s and leaves {}", instance.setup.model,
             std::chrono::duration<double>(now - instance.last_used).count(),
             instance.setup.engine);
    begin_unload(instance, id, false, now);
  }
  pump(now);
}

void Switchboard::close(TimePoint now) {
  closed_ = true;
  std::vector<TicketId> all;
  for (const auto& [id, ticket] : tickets_) {
    if (ticket.phase != Phase::Running) all.push_back(id);
  }
  for (const TicketId id : all) {
    drop_waiting(tickets_.at(id), id);
    refuse(id, Error{ErrorCode::Unavailable, "the server is stopping"});
  }
  for (InstanceId id = 0; id < instances_.size(); ++id) {
    Instance& instance = instances_[id];
    if (instance.state == ModelState::Ready) begin_unload(instance, id, true, now);
    if (instance.state == ModelState::Loading && !std::exchange(instance.aborting, true)) {
      effects_.abort_load(id);
    }
  }
}

bool Switchboard::at_rest() const {
  return std::ranges::all_of(
      instances_, [](const Instance& instance) { return instance.state == ModelState::Unloaded; });
}

std::vector<Switchboard::Waiting> Switchboard::waiting(TimePoint now) const {
  std::vector<Waiting> out;
  for (const auto& [id, ticket] : tickets_) {
    if (ticket.phase == Phase::Running) continue;
    WaitDelta::For what = WaitDelta::For::Room;
    if (ticket.phase == Phase::Pausing) what = WaitDelta::For::Retry;
    if (instances_[ticket.at].state == ModelState::Loading) what = WaitDelta::For::Load;
    out.push_back({id, ticket.at, what, now - ticket.arrived});
  }
  return out;
}

std::vector<Switchboard::Status> Switchboard::statuses(TimePoint now) const {
  std::vector<Status> out;
  for (InstanceId id = 0; id < instances_.size(); ++id) {
    const Instance& instance = instances_[id];
    Status status;
    status.id = id;
    status.setup = &instance.setup;
    status.state = instance.state;
    const bool down =
        instance.state == ModelState::Unloaded || instance.state == ModelState::Unloading;
    if (down && instance.last_error) {
      status.state = ModelState::Failed;
    }
    status.last_error = instance.last_error;
    status.memory_bytes = instance.usage.held_bytes;
    if (instance.state == ModelState::Loading) status.memory_bytes = instance.need().bytes;
    status.pid = instance.usage.pid;
    status.running = instance.running.size();
    status.waiting = instance.waiting.size();
    if (instance.state == ModelState::Ready && instance.running.empty()) {
      status.idle = now - instance.last_used;
    }
    status.breaker = instance.breaker.state(now);
    status.breaker_wait = instance.breaker.wait(now);
    status.restarts = instance.restarts;
    status.tokens_per_second = instance.tokens_per_second;
    status.load_time = instance.load_time;
    out.push_back(std::move(status));
  }
  return out;
}

}  // namespace minerva::serve
