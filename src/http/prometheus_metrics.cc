#include "http/prometheus_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <cstddef>

#include "base/check.h"

namespace minerva::http {
namespace {

constexpr std::size_t kMetrics = static_cast<std::size_t>(Metric::KvPagesTotal) + 1;
// The values of RequestsTotal's label. A closed list: a label made from a request could grow
// without end.
constexpr std::array<std::string_view, 5> kOutcomes = {"done", "error", "cancelled", "rejected",
                                                       "other"};

const prometheus::Histogram::BucketBoundaries kTtftSeconds = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                                              2.5,  5,     10,   30,  60,   120};
const prometheus::Histogram::BucketBoundaries kItlSeconds = {
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5};
const prometheus::Histogram::BucketBoundaries kWidths = {1, 2, 4, 8, 16, 32, 64, 128, 256};

}  // namespace

struct PrometheusMetrics::State {
  prometheus::Registry registry;
  std::array<prometheus::Counter*, kMetrics> counters{};
  std::array<prometheus::Histogram*, kMetrics> histograms{};
  std::array<prometheus::Gauge*, kMetrics> gauges{};
  std::array<prometheus::Counter*, kOutcomes.size()> requests{};

  void counter(Metric metric, const char* name, const char* help) {
    auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(registry);
    counters[static_cast<std::size_t>(metric)] = &family.Add({});
  }
  void gauge(Metric metric, const char* name, const char* help) {
    auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(registry);
    gauges[static_cast<std::size_t>(metric)] = &family.Add({});
  }
  void histogram(Metric metric, const char* name, const char* help,
                 const prometheus::Histogram::BucketBoundaries& buckets) {
    auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
    histograms[static_cast<std::size_t>(metric)] = &family.Add({}, buckets);
  }
};

PrometheusMetrics::PrometheusMetrics() : state_(std::make_unique<State>()) {
  State& s = *state_;
  auto& requests = prometheus::BuildCounter()
                       .Name("minerva_requests_total")
                       .Help("Generation requests, by how they ended")
                       .Register(s.registry);
  for (std::size_t i = 0; i < kOutcomes.size(); ++i)
    s.requests[i] = &requests.Add({{"outcome", std::string(kOutcomes[i])}});

  s.counter(Metric::PromptTokensTotal, "minerva_prompt_tokens_total", "Prompt tokens taken in");
  s.counter(Metric::CachedTokensTotal, "minerva_cached_tokens_total",
            "Prompt tokens found in the prefix cache");
  s.counter(Metric::GeneratedTokensTotal, "minerva_generated_tokens_total", "Tokens generated");
  s.counter(Metric::StepsTotal, "minerva_engine_steps_total", "Engine steps");
  s.counter(Metric::PreemptionsTotal, "minerva_preemptions_total",
            "Sequences that gave their pages back to run again later");
  s.histogram(Metric::TimeToFirstTokenSeconds, "minerva_time_to_first_token_seconds",
              "From a request's arrival to its first token", kTtftSeconds);
  s.histogram(Metric::InterTokenLatencySeconds, "minerva_inter_token_latency_seconds",
              "Between two tokens of a request", kItlSeconds);
  s.histogram(Metric::BatchWidth, "minerva_batch_width", "Sequences in an engine step", kWidths);
  s.gauge(Metric::QueuedRequests, "minerva_queued_requests", "Requests that wait to run");
  s.gauge(Metric::RunningRequests, "minerva_running_requests", "Requests that run");
  s.gauge(Metric::KvPagesUsed, "minerva_kv_pages_used", "Pages of the key-value cache in use");
  s.gauge(Metric::KvPagesTotal, "minerva_kv_pages_total", "Pages of the key-value cache");
}

PrometheusMetrics::~PrometheusMetrics() = default;

void PrometheusMetrics::add(Metric counter, double by, std::string_view label) {
  if (counter == Metric::RequestsTotal) {
    std::size_t i = 0;
    while (i + 1 < kOutcomes.size() && kOutcomes[i] != label) ++i;
    state_->requests[i]->Increment(by);
    return;
  }
  prometheus::Counter* const target = state_->counters[static_cast<std::size_t>(counter)];
  MINERVA_CHECK(target != nullptr);
  target->Increment(by);
}

void PrometheusMetrics::observe(Metric histogram, double value) {
  prometheus::Histogram* const target = state_->histograms[static_cast<std::size_t>(histogram)];
  MINERVA_CHECK(target != nullptr);
  target->Observe(value);
}

void PrometheusMetrics::set(Metric gauge, double value) {
  prometheus::Gauge* const target = state_->gauges[static_cast<std::size_t>(gauge)];
  MINERVA_CHECK(target != nullptr);
  target->Set(value);
}

std::string PrometheusMetrics::render() const {
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace minerva::http
