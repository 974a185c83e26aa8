// Service on this machine: models from the store and from other servers, each on an engine that can
// do what a request asks, loaded when it is wanted, the answers' text made on our side. One object
// for the whole server.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "backend/engine_kind.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "models/learned_memory.h"
#include "models/model_store.h"
#include "models/vocabulary_cache.h"
#include "serve/deadline_watch.h"
#include "serve/engine_table.h"
#include "serve/generation_link.h"
#include "serve/ledger.h"
#include "serve/model_rules.h"
#include "serve/model_text.h"
#include "serve/route.h"
#include "serve/running_generation.h"
#include "serve/serve_loop.h"
#include "serve/service.h"
#include "serve/workers.h"

namespace minerva::serve {

struct ServiceOptions {
  std::vector<std::string> models;  // names or paths; the first one answers where none is named
  bool preload = true;              // load those at once; else at their first request
  std::size_t context_size = 0;     // 0: the engine's default
  std::size_t context_default = 0;  // the most that an engine's default gives; 0: the model's own
  std::size_t requests_max = 256;   // waiting and running together
  std::size_t models_max = 8;       // loaded at once
  Duration load_wait_max = std::chrono::seconds(300);
  Duration self_test_time_max = std::chrono::seconds(60);
  std::optional<Duration> request_time_max;  // also where the client asks for none or more
  std::shared_ptr<models::LearnedMemory> learned_memory;  // none: nothing outlives the server
  ServingRules rules;
  LoopOptions loop;  // its memory_max and models_max are those above and of the rules
};

struct Engines {
  // In the machine's order of preference; at least one.
  std::vector<std::shared_ptr<backend::EngineKind>> kinds;
  std::shared_ptr<backend::EngineKind> isolated;  // takes the place of "native" where asked for
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
  static Result<std::unique_ptr<LocalService>> open(ServiceOptions options, Engines engines,
                                                    ModelSources sources, const Clock& clock,
                                                    Metrics& metrics);
  ~LocalService() override;

  Result<std::unique_ptr<Generation>> start(Request request) override;
  Result<std::unique_ptr<Generation>> embed(EmbeddingRequest request) override;
  Result<RouteReport> explain_route(Request request) override;
  std::vector<ModelInfo> models() const override;
  Result<ModelInfo> model(std::string_view name) const override;
  std::vector<BackendInfo> backends() const override;
  std::vector<InstanceInfo> instances() const override;
  Result<InstanceInfo> load(std::string_view model, std::optional<std::string> backend,
                            Duration time_max) override;
  Result<void> unload(std::string_view model, bool now) override;
  bool ready() const override;
  std::size_t active() const override { return ledger_->active(); }
  // Does not wait.
  void drain(Duration grace) override;

  // Waits until the configured models can generate, and gives the first one's error that cannot.
  Result<void> wait_until_ready(TimePoint deadline);

 private:
  // A model as clients know it: what the store or another server says, and the rules for it.
  struct Model {
    models::ModelEntry entry;
    const ModelRules* rules = nullptr;  // none: those of the server
  };
  // A request that was understood: what it asks for, and who could answer.
  struct Prepared {
    Model model;
    std::shared_ptr<const ModelText> text;  // none: the model is on another server
    PreparedPrompt prompt;
    RouteAsks asks;
    std::vector<RouteCandidate> candidates;  // beside engines_
  };
  struct Links {
    std::mutex mutex;
    std::vector<std::weak_ptr<GenerationLink>> all;
    void add(const std::shared_ptr<GenerationLink>& link);
    void stop(const Error& why);
  };

  // Path, time of change, and the template that is configured for this name of it.
  using TextKey = std::tuple<std::string, std::int64_t, std::string>;

  LocalService(ServiceOptions options, Engines engines, ModelSources sources, const Clock& clock,
               Metrics& metrics);
  Result<void> configure();
  Result<std::unique_ptr<Generation>> admit(Request request);
  Result<Prepared> prepare(Request& request) const;
  std::unique_ptr<Generation> begin(Request request, Prepared prepared, const RoutePlan& plan,
                                    std::unique_ptr<Place> place, TimePoint started);
  Result<Model> find_model(std::string_view name) const;
  Result<Model> find_remote_model(std::string_view name) const;
  const ModelRules* rules_of(std::string_view name) const;
  TextKey text_key(const models::ModelEntry& entry) const;
  std::shared_ptr<const ModelText> known_text(const models::ModelEntry& entry) const;
  Result<std::shared_ptr<const ModelText>> text_of(const models::ModelEntry& entry) const;
  // Embeddings (local_service_embed.cc).
  Result<std::unique_ptr<Generation>> admit_embedding(EmbeddingRequest request);
  Result<EmbedOrder> prepare_embedding(const EmbeddingRequest& request, const Model& model,
                                       RouteAsks& asks) const;
  // What a request for text and one for vectors have in common.
  Job make_job(const Model& model, const RoutePlan& plan, TimePoint started,
               std::optional<Duration> timeout) const;
  std::unique_ptr<Generation> launch(Job job, GenerationPlan answer, std::unique_ptr<Place> place,
                                     std::optional<Duration> timeout);
  std::optional<Duration> bounded_timeout(std::optional<Duration> asked) const;
  RouteAsks wishes(const std::optional<std::string>& backend,
                   const std::vector<std::string>& fallback, const Model& model) const;
  RouteAsks asks_of(const Request& request, const Model& model) const;
  std::vector<RouteCandidate> candidates(const Model& model) const;
  backend::ModelSpec spec_for(std::size_t engine, const Model& model) const;
  std::string key_of(std::size_t engine, const Model& model) const;
  bool isolated(const Model& model) const;
  models::MemoryKey memory_key(std::size_t engine, const Model& model) const;
  std::size_t context_of(const Model& model) const;
  std::size_t context_at_most(const Model& model, const backend::ModelSpec& spec) const;
  InstancePlan instance_plan(std::size_t engine, const Model& model, std::string reason) const;
  Result<InstancePlan> plan_load(const Model& model, std::optional<std::string> backend) const;
  ModelInfo info(const Model& model, const Snapshot& snapshot) const;
  std::vector<std::string> aliases_of(std::string_view name) const;

  const ServiceOptions options_;
  const ModelSources sources_;
  const Clock& clock_;
  Metrics& metrics_;
  std::vector<Model> configured_;  // set by configure() alone
  std::vector<Model> wanted_;      // of these, those to be loaded at once
  const std::shared_ptr<Ledger> ledger_;
  const std::shared_ptr<Links> links_ = std::make_shared<Links>();
  mutable std::mutex texts_mutex_;
  // They outlive the loading of their model.
  mutable std::map<TextKey, std::shared_ptr<const ModelText>> texts_;
  Workers workers_;
  const std::unique_ptr<EngineTable> engines_;
  // Ends before the workers that it waits for.
  std::unique_ptr<ServeLoop> loop_;
  // Last, so that its thread ends first. Shared for the weak hold that generations have on it.
  const std::shared_ptr<DeadlineWatch> watch_;
};

}  // namespace minerva::serve
