// The waiting half of one model on one engine: makes the backend, loads, tests that it makes a
// token, unloads. Each load gets a backend of its own, so that nothing of a failed one is left.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend/engine_kind.h"
#include "base/clock.h"
#include "base/result.h"
#include "serve/workers.h"

namespace minerva::serve {

struct RunnerOptions {
  backend::ModelSpec spec;
  std::size_t context_size = 0;   // 0: the engine's default
  TokenId self_test_token = 0;    // the prompt of the self test
  Duration self_test_time_max{};  // for that one token
  bool self_test = true;          // not where a token costs money
};

// Any thread; the loop calls, and is called back from worker threads. Shared with the jobs.
class EngineRunner : public std::enable_shared_from_this<EngineRunner> {
 public:
  EngineRunner(RunnerOptions options, std::shared_ptr<backend::EngineKind> kind, Workers& workers,
               const Clock& clock)
      : options_(std::move(options)), kind_(std::move(kind)), workers_(workers), clock_(clock) {}

  void load(std::function<void(Result<void>)> done);
  void abort();  // a load that runs ends soon, as failed
  void unload(bool kill, std::function<void()> done);
  // Whether it gives a token within `time_max`.
  void probe(Duration time_max, std::function<void(bool)> done);

  // None before a load and after an unload.
  std::shared_ptr<backend::InferenceBackend> engine() const;
  const backend::ModelSpec& spec() const { return options_.spec; }
  std::vector<std::string> last_log_lines() const;

 private:
  Result<void> load_now();
  Result<void> ask_for_token(backend::InferenceBackend& engine, const backend::Capabilities& can,
                             const std::shared_ptr<backend::GenerationStream>& stream) const;
  Result<void> ask_for_vector(backend::InferenceBackend& engine,
                              const std::shared_ptr<backend::GenerationStream>& stream) const;
  // Or the vector of one, where the model makes no tokens.
  Result<void> one_token(backend::InferenceBackend& engine, Duration time_max) const;

  const RunnerOptions options_;
  const std::shared_ptr<backend::EngineKind> kind_;
  Workers& workers_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::shared_ptr<backend::InferenceBackend> engine_;
  std::vector<std::string> last_words_;  // of the engine that has gone
};

}  // namespace minerva::serve
