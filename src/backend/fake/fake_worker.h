// The thread behind FakeBackend: it holds the requests and steps through them as an engine's
// batcher does, one token a choice and step.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "backend/backend.h"
#include "backend/fake/fake_model.h"
#include "backend/fake/fake_options.h"
#include "base/clock.h"

namespace minerva::backend {

// All members may be called from any thread but the worker's own (a stream's callback).
class FakeWorker {
 public:
  FakeWorker(FakeOptions options, const Clock& clock);
  ~FakeWorker();
  FakeWorker(const FakeWorker&) = delete;
  FakeWorker& operator=(const FakeWorker&) = delete;

  Result<void> load(std::size_t context_size);
  // Ends what runs, and waits until it has ended.
  void unload();
  Result<void> submit(GenerateRequest request, std::vector<TokenId> prompt,
                      std::shared_ptr<GenerationStream> stream);

  // Waits up to `grace` for what runs, then unloads.
  void stop(Duration grace);
  void kill();
  // Ends what runs and the thread; nothing happens any more. Of the owner, once.
  void close();

  Probe probe() const;
  std::size_t context_size() const;  // 0: not loaded

  void set_faults(FakeFaults faults);
  void advance(std::uint64_t steps);
  void release_load();
  void set_load_progress(LoadProgress progress);
  LoadProgress load_progress() const;
  FakeFaults faults() const;
  std::size_t running() const;
  std::size_t loads() const;
  std::uint64_t memory_bytes() const { return options_.memory_bytes; }
  std::size_t widest_step() const;
  std::uint64_t tokens_made() const;

 private:
  struct Choice {
    std::vector<TokenId> prefix;
    std::size_t generated = 0;  // of prefix
    bool ended = false;
  };
  // Changed by the worker's thread alone, but for `resumed`.
  struct Running {
    GenerateRequest request;
    std::shared_ptr<GenerationStream> stream;
    std::vector<Choice> choices;
    std::uint64_t seed = 0;
    EndEvent end;
    TimePoint submitted;
    std::optional<TimePoint> first_step, first_token;
    TimePoint last_token;
    std::size_t context_size = 0;
    bool queued = false;  // and the reader was told
    bool paused = false;  // the stream was full
    bool hung = false;
    bool ended = false;
    std::atomic<bool> resumed = false;  // the stream was drained since
  };
  // Outlives the worker in the callbacks of streams.
  struct Signal {
    std::mutex mutex;
    std::condition_variable changed;
    void raise();
  };
  enum class Fault : std::uint8_t { None, Fail, Hang, Die };

  void run();
  void die();  // needs the lock
  bool may_generate(const Running& running) const;
  bool must_end(const Running& running) const;
  void end_if_asked(Running& running, const FakeFaults& faults);
  // One token for each choice. True when the engine died of it.
  bool generate_step(Running& running, const FakeFaults& faults);
  bool generate_token(Running& running, std::uint32_t index, const FakeFaults& faults);
  void end_choice(Running& running, std::uint32_t index, FinishReason reason);
  void end(Running& running, EndEvent::Outcome outcome, std::optional<Error> error = {});
  static Fault fault_at(const FakeFaults& faults, std::uint64_t token, std::string_view bytes);

  const FakeOptions options_;
  const FakeModel model_;
  const Clock& clock_;
  const std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();

  // Under signal_->mutex.
  FakeFaults faults_;
  std::vector<std::shared_ptr<Running>> running_;
  std::size_t context_size_ = 0;
  Health health_ = Health::Stopped;
  std::string detail_;
  std::optional<Error> abort_;  // ends all that runs
  std::uint64_t allowed_steps_ = 0;
  LoadProgress load_progress_;
  bool load_released_ = false;
  bool stopping_ = false;
  std::size_t loads_ = 0;
  std::size_t widest_step_ = 0;
  std::uint64_t tokens_made_ = 0;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace minerva::backend
