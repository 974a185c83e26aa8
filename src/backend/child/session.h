// One loaded model of a ChildBackend: the process, the way to it, and the generations that run.
// Private to this room. Kept alive by the backend and, for moments, by work on the loop.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "backend/child/child_backend.h"
#include "backend/child/generation.h"

namespace minerva::backend {

class ChildSession : public std::enable_shared_from_this<ChildSession> {
 public:
  ChildSession(const ChildBackendOptions& options, std::string name, LaunchPlan plan,
               UpstreamLoop& loop, const Clock& clock);

  // Spawns the child, where there is one, and waits until it has made a token. Blocks for
  // ready_max at most; abandon() ends it early.
  Result<void> bring_up();
  void abandon() { abandoned_ = true; }
  // Waits up to `grace` for what runs, cancels the rest, and stops the process. Blocks, bounded.
  void take_down(Duration grace);
  // The same at once: what runs ends, the process is killed; does not wait.
  void kill();

  void submit(std::shared_ptr<Generation> generation);

  bool alive() const;                // the process runs, or there is none
  std::string how_it_ended() const;  // "exit code 1: …its last line"; empty while it runs
  const std::string& model_name() const { return name_; }
  const std::shared_ptr<const EngineWire>& wire() const { return options_.wire; }
  std::shared_ptr<const WireModel> model() const { return model_; }
  const Capabilities& capabilities() const { return capabilities_; }
  // For what takes its time, beside the generations.
  Upstream& upstream() const { return *upstream_; }
  // For small calls (tokens, health): they never wait behind generations.
  Upstream& side() const { return *side_; }
  const std::shared_ptr<ChildCounters>& counters() const { return counters_; }
  LoadProgress load_progress() const { return {load_done_, load_total_}; }
  // None before it is spawned; others may look while bring_up() runs.
  process::Child* child() const { return child_.load(); }

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;

  Result<void> connect();
  Result<void> wait_until_healthy(SteadyTime until);
  Result<void> prove_port() const;
  Result<void> generate_one(SteadyTime until);
  Result<void> check_alive(SteadyTime until, std::string_view doing) const;
  void settle_capabilities();
  void wait_a_moment() const;
  void close_on_loop();                    // ends what runs; what is submitted later ends at once
  void tick();                             // on the loop's thread
  void look_after_engine();                // the same
  void on_looked(const UpstreamEnd& end);  // the same
  void end_all(EndEvent::Outcome outcome, const std::optional<Error>& error);  // the same
  void on_ended(const std::shared_ptr<Generation>& generation);                // the same

  const ChildBackendOptions options_;  // its own: work on the loop may outlive the backend
  LaunchPlan plan_;
  UpstreamLoop& loop_;
  const Clock& clock_;
  std::string name_;
  std::unique_ptr<process::Child> owned_child_;
  std::atomic<process::Child*> child_ = nullptr;
  std::unique_ptr<Upstream> upstream_;
  std::unique_ptr<Upstream> side_;
  std::shared_ptr<WireModel> model_;  // not changed once bring_up() has returned
  Capabilities capabilities_;
  const std::shared_ptr<ChildCounters> counters_ = std::make_shared<ChildCounters>();
  std::atomic<std::uint64_t> load_done_ = 0;
  std::atomic<std::uint64_t> load_total_ = 0;
  std::atomic<bool> abandoned_ = false;
  std::atomic<bool> given_up_ = false;  // alive, and good for nothing

  // On the loop's thread.
  std::set<std::shared_ptr<Generation>> generations_;
  bool ticking_ = false;
  bool looking_ = false;         // its health was asked for
  std::optional<Error> closed_;  // ends what is submitted from now on

  std::mutex idle_mutex_;
  std::condition_variable idle_;  // a generation has ended, or all have
  bool swept_ = false;            // nothing runs any more, and nothing will; of idle_mutex_
};

}  // namespace minerva::backend
