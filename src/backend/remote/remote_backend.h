// One model on a remote server, or on several that hold the same. Each request goes to one of them;
// while it has given no token, another one takes over when that one fails. A server that is away
// is tried again in the background.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backend/backend.h"
#include "backend/child/child_backend.h"
#include "backend/remote/remote_options.h"
#include "backend/remote/replicas.h"
#include "base/clock.h"

namespace minerva::backend {

// What the backend and its running requests share; they may outlive it by a moment.
struct RemotePool {
  explicit RemotePool(std::vector<std::string> names) : replicas(std::move(names)) {}
  std::mutex mutex;
  Replicas replicas;  // guarded by mutex
  // One to each replica; not changed once made.
  std::vector<std::unique_ptr<ChildBackend>> backends;
};

class RemoteBackend final : public InferenceBackend {
 public:
  RemoteBackend(std::shared_ptr<const RemoteOptions> options,
                std::vector<UpstreamAddress> addresses, UpstreamLoop& loop, const Clock& clock);
  ~RemoteBackend() override;

  // Succeeds once one replica answers.
  Result<void> load_model(const ModelSpec& spec, std::size_t context_size) override;
  Result<void> unload_model() override;
  bool is_loaded() const override;
  std::size_t context_size() const override { return 0; }  // not ours to know
  unsigned thread_count() const override { return 1; }
  Result<void> generate(GenerateRequest request, std::shared_ptr<GenerationStream> stream) override;
  Result<void> embed(EmbedRequest request, std::shared_ptr<GenerationStream> stream) override;
  Result<std::vector<TokenId>> tokenize(std::string_view text,
                                        TokenizeOptions options) const override;
  Result<std::string> detokenize(std::span<const TokenId> tokens) const override;
  Result<void> start() override { return {}; }
  void stop(Duration grace) override;
  void kill() override;
  Probe probe() const override;
  ResourceUsage usage() const override { return {}; }
  Activity activity() const override;
  std::vector<std::string> last_log_lines(std::size_t) const override { return {}; }
  Capabilities capabilities() const override;
  std::string_view name() const override { return name_; }

  // Requests that run on a replica; for tests and metrics.
  std::size_t running(std::size_t replica) const;

 private:
  void connect(std::size_t replica);
  void keep_connected();
  void end(Duration grace);

  const std::shared_ptr<const RemoteOptions> options_;
  const std::string name_;
  const Clock& clock_;
  const std::shared_ptr<RemotePool> pool_;

  mutable std::mutex mutex_;
  std::condition_variable stopped_;
  ModelSpec spec_;           // guarded by mutex_
  bool loaded_ = false;      // guarded by mutex_
  bool stopping_ = false;    // guarded by mutex_
  std::string failure_;      // guarded by mutex_
  std::uint64_t loads_ = 0;  // guarded by mutex_
  std::mutex loading_;       // one load or unload at a time
  std::thread connector_;    // under loading_
};

}  // namespace minerva::backend
