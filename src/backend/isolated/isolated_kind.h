// Our own engine in a process of its own: a model that crashes it takes no other down. The same
// models, capabilities and name as the engine in this process, which it asks about everything but
// the making.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/child/child_backend.h"
#include "backend/engine_kind.h"
#include "backend/isolated/engine_options.h"

namespace minerva::backend {

struct IsolatedOptions {
  std::string program;                   // our binary, an absolute path
  std::vector<std::string> environment;  // ours; process/environment.h says what a child gets
  std::vector<std::string> guard;        // how the guard is started: our binary and its verb
  std::string log_folder;                // empty: no files
  EngineOptions engine;                  // socket, model, name and context are set at each load
  unsigned cpus = 0;                     // how many processors it may use; 0: all of ours
  // A model of hundreds of gigabytes from a slow disk.
  Duration ready_max = std::chrono::hours(2);
  process::StopLadder ladder;
  std::function<Result<std::shared_ptr<const text::Tokenizer>>(const ModelSpec&)> vocabulary;
};

class IsolatedKind final : public EngineKind {
 public:
  IsolatedKind(IsolatedOptions options, std::shared_ptr<EngineKind> native, UpstreamLoop& loop,
               const Clock& clock);

  std::string_view name() const override { return native_->name(); }
  Availability probe(Duration time_max) override { return native_->probe(time_max); }
  std::optional<std::string> objection(const ModelSpec& spec) const override {
    return native_->objection(spec);
  }
  Capabilities capabilities(const ModelSpec& spec) const override {
    return native_->capabilities(spec);
  }
  MemoryNeed memory_need(const ModelSpec& spec, std::size_t context_size) const override;
  Result<std::unique_ptr<InferenceBackend>> make() override;

 private:
  const std::shared_ptr<const IsolatedOptions> options_;
  const std::shared_ptr<EngineKind> native_;
  UpstreamLoop& loop_;
  const Clock& clock_;
};

// A backend of this kind, and how it launches a model.
std::unique_ptr<InferenceBackend> make_isolated(std::shared_ptr<const IsolatedOptions> options,
                                                UpstreamLoop& loop, const Clock& clock);
Result<LaunchPlan> plan_isolated(const IsolatedOptions& options, const ModelSpec& spec,
                                 std::size_t context_size);

}  // namespace minerva::backend
