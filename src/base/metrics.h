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
  // Histograms.
  TimeToFirstTokenSeconds,
  InterTokenLatencySeconds,
  BatchWidth,  // sequences in an engine step
  // Gauges.
  QueuedRequests,
  RunningRequests,
  KvPagesUsed,
  KvPagesTotal,
};

class Metrics {
 public:
  virtual ~Metrics() = default;
  virtual void add(Metric counter, double by, std::string_view label = {}) = 0;
  virtual void observe(Metric histogram, double value) = 0;
  virtual void set(Metric gauge, double value) = 0;
};

// Counts nothing: for tests and tools.
class NoMetrics final : public Metrics {
 public:
  void add(Metric, double, std::string_view) override {}
  void observe(Metric, double) override {}
  void set(Metric, double) override {}
};

}  // namespace minerva
