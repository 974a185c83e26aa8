// What the server counts. Rooms report to a Metrics that is passed in; the http room's
// implementation renders Prometheus text. The names are a closed list, so none is mistyped.
// Thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

namespace minerva {

enum class Metric : std::uint8_t {
  // Counters.
  RequestsTotal,         // label: outcome (done, error, cancelled, rejected)
  PromptTokensTotal,     // prompt tokens taken in
  CachedTokensTotal,     // prompt tokens found in the prefix cache
  GeneratedTokensTotal,  // tokens made
  StepsTotal,            // engine steps
  PreemptionsTotal,      // sequences that gave their pages back to run again later
  EngineRestartsTotal,   // label: engine; a backend that failed was made again
  RetriesTotal,          // label: engine; answers that it began and another engine went on with
  ModelLoadsTotal,       // label: engine; models that became able to generate
  ModelEvictionsTotal,   // models unloaded to make room, or because they were idle
  QuarantinedTotal,      // pairs of model and engine that are not tried any more
  // Histograms.
  TimeToFirstTokenSeconds,
  InterTokenLatencySeconds,
  BatchWidth,        // sequences in an engine step
  ModelLoadSeconds,  // from the decision to load to the first token
  // Gauges.
  QueuedRequests,
  RunningRequests,
  KvPagesUsed,
  KvPagesTotal,
  LoadedModels,
  ModelMemoryBytes,  // label: model; 0 forgets the model
  BreakersOpen,      // breakers that let no request through
};

// A label that names an engine is its name ("llama_cpp", "remote:office"); what is kept of it is
// the engine's kind, because labels must not grow without end.
class Metrics {
 public:
  virtual ~Metrics() = default;
  virtual void add(Metric counter, double by, std::string_view label = {}) = 0;
  virtual void observe(Metric histogram, double value) = 0;
  virtual void set(Metric gauge, double value, std::string_view label = {}) = 0;
};

// Counts nothing: for tests and tools.
class NoMetrics final : public Metrics {
 public:
  void add(Metric, double, std::string_view) override {}
  void observe(Metric, double) override {}
  void set(Metric, double, std::string_view) override {}
};

}  // namespace minerva
