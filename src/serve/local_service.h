// Service on this machine: models from the store, each on an engine of its own, loaded when it is
// first wanted (or at once), the answers' text made on our side. One object for the whole server.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "models/model_store.h"
#include "models/vocabulary_cache.h"
#include "serve/deadline_watch.h"
#include "serve/generation_link.h"
#include "serve/ledger.h"
#include "serve/model_instance.h"
#include "serve/model_text.h"
#include "serve/route.h"
#include "serve/service.h"

namespace minerva::serve {

// An engine that can be had. `make` gives a new backend, not started.
struct EngineOffer {
  std::string name;
  backend::Capabilities can;  // of any model, before it is loaded
  std::function<Result<std::unique_ptr<backend::InferenceBackend>>()> make;
};

struct ServiceOptions {
  std::vector<std::string> models;  // names or paths; the first one answers where none is named
  bool preload = true;              // load those at once; else at their first request
  std::size_t context_size = 0;     // 0: the engine's default
  std::size_t requests_max = 256;   // waiting and running together
  std::size_t models_max = 8;       // loaded at once
  Duration load_wait_max = std::chrono::seconds(120);
  Duration self_test_time_max = std::chrono::seconds(60);
  std::optional<Duration> request_time_max;  // also where the client asks for none or more
};

// Where models come from; shared with engines that want the same vocabularies.
struct ModelSources {
  std::shared_ptr<const models::ModelStore> store;
  std::shared_ptr<models::VocabularyCache> vocabularies;
};

// Any thread. The destructor ends what runs; generations may outlive it, but not the clock and the
// metrics.
class LocalService final : public Service {
 public:
  // Refuses configured models that are unknown or broken. Loading goes on behind it: see ready().
  // `engines` in the order in which they are tried, at least one.
  static Result<std::unique_ptr<LocalService>> open(ServiceOptions options,
                                                    std::vector<EngineOffer> engines,
                                                    ModelSources sources, const Clock& clock,
                                                    Metrics& metrics);
  ~LocalService() override;

  Result<std::unique_ptr<Generation>> start(Request request) override;
  std::vector<ModelInfo> models() const override;
  Result<ModelInfo> model(std::string_view name) const override;
  bool ready() const override;
  std::size_t active() const override { return ledger_->active(); }
  // Does not wait.
  void drain(Duration grace) override;

  // Waits until the configured models can generate, and gives the first one's error that cannot.
  Result<void> wait_until_ready(TimePoint deadline);

 private:
  // One model on one engine.
  struct Served {
    models::ModelEntry entry;
    std::string engine;
    std::shared_ptr<const ModelText> text;
    std::shared_ptr<ModelInstance> instance;
  };
  struct Links {
    std::mutex mutex;
    std::vector<std::weak_ptr<GenerationLink>> all;
    void add(const std::shared_ptr<GenerationLink>& link);
    void stop(const Error& why);
  };

  LocalService(ServiceOptions options, std::vector<EngineOffer> engines, ModelSources sources,
               const Clock& clock, Metrics& metrics);
  Result<std::unique_ptr<Generation>> admit(Request request);
  Result<std::unique_ptr<Generation>> generate(Request request, const Served& served,
                                               RoutePlan plan, std::unique_ptr<Place> place,
                                               TimePoint started);
  Result<models::ModelEntry> find_model(std::string_view name) const;
  Result<RoutePlan> route(const Request& request, const models::ModelEntry& entry) const;
  Result<std::shared_ptr<const Served>> serve_model(const models::ModelEntry& entry,
                                                    const std::string& engine);
  std::shared_ptr<const Served> served(const std::string& path, std::string_view engine) const;
  ModelInfo info(const models::ModelEntry& entry) const;

  const ServiceOptions options_;
  const std::vector<EngineOffer> engines_;
  const ModelSources sources_;
  const Clock& clock_;
  Metrics& metrics_;
  std::vector<models::ModelEntry> configured_;  // set by open() alone
  const std::shared_ptr<Ledger> ledger_;
  const std::shared_ptr<Links> links_ = std::make_shared<Links>();
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const Served>> served_;
  // Last, so that its thread ends first. Shared for the weak hold that generations have on it.
  const std::shared_ptr<DeadlineWatch> watch_;
};

}  // namespace minerva::serve
