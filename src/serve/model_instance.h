// One model on one engine: loads it when it is first wanted, makes a token to see that it works,
// and lets those who want it wait for that. It stays loaded until it is destroyed.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/result.h"
#include "serve/types.h"

namespace minerva::serve {

struct InstanceOptions {
  backend::ModelSpec spec;
  std::size_t context_size = 0;   // 0: the engine's default
  TokenId self_test_token = 0;    // the prompt of the self test
  Duration self_test_time_max{};  // for that one token
};

// Any thread, except that of a stream's callback: the destructor joins the engine's threads.
class ModelInstance {
 public:
  ModelInstance(InstanceOptions options, std::unique_ptr<backend::InferenceBackend> engine,
                const Clock& clock);
  ~ModelInstance();
  ModelInstance(const ModelInstance&) = delete;
  ModelInstance& operator=(const ModelInstance&) = delete;

  // Starts to load, unless it loads or is loaded already. A model that failed is tried again.
  void begin_load();
  // begin_load(), and waits until the model can generate, but not past `deadline`. All who wait for
  // one loading get its error.
  Result<void> ensure_ready(TimePoint deadline);

  struct Status {
    ModelState state = ModelState::Unloaded;
    std::string problem;  // with Failed
    std::uint64_t context_size = 0;
  };
  Status status() const;
  backend::InferenceBackend& engine() { return *engine_; }
  const backend::ModelSpec& spec() const { return options_.spec; }

 private:
  void load();  // on loader_
  Result<void> self_test();
  void begin_load_locked();

  const InstanceOptions options_;
  const std::unique_ptr<backend::InferenceBackend> engine_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  ModelState state_ = ModelState::Unloaded;
  Error error_;                 // with Failed
  std::uint64_t attempts_ = 0;  // loadings that were begun
  bool stopping_ = false;
  std::thread loader_;
};

}  // namespace minerva::serve
