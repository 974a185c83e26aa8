// An engine in a process of its own, or on another machine, behind the one interface. It starts the
// process for a model, waits until a token was generated, relays, and ends it in bounded time. When
// the process dies, every stream that runs ends as failed at once; starting it again is the
// caller's (serve/).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/child/engine_wire.h"
#include "backend/child/upstream.h"
#include "base/clock.h"
#include "process/child.h"
#include "process/port.h"

namespace minerva::backend {

// Everything that a load needs, as the kind of engine decided it.
struct LaunchPlan {
  std::optional<process::ChildOptions> child;  // none: the server runs already (remote)
  UpstreamOptions upstream;                    // its port or socket; `name` may be left empty
  // The child listens on a port: that the answer comes from it must be proven (process::listens).
  bool prove_port = false;
  WireModel model;  // tokenizer and context_size as planned
  // How this one is spoken to, where that depends on the model; else as the backend's others.
  std::shared_ptr<const EngineWire> wire;
  // Keeps key files and sockets for the child's life.
  std::shared_ptr<process::PrivateFolder> folder;
};

class ChildSession;

struct ChildBackendOptions {
  std::shared_ptr<const EngineWire> wire;
  // Decides how the model is launched: checks files, picks a port, writes key files. May take a
  // while; on the thread that loads. `context_size` as load_model() got it; 0: the default.
  std::function<Result<LaunchPlan>(const ModelSpec& spec, std::size_t context_size)> plan;

  unsigned threads = 1;           // what thread_count() says
  std::size_t running_max = 512;  // generations at once; more get QueueFull
  std::uint32_t choices_max = 16;
  Duration ready_max = std::chrono::minutes(10);  // from the spawn to the first token
  Duration connect_max = std::chrono::seconds(5);
  // Between two signs of life of a generation, the first one included. Supervision usually steps
  // in before; this is the last bound. 0: none.
  Duration silence_max = std::chrono::minutes(10);
  Duration paused_max = std::chrono::seconds(60);  // a reader that takes nothing is cancelled
  process::StopLadder ladder;
};

class ChildBackend final : public InferenceBackend {
 public:
  ChildBackend(ChildBackendOptions options, UpstreamLoop& loop, const Clock& clock);
  ~ChildBackend() override;  // kills the child

  Result<void> load_model(const ModelSpec& spec, std::size_t context_size) override;
  Result<void> unload_model() override;  // ends a load that runs, too
  bool is_loaded() const override;
  LoadProgress load_progress() const override;
  std::size_t context_size() const override;
  std::size_t text_tokens_max() const override;
  unsigned thread_count() const override { return options_.threads; }

  Result<void> generate(GenerateRequest request, std::shared_ptr<GenerationStream> stream) override;
  Result<void> embed(EmbedRequest request, std::shared_ptr<GenerationStream> stream) override;
  Result<std::vector<TokenId>> tokenize(std::string_view text,
                                        TokenizeOptions options) const override;
  Result<std::string> detokenize(std::span<const TokenId> tokens) const override;

  Result<void> start() override { return {}; }  // the process begins with its model
  void stop(Duration grace) override;
  void kill() override;
  Probe probe() const override;
  ResourceUsage usage() const override;
  Activity activity() const override;
  std::vector<std::string> last_log_lines(std::size_t count) const override;
  Capabilities capabilities() const override;
  std::string_view name() const override { return options_.wire->name(); }

 private:
  std::shared_ptr<ChildSession> loaded() const;  // none where its process has ended
  Result<std::shared_ptr<ChildSession>> bring_up(const ModelSpec& spec, std::size_t context_size,
                                                 std::uint64_t unloads);
  void abandon_load();
  // These need loading_, and block for as long as a process takes to end.
  void take_down(Duration grace);
  void bury();
  void remember_log(const ChildSession& session);

  const ChildBackendOptions options_;
  UpstreamLoop& loop_;
  const Clock& clock_;
  std::mutex loading_;  // one load or unload at a time
  mutable std::mutex mutex_;
  // Under mutex_.
  std::shared_ptr<ChildSession> loaded_;
  std::shared_ptr<ChildSession> starting_;             // a load that runs
  std::vector<std::shared_ptr<ChildSession>> buried_;  // killed, not waited for yet
  bool loading_now_ = false;
  std::uint64_t unloads_ = 0;            // a load that began before one is abandoned
  std::uint64_t loads_ = 0;              // versions the capabilities
  std::string failure_;                  // why there is no model, after a load that failed
  std::vector<std::string> last_words_;  // log of a child that has gone
};

}  // namespace minerva::backend
