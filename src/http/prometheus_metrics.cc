#include "http/prometheus_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <cstddef>
#include <map>
#include <mutex>
#include <span>

#include "base/check.h"

namespace minerva::http {
namespace {

constexpr std::size_t kMetrics = static_cast<std::size_t>(Metric::BreakersOpen) + 1;
// The values of RequestsTotal's label. A closed list: a label made from a request could grow
// without end.
constexpr std::array<std::string_view, 5> kOutcomes = {"done", "error", "cancelled", "rejected",
                                                       "other"};
// The kinds of engines. Remote servers, of which the configuration may name any number, are one.
constexpr std::array<std::string_view, 5> kEngines = {"native", "llama_cpp", "mlx", "remote",
                                                      "other"};
// Models with a series of their own: more than may ever be loaded at once (models_max).
constexpr std::size_t kModelSeriesMax = 256;

std::size_t index_or_other(std::span<const std::string_view> closed, std::string_view label) {
  std::size_t i = 0;
  while (i + 1 < closed.size() && closed[i] != label) ++i;
  return i;
}

const prometheus::Histogram::BucketBoundaries kTtftSeconds = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                                              2.5,  5,     10,   30,  60,   120};
const prometheus::Histogram::BucketBoundaries kItlSeconds = {
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5};
const prometheus::Histogram::BucketBoundaries kLoadSeconds = {0.1, 0.25, 0.5, 1,   2.5, 5,
                                                              10,  30,   60,  120, 300, 900};
const prometheus::Histogram::BucketBoundaries kWidths = {1, 2, 4, 8, 16, 32, 64, 128, 256};

}  // namespace

struct PrometheusMetrics::State {
  prometheus::Registry registry;
  std::array<prometheus::Counter*, kMetrics> counters{};
  std::array<prometheus::Histogram*, kMetrics> histograms{};
  std::array<prometheus::Gauge*, kMetrics> gauges{};
  std::array<prometheus::Counter*, kOutcomes.size()> requests{};
  std::array<std::array<prometheus::Counter*, kEngines.size()>, kMetrics> by_engine{};
  prometheus::Family<prometheus::Gauge>* model_memory = nullptr;
  std::mutex models_mutex;
  std::map<std::string, prometheus::Gauge*, std::less<>> models;

  void counter(Metric metric, const char* name, const char* help) {
    auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(registry);
    counters[static_cast<std::size_t>(metric)] = &family.Add({});
  }
  void engine_counter(Metric metric, const char* name, const char* help) {
    auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(registry);
    for (std::size_t i = 0; i < kEngines.size(); ++i) {
      by_engine[static_cast<std::size_t>(metric)][i] =
          &family.Add({{"engine", std::string(kEngines[i])}});
    }
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
  void set_model_memory(double bytes, std::string_view model) {
    const std::lock_guard lock(models_mutex);
    auto at = models.find(model);
    if (bytes == 0) {
      if (at == models.end()) return;
      model_memory->Remove(at->second);
      models.erase(at);
      return;
    }
    if (at == models.end()) {
      if (models.size() >= kModelSeriesMax) return;
      auto& gauge = model_memory->Add({{"model", std::string(model)}});
      at = models.emplace(model, &gauge).first;
    }
    at->second->Set(bytes);
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
  s.engine_counter(Metric::EngineRestartsTotal, "minerva_engine_restarts_total",
                   "Engines that failed and were started again");
  s.engine_counter(Metric::RetriesTotal, "minerva_retries_total",
                   "Answers that an engine failed to give and another went on with");
  s.engine_counter(Metric::ModelLoadsTotal, "minerva_model_loads_total", "Models loaded");
  s.counter(Metric::ModelEvictionsTotal, "minerva_model_evictions_total",
            "Models unloaded to make room, or because they were idle");
  s.counter(Metric::QuarantinedTotal, "minerva_quarantined_total",
            "Pairs of model and engine that are not tried any more");
  s.histogram(Metric::TimeToFirstTokenSeconds, "minerva_time_to_first_token_seconds",
              "From a request's arrival to its first token", kTtftSeconds);
  s.histogram(Metric::InterTokenLatencySeconds, "minerva_inter_token_latency_seconds",
              "Between two tokens of a request", kItlSeconds);
  s.histogram(Metric::BatchWidth, "minerva_batch_width", "Sequences in an engine step", kWidths);
  s.histogram(Metric::ModelLoadSeconds, "minerva_model_load_seconds",
              "From the decision to load a model to its first token", kLoadSeconds);
  s.gauge(Metric::QueuedRequests, "minerva_queued_requests", "Requests that wait to run");
  s.gauge(Metric::RunningRequests, "minerva_running_requests", "Requests that run");
  s.gauge(Metric::KvPagesUsed, "minerva_kv_pages_used", "Pages of the key-value cache in use");
  s.gauge(Metric::KvPagesTotal, "minerva_kv_pages_total", "Pages of the key-value cache");
  s.gauge(Metric::LoadedModels, "minerva_loaded_models", "Models that can generate");
  s.gauge(Metric::BreakersOpen, "minerva_breakers_open", "Breakers that let no request through");
  s.model_memory = &prometheus::BuildGauge()
                        .Name("minerva_model_memory_bytes")
                        .Help("Memory that a loaded model takes, with its engine")
                        .Register(s.registry);
}

PrometheusMetrics::~PrometheusMetrics() = default;

void PrometheusMetrics::add(Metric counter, double by, std::string_view label) {
  if (counter == Metric::RequestsTotal) {
    state_->requests[index_or_other(kOutcomes, label)]->Increment(by);
    return;
  }
  const auto& engines = state_->by_engine[static_cast<std::size_t>(counter)];
  if (engines[0] != nullptr) {
    engines[index_or_other(kEngines, label.substr(0, label.find(':')))]->Increment(by);
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

void PrometheusMetrics::set(Metric gauge, double value, std::string_view label) {
  if (gauge == Metric::ModelMemoryBytes) {
    state_->set_model_memory(value, label);
    return;
  }
  prometheus::Gauge* const target = state_->gauges[static_cast<std::size_t>(gauge)];
  MINERVA_CHECK(target != nullptr);
  target->Set(value);
}

std::string PrometheusMetrics::render() const {
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace minerva::http
