// The engines of this machine, made from the configuration, with what they share: the threads that
// compute, the loop on which children are talked to, the vocabularies.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/child/upstream_loop.h"
#include "backend/engine_kind.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "cli/compute.h"
#include "cli/configuration.h"
#include "models/vocabulary_cache.h"

namespace minerva::app {

struct EngineSetOptions {
  std::vector<std::string> environment;  // ours: "NAME=value"
  std::string version;
  // Loading's progress on our own engine, in bytes; may be empty.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};

// Outlives every backend that its kinds make. Any thread once made.
class EngineSet {
 public:
  // `clock` and `metrics` outlive it.
  static Result<std::unique_ptr<EngineSet>> make(const cli::Configuration& configuration,
                                                 EngineSetOptions options, const Clock& clock,
                                                 Metrics& metrics);
  EngineSet(const EngineSet&) = delete;
  EngineSet& operator=(const EngineSet&) = delete;

  // In the machine's order of preference.
  const std::vector<std::shared_ptr<backend::EngineKind>>& kinds() const { return kinds_; }
  // Our own engine in a process of its own.
  const std::shared_ptr<backend::EngineKind>& isolated() const { return isolated_; }
  const cli::Compute& compute() const { return compute_; }
  const std::shared_ptr<models::VocabularyCache>& vocabularies() const { return vocabularies_; }

 private:
  EngineSet() = default;
  void add_native(const cli::Configuration& configuration, const EngineSetOptions& options,
                  const Clock& clock, Metrics& metrics);
  Result<void> add_llama_cpp(const cli::Configuration& configuration,
                             const EngineSetOptions& options, const Clock& clock);

  void add_isolated(const cli::Configuration& configuration, const EngineSetOptions& options,
                    const Clock& clock);
  void add_mlx(const cli::Configuration& configuration, const EngineSetOptions& options,
               const Clock& clock);
  Result<void> add_remotes(const cli::Configuration& configuration, const EngineSetOptions& options,
                           const Clock& clock);

  cli::Compute compute_;
  std::shared_ptr<models::VocabularyCache> vocabularies_ =
      std::make_shared<models::VocabularyCache>();
  std::unique_ptr<backend::UpstreamLoop> loop_;
  std::vector<std::shared_ptr<backend::EngineKind>> kinds_;
  std::shared_ptr<backend::EngineKind> isolated_;
};

}  // namespace minerva::app
