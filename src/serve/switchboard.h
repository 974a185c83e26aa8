// Who runs where: which models are loaded, which requests wait for which, who has to go, and what
// happens after a failure. A pure state machine: events come in with their time, and it acts
// through Effects only. One owner, the serve loop; nothing in it waits or looks at the machine.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backend/breaker.h"
#include "backend/engine_kind.h"
#include "backend/event.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/result.h"
#include "serve/residency.h"
#include "serve/types.h"
#include "serve/watchdog.h"

namespace minerva::serve {

using TicketId = std::uint64_t;    // a request, or somebody who wants a model loaded
using InstanceId = std::uint32_t;  // one model on one engine

struct InstanceSetup {
  std::string model;
  std::string engine;
  bool pinned = false;
  std::optional<Duration> idle_ttl;  // none: it stays until room is needed
  backend::MemoryNeed need;          // before anything was measured
  std::uint64_t learned_bytes = 0;   // what it took in an earlier life of the server; 0: unknown
  bool holds_memory = true;          // of this machine
};

struct TicketAsk {
  std::vector<InstanceId> chain;  // in the order in which they are tried; never empty
  std::uint64_t prompt_tokens = 0;
  TimePoint wait_until{};  // for its first token to become possible
  bool only_load = false;  // wants the model loaded, and then ready() instead of dispatch()
};

struct InstanceUsage {
  std::uint64_t held_bytes = 0;
  std::uint64_t mapped_bytes = 0;
  Duration cpu_time{};
  std::int64_t pid = 0;
};

struct InstanceLook {
  bool alive = true;
  std::string detail;  // where it is not
  backend::Activity activity;
  std::optional<InstanceUsage> usage;  // where it was measured this time
};

// What the switchboard has done. Nothing here may call back into it.
class Effects {
 public:
  virtual ~Effects() = default;
  virtual void start_load(InstanceId instance) = 0;               // loaded() follows
  virtual void abort_load(InstanceId instance) = 0;               // loaded() still follows
  virtual void start_unload(InstanceId instance, bool kill) = 0;  // unloaded() follows
  virtual void probe(InstanceId instance) = 0;                    // probed() follows
  // failed() or ended() follows. `retries`: what was tried before.
  virtual void dispatch(TicketId ticket, InstanceId instance,
                        const std::vector<FailedAttempt>& retries) = 0;
  virtual void ready(TicketId ticket, InstanceId instance) = 0;  // to who only wanted to load
  // The ticket is over without an answer. `retries`: what was tried.
  virtual void refuse(TicketId ticket, Error why, std::vector<FailedAttempt> retries) = 0;
  virtual void learned(InstanceId instance, std::uint64_t peak_bytes) = 0;  // of a run that is over
  virtual RoomLimits room() = 0;
  virtual void count(Metric what, std::string_view engine) = 0;
};

struct SwitchboardOptions {
  unsigned attempts_max = 5;                    // of one request, over all engines
  unsigned attempts_each_max = 3;               // on one engine
  unsigned crashes_max = 2;                     // engines that may die under a request
  Duration turn_min = std::chrono::seconds(5);  // a loaded model keeps its place for so long
  WatchdogOptions watchdog;
  backend::BreakerOptions breaker;
};

class Switchboard {
 public:
  Switchboard(SwitchboardOptions options, Effects& effects)
      : options_(options), effects_(effects) {}

  InstanceId add(InstanceSetup setup);
  // The same under another name: it stays for as long as either wants.
  void join(InstanceId id, const InstanceSetup& setup);

  // --- events; `now` never goes back ---
  void request(TicketId id, TicketAsk ask, TimePoint now);
  // Its attempt is over, and nothing of it was shown. `died`: the engine with it.
  void failed(TicketId id, Error why, bool died, TimePoint now);
  void first_token(TicketId id, TimePoint now);
  // The engine is done with it, after something was shown or because the client left. `died`: as
  // above.
  void ended(TicketId id, const backend::EndEvent& end, bool died, TimePoint now);
  // The client has left. Where it runs, ended() still follows.
  void gone(TicketId id, TimePoint now);
  void loaded(InstanceId id, Result<void> outcome, TimePoint now);
  void unloaded(InstanceId id, TimePoint now);
  void look(InstanceId id, const InstanceLook& look, TimePoint now);
  void probed(InstanceId id, bool passed, TimePoint now);
  // By the owner's will. Waits for its running requests unless `at_once`.
  void unload(InstanceId id, bool at_once, TimePoint now);
  void tick(TimePoint now);
  // Refuses and unloads everything.
  void close(TimePoint now);

  // --- what there is ---
  struct Status {
    InstanceId id = 0;
    const InstanceSetup* setup = nullptr;
    ModelState state = ModelState::Unloaded;
    std::optional<Error> last_error;
    std::uint64_t memory_bytes = 0;  // held, or while it loads, needed
    std::int64_t pid = 0;
    std::size_t running = 0;
    std::size_t waiting = 0;
    std::optional<Duration> idle;
    backend::Breaker::State breaker = backend::Breaker::State::Closed;
    Duration breaker_wait{};
    std::uint64_t restarts = 0;
    double tokens_per_second = 0;
    Duration load_time{};
  };
  std::vector<Status> statuses(TimePoint now) const;
  struct Waiting {
    TicketId ticket = 0;
    InstanceId instance = 0;
    WaitDelta::For what = WaitDelta::For::Load;
    Duration waited{};
  };
  std::vector<Waiting> waiting(TimePoint now) const;  // all that run nowhere
  bool occupied(InstanceId id) const { return instances_[id].state != ModelState::Unloaded; }
  bool knows(TicketId id) const { return tickets_.contains(id); }
  // Nothing is loaded, loads or unloads.
  bool at_rest() const;

 private:
  enum class Phase : std::uint8_t { Waiting, Pausing, Running };
  struct Ticket {
    TicketAsk ask;
    Phase phase = Phase::Waiting;
    InstanceId at = 0;
    std::vector<unsigned> attempts;  // beside ask.chain
    unsigned crashes = 0;
    bool has_token = false;
    bool left = false;
    std::uint64_t blames_before = 0;  // its engine's, when it was given to it
    TimePoint given{};                // to its engine
    TimePoint arrived{};
    TimePoint resume_at{};  // while it pauses
    std::vector<FailedAttempt> failures;
  };
  struct Instance {
    InstanceSetup setup;
    ModelState state = ModelState::Unloaded;
    backend::Breaker breaker;
    Watchdog watchdog;
    std::optional<Error> last_error;
    std::deque<TicketId> waiting;
    std::set<TicketId> running;
    TimePoint since{};  // of its state
    TimePoint last_used{};
    InstanceUsage usage;
    std::uint64_t peak_bytes = 0;     // of this run
    std::uint64_t learned_bytes = 0;  // the last run's peak
    std::uint64_t restarts = 0;
    std::uint64_t blames = 0;
    bool blamed = false;  // since it was loaded or gave an answer
    bool keep = false;    // pinned and loaded once: it is loaded again whenever it was lost
    bool aborting = false;
    bool probing = false;
    bool unload_wanted = false;
    bool draining = false;
    double tokens_per_second = 0;
    Duration load_time{};
    explicit Instance(const SwitchboardOptions& o) : breaker(o.breaker), watchdog(o.watchdog) {}
    RoomNeed need() const;
  };

  void pump(TimePoint now);
  void pump_once(TimePoint now);
  void mark_draining(TimePoint now);
  void try_load(InstanceId id, TimePoint now);
  void dispatch_waiting(InstanceId id, TimePoint now);
  void begin_unload(Instance& instance, InstanceId id, bool kill, TimePoint now);
  void die(InstanceId id, const std::string& why, TimePoint now);
  // An answer of an engine that lives was none.
  void blame(const Ticket& ticket, const Error& why, TimePoint now);
  void enqueue(TicketId id, InstanceId at, TimePoint now);
  void after_failure(TicketId id, const Error& why, TimePoint now);
  std::optional<InstanceId> next_instance(const Ticket& ticket, TimePoint now) const;
  void refuse(TicketId id, Error why);
  void drop_waiting(Ticket& ticket, TicketId id);
  void release(TicketId id, TimePoint now);
  std::vector<Resident> residents(std::optional<InstanceId> except) const;
  unsigned& attempts_of(Ticket& ticket, InstanceId at) const;

  const SwitchboardOptions options_;
  Effects& effects_;
  std::vector<Instance> instances_;
  std::map<TicketId, Ticket> tickets_;
  bool closed_ = false;
  bool again_ = false;  // somebody was queued while pump() was at it
};

// Whether another try, here or elsewhere, may help; else the fault lies in the request.
bool worth_retrying(const Error& error);

}  // namespace minerva::serve
