// The server's numbers, kept by prometheus-cpp and rendered as the text that Prometheus reads.
// Owned by app, which passes it to every room as Metrics. Thread-safe; add(), observe() and set()
// cost a few atomic operations.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/metrics.h"

namespace minerva::http {

class PrometheusMetrics final : public Metrics {
 public:
  PrometheusMetrics();
  ~PrometheusMetrics() override;
  PrometheusMetrics(const PrometheusMetrics&) = delete;
  PrometheusMetrics& operator=(const PrometheusMetrics&) = delete;

  void add(Metric counter, double by, std::string_view label = {}) override;
  void observe(Metric histogram, double value) override;
  void set(Metric gauge, double value, std::string_view label = {}) override;

  // The whole page, text format 0.0.4.
  std::string render() const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace minerva::http
