#include "serve/local_service.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "base/log.h"
#include "serve/request_checks.h"
#include "serve/running_generation.h"

namespace minerva::serve {
namespace {

RouteAsks asks_of(const Request& request) {
  RouteAsks asks;
  asks.backend = request.backend;
  asks.images = has_images(request);
  asks.constraint = request.constraint.has_value();
  asks.logprobs = request.logprobs >= 0;
  asks.choices = request.n;
  const auto* raw = std::get_if<RawPrompt>(&request.prompt);
  asks.logit_bias_or_ids = !request.sampling.logit_bias.empty() ||
                           (raw != nullptr && std::holds_alternative<std::vector<TokenId>>(*raw));
  return asks;
}

Error out_of_time(Duration limit) {
  return {ErrorCode::Timeout, fmt::format("the time limit of {:.1f} s for this request has passed",
                                          std::chrono::duration<double>(limit).count())};
}

Result<void> check_context(std::size_t tokens, std::size_t context_size) {
  if (tokens == 0) return fail(ErrorCode::InvalidArgument, "the prompt has no tokens", "prompt");
  if (tokens < context_size) return {};
  return fail(ErrorCode::ContextExceeded,
              fmt::format("the prompt has {} tokens, and the context holds {} with at least one of "
                          "them for the answer: shorten the prompt, or serve the model with a "
                          "larger context",
                          tokens, context_size));
}

}  // namespace

void LocalService::Links::add(const std::shared_ptr<GenerationLink>& link) {
  const std::lock_guard lock(mutex);
  // Swept only when it has doubled, which keeps an addition cheap on average.
  if (all.size() == all.capacity()) {
    std::erase_if(all, [](const auto& known) { return known.expired(); });
  }
  all.push_back(link);
}

void LocalService::Links::stop(const Error& why) {
  std::vector<std::weak_ptr<GenerationLink>> now;
  {
    const std::lock_guard lock(mutex);
    now = all;
  }
  for (const auto& known : now) {
    if (const auto link = known.lock()) link->stop(why);
  }
}

LocalService::LocalService(ServiceOptions options, std::vector<EngineOffer> engines,
                           ModelSources sources, const Clock& clock, Metrics& metrics)
    : options_(std::move(options)),
      engines_(std::move(engines)),
      sources_(std::move(sources)),
      clock_(clock),
      metrics_(metrics),
      ledger_(std::make_shared<Ledger>(options_.requests_max, metrics)),
      watch_(std::make_shared<DeadlineWatch>(clock)) {}

LocalService::~LocalService() {
  ledger_->close();
  links_->stop(Error{ErrorCode::Unavailable, "the server is stopping"});
}

Result<std::unique_ptr<LocalService>> LocalService::open(ServiceOptions options,
                                                         std::vector<EngineOffer> engines,
                                                         ModelSources sources, const Clock& clock,
                                                         Metrics& metrics) {
  MINERVA_CHECK(!engines.empty());
  std::unique_ptr<LocalService> service(
      new LocalService(std::move(options), std::move(engines), std::move(sources), clock, metrics));
  for (const std::string& name : service->options_.models) {
    MINERVA_ASSIGN(models::ModelEntry entry, service->sources_.store->resolve(name, true));
    const auto same =
        std::ranges::find(service->configured_, entry.name, &models::ModelEntry::name);
    if (same != service->configured_.end()) {
      return fail(
          ErrorCode::InvalidArgument,
          fmt::format("two models are called '{}': {} and {}", entry.name, same->path, entry.path),
          "model");
    }
    service->configured_.push_back(std::move(entry));
  }
  for (const models::ModelEntry& entry : service->configured_) {
    MINERVA_ASSIGN(const auto served, service->serve_model(entry, service->engines_.front().name));
    if (service->options_.preload) served->instance->begin_load();
  }
  return service;
}

Result<std::unique_ptr<Generation>> LocalService::start(Request request) {
  auto generation = admit(std::move(request));
  if (!generation) metrics_.add(Metric::RequestsTotal, 1, "rejected");
  return generation;
}

Result<std::unique_ptr<Generation>> LocalService::admit(Request request) {
  const TimePoint started = clock_.now();
  MINERVA_TRY(check_request(request));
  if (options_.request_time_max) {
    request.timeout =
        std::min(request.timeout.value_or(*options_.request_time_max), *options_.request_time_max);
  }
  MINERVA_ASSIGN(const models::ModelEntry entry, find_model(request.model));
  MINERVA_ASSIGN(RoutePlan plan, route(request, entry));
  // From here on it costs something, so from here on it counts.
  MINERVA_ASSIGN(std::unique_ptr<Place> place, ledger_->enter());
  MINERVA_ASSIGN(const auto served, serve_model(entry, plan.backend));
  return generate(std::move(request), *served, std::move(plan), std::move(place), started);
}

Result<std::unique_ptr<Generation>> LocalService::generate(Request request, const Served& served,
                                                           RoutePlan plan,
                                                           std::unique_ptr<Place> place,
                                                           TimePoint started) {
  MINERVA_TRY(check_token_ids(request, served.text->tokenizer().vocab_size()));
  MINERVA_ASSIGN(PreparedPrompt prompt, served.text->prepare(request));
  TimePoint load_deadline = started + options_.load_wait_max;
  std::optional<TimePoint> deadline;
  if (request.timeout) {
    deadline = started + *request.timeout;
    load_deadline = std::min(load_deadline, *deadline);
  }
  MINERVA_TRY(served.instance->ensure_ready(load_deadline));
  backend::InferenceBackend& engine = served.instance->engine();
  MINERVA_TRY(check_context(prompt.tokens.size(), engine.context_size()));

  GenerationPlan answer;
  answer.model = served.entry.name;
  answer.backend = plan.backend;
  answer.route = std::move(plan.reason);
  answer.prompt_tokens = prompt.tokens.size();
  answer.choices = request.n;
  answer.stop = std::move(request.stop);
  answer.keep_tokens = request.logprobs >= 0;
  answer.echo = std::move(prompt.echo);
  answer.started = started;

  backend::GenerateRequest order;
  order.id = std::move(request.id);
  order.client_id = std::move(request.client_id);
  if (plan.token_prompt) {
    order.prompt.emplace_back(std::move(prompt.tokens));
  } else {
    order.prompt.emplace_back(std::move(prompt.text));
  }
  order.sampling = std::move(request.sampling);
  order.constraint = std::move(request.constraint);
  order.n = request.n;
  order.max_tokens = request.max_tokens;
  order.ignore_end_of_generation = request.ignore_end_of_generation;
  order.logprobs = request.logprobs;
  order.deadline = deadline;

  const auto stream = std::make_shared<backend::GenerationStream>();
  const auto link = std::make_shared<GenerationLink>(std::move(place), stream);
  stream->on_wake_reader([link] { link->wake(); });
  MINERVA_TRY(engine.generate(std::move(order), stream));
  metrics_.add(Metric::PromptTokensTotal, static_cast<double>(answer.prompt_tokens));
  links_->add(link);

  auto generation = std::make_unique<RunningGeneration>(std::move(answer), served.instance, stream,
                                                        link, clock_, metrics_);
  if (deadline) {
    const auto id = watch_->add(
        *deadline, [weak = std::weak_ptr<GenerationLink>(link), limit = *request.timeout] {
          if (const auto alive = weak.lock()) alive->stop(out_of_time(limit));
        });
    generation->on_end([watch = std::weak_ptr<DeadlineWatch>(watch_), id] {
      if (const auto alive = watch.lock()) alive->remove(id);
    });
  }
  return generation;
}

Result<models::ModelEntry> LocalService::find_model(std::string_view name) const {
  if (name.empty()) {
    if (!configured_.empty()) return configured_.front();
    return fail(ErrorCode::InvalidArgument,
                "no model is named, and the server was started without one", "model");
  }
  const auto at = std::ranges::find(configured_, name, &models::ModelEntry::name);
  if (at != configured_.end()) return *at;
  auto found = sources_.store->resolve(name, /*allow_paths=*/false);
  if (found || found.error().code != ErrorCode::NotFound) return found;
  // The store does not list models that were given to us by their path.
  std::vector<std::string> names;
  for (const ModelInfo& known : models()) {
    if (known.problem.empty()) names.push_back(known.name);
  }
  return fail(models::unknown_model(name, std::move(names)));
}

Result<RoutePlan> LocalService::route(const Request& request,
                                      const models::ModelEntry& entry) const {
  std::vector<RouteCandidate> candidates;
  for (const EngineOffer& offer : engines_) {
    const auto known = served(entry.path, offer.name);
    const bool loaded = known && known->instance->status().state == ModelState::Ready;
    candidates.push_back(
        {offer.name, loaded ? known->instance->engine().capabilities() : offer.can});
  }
  return plan_route(asks_of(request), candidates);
}

std::shared_ptr<const LocalService::Served> LocalService::served(const std::string& path,
                                                                 std::string_view engine) const {
  const std::lock_guard lock(mutex_);
  const auto at = served_.find({path, std::string(engine)});
  return at == served_.end() ? nullptr : at->second;
}

Result<std::shared_ptr<const LocalService::Served>> LocalService::serve_model(
    const models::ModelEntry& entry, const std::string& engine) {
  if (auto known = served(entry.path, engine)) return known;
  const auto offer = std::ranges::find(engines_, engine, &EngineOffer::name);
  MINERVA_CHECK(offer != engines_.end());
  MINERVA_ASSIGN(const auto vocabulary, sources_.vocabularies->get(entry));
  MINERVA_ASSIGN(auto text, ModelText::make(vocabulary));

  const std::lock_guard lock(mutex_);
  if (const auto at = served_.find({entry.path, engine}); at != served_.end()) return at->second;
  if (served_.size() >= options_.models_max) {
    return fail(ErrorCode::Unavailable,
                fmt::format("{} models are in use, which is the most: start the server with fewer",
                            served_.size()),
                "model");
  }
  log_info("model '{}': {}; chat template: {}", entry.name, entry.path, text->template_note());
  MINERVA_ASSIGN(auto made, offer->make());
  InstanceOptions options;
  options.spec.name = entry.name;
  options.spec.path = entry.path;
  options.context_size = options_.context_size;
  options.self_test_token = vocabulary->tokenizer->bos().value_or(0);
  options.self_test_time_max = options_.self_test_time_max;
  auto fresh = std::make_shared<Served>();
  fresh->entry = entry;
  fresh->engine = engine;
  fresh->text = std::move(text);
  fresh->instance = std::make_shared<ModelInstance>(std::move(options), std::move(made), clock_);
  served_.emplace(std::pair{entry.path, engine}, fresh);
  return fresh;
}

ModelInfo LocalService::info(const models::ModelEntry& entry) const {
  ModelInfo info;
  info.name = entry.name;
  info.architecture = entry.architecture;
  info.size_bytes = entry.size_bytes;
  info.created_unix = entry.modified_unix;
  info.problem = entry.problem;
  info.backend = engines_.front().name;
  for (const EngineOffer& offer : engines_) {
    const auto known = served(entry.path, offer.name);
    if (!known) continue;
    const ModelInstance::Status status = known->instance->status();
    info.backend = offer.name;
    info.state = status.state;
    info.context_size = status.context_size;
    info.chat_template = known->text->template_note();
    if (!status.problem.empty()) info.problem = status.problem;
    break;
  }
  return info;
}

std::vector<ModelInfo> LocalService::models() const {
  std::vector<ModelInfo> out;
  for (const models::ModelEntry& entry : configured_) out.push_back(info(entry));
  for (const models::ModelEntry& entry : sources_.store->list()) {
    if (std::ranges::find(out, entry.name, &ModelInfo::name) == out.end())
      out.push_back(info(entry));
  }
  return out;
}

Result<ModelInfo> LocalService::model(std::string_view name) const {
  MINERVA_ASSIGN(const models::ModelEntry entry, find_model(name));
  return info(entry);
}

bool LocalService::ready() const {
  if (!options_.preload || configured_.empty()) return true;
  return std::ranges::any_of(configured_, [this](const models::ModelEntry& entry) {
    const auto known = served(entry.path, engines_.front().name);
    return known && known->instance->status().state == ModelState::Ready;
  });
}

Result<void> LocalService::wait_until_ready(TimePoint deadline) {
  for (const models::ModelEntry& entry : configured_) {
    MINERVA_ASSIGN(const auto known, serve_model(entry, engines_.front().name));
    MINERVA_TRY(known->instance->ensure_ready(deadline));
  }
  return {};
}

void LocalService::drain(Duration grace) {
  ledger_->close();
  watch_->add(clock_.now() + grace, [weak = std::weak_ptr<Links>(links_)] {
    if (const auto links = weak.lock()) {
      links->stop(Error{ErrorCode::Unavailable, "the server is stopping"});
    }
  });
}

}  // namespace minerva::serve
