// The one loop that owns the serving state: it feeds the switchboard with what happens, and does
// what that decides. Everything that may wait (loading, unloading, asking an engine for a token) is
// done by workers and comes back as a message.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "backend/request.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "serve/engine_runner.h"
#include "serve/generation_link.h"
#include "serve/model_text.h"
#include "serve/switchboard.h"
#include "serve/types.h"
#include "serve/workers.h"

namespace minerva::serve {

struct LoopOptions {
  SwitchboardOptions switchboard;
  std::uint64_t memory_max = 0;  // for all models together; 0: what the system has free
  std::size_t models_max = 8;
  Duration look_every = std::chrono::milliseconds(250);
  Duration probe_time_max = std::chrono::seconds(10);
};

// A model on an engine, enough to make it when it is first wanted. Same key, same instance.
struct InstancePlan {
  std::string key;
  InstanceSetup setup;
  RunnerOptions runner;
  std::shared_ptr<backend::EngineKind> kind;
  std::function<void(std::uint64_t peak_bytes)> learned;  // after each run; may wait
  std::string reason;                                     // why this engine, in words
};

// What is to be embedded, as text and as token ids; ids alone where the client gave ids.
struct EmbedOrder {
  backend::EmbedRequest order;  // all but the inputs
  std::vector<std::string> texts;
  std::vector<std::vector<TokenId>> tokens;  // empty where only the engine can tokenize
  bool truncate = false;                     // what is too long is cut off
  std::vector<TokenId> ending;               // that the tokenizer puts behind each text
  std::size_t total() const {
    std::size_t sum = 0;
    for (const auto& one : tokens) sum += one.size();
    return sum;
  }
};

// A request, ready to be given to any engine of its chain.
struct Job {
  TicketId ticket = 0;
  std::shared_ptr<GenerationLink> link;
  backend::GenerateRequest order;   // all but the prompt
  std::optional<EmbedOrder> embed;  // in place of `order` and `prompt`
  PreparedPrompt prompt;
  std::optional<backend::ChatPrompt> chat;  // of a conversation
  std::vector<InstancePlan> chain;
  TimePoint wait_until{};
};

struct InstanceSnapshot {
  std::string key;
  InstanceInfo info;
  backend::Capabilities can;  // where it is ready
  std::string unwell;         // why it is not to be asked now
  std::chrono::milliseconds retry_after{};
  std::shared_ptr<EngineRunner> runner;
};
using Snapshot = std::vector<InstanceSnapshot>;

// Any thread. Generations may outlive it.
class ServeLoop final : private Effects {
 public:
  ServeLoop(LoopOptions options, Workers& workers, const Clock& clock, Metrics& metrics);
  ~ServeLoop() override;  // ends everything, in bounded time

  // What becomes of a request comes through its link.
  void submit(Job job);
  // How a link tells us; make it before the job's link.
  GenerationLink::Tell teller(TicketId id) const;
  TicketId next_ticket();

  void load(InstancePlan plan, TimePoint wait_until, std::function<void(Result<void>)> done);
  // All instances of this model, by its name or these keys. Calls back once each of them has
  // gone (who waits for the model has it loaded again), or with NotFound.
  void unload(std::string model, std::vector<std::string> keys, bool at_once,
              std::function<void(Result<void>)> done);

  std::shared_ptr<const Snapshot> snapshot() const;

 private:
  struct Mailbox {
    std::mutex mutex;
    std::condition_variable arrived;
    std::deque<std::function<void()>> messages;
    bool closed = false;
    bool post(std::function<void()> message);
  };
  struct Place {
    std::string key;
    std::string engine;
    std::shared_ptr<EngineRunner> runner;
    std::function<void(std::uint64_t)> learned;
  };
  struct Ticket {
    std::optional<Job> job;                    // a request's
    std::function<void(Result<void>)> loaded;  // of who only wants to load
    std::vector<InstanceId> chain;
    std::optional<InstanceId> dispatched_to;  // the last one
    std::optional<WaitDelta::For> told;       // what it waits for
    TimePoint told_at{};
  };
  struct Unloading {
    std::set<InstanceId> left;  // that were loaded and have not gone since
    std::function<void(Result<void>)> done;
  };

  void run();
  void watch();
  void publish();
  void tell_waiting(TimePoint now);
  // Hands a ticket's request to an engine; the error: it was not taken.
  static Result<void> hand_over(const Job& job, backend::InferenceBackend& engine,
                                const std::shared_ptr<backend::GenerationStream>& stream);
  bool has_died(TicketId id) const;  // the engine that it runs on
  void on_news(TicketId id, TicketNews news);
  std::vector<InstanceId> places_of(std::vector<InstancePlan>& chain);
  void on_unloaded(InstanceId id);

  // Effects
  void start_load(InstanceId id) override;
  void abort_load(InstanceId id) override;
  void start_unload(InstanceId id, bool kill) override;
  void probe(InstanceId id) override;
  void dispatch(TicketId ticket, InstanceId id, const std::vector<FailedAttempt>& retries) override;
  void ready(TicketId ticket, InstanceId id) override;
  void refuse(TicketId ticket, Error why, std::vector<FailedAttempt> retries) override;
  void learned(InstanceId id, std::uint64_t peak_bytes) override;
  RoomLimits room() override;
  void count(Metric what, std::string_view engine) override;

  const LoopOptions options_;
  Workers& workers_;
  const Clock& clock_;
  Metrics& metrics_;
  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  std::atomic<TicketId> next_ticket_{1};

  // The loop's thread only.
  Switchboard switchboard_;
  std::vector<Place> places_;  // by InstanceId
  std::map<std::string, InstanceId, std::less<>> by_key_;
  std::map<TicketId, Ticket> tickets_;
  std::vector<Unloading> unloadings_;
  bool breakers_open_ = false;
  bool changed_ = true;  // since the last publish()
  // Answers to those outside, given once they can see in the snapshot what they are told.
  std::vector<std::function<void()>> outgoing_;
  bool closing_ = false;

  mutable std::mutex snapshot_mutex_;
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<const Snapshot>();

  std::mutex watch_mutex_;
  std::condition_variable watch_changed_;
  bool watch_stop_ = false;
  std::thread watcher_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace minerva::serve
