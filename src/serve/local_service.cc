#include "serve/local_service.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <future>

#include "base/check.h"
#include "base/log.h"
#include "chat/openai_json.h"
#include "serve/request_checks.h"

namespace minerva::serve {
namespace {

constexpr std::size_t kTextsMax = 64;

Error out_of_time(Duration limit) {
  return {ErrorCode::Timeout, fmt::format("the time limit of {:.1f} s for this request has passed",
                                          std::chrono::duration<double>(limit).count())};
}

Error stopping() { return {ErrorCode::Unavailable, "the server is stopping"}; }

LoopOptions loop_options(const ServiceOptions& options) {
  LoopOptions loop = options.loop;
  loop.memory_max = options.rules.memory_max;
  loop.models_max = options.models_max;
  return loop;
}

void apply_defaults(const RequestDefaults& defaults, Request& request) {
  const GivenFields& given = request.given;
  backend::SamplingParams& sampling = request.sampling;
  if (!given.temperature && defaults.temperature) sampling.temperature = *defaults.temperature;
  if (!given.top_p && defaults.top_p) sampling.top_p = *defaults.top_p;
  if (!given.top_k && defaults.top_k) sampling.top_k = *defaults.top_k;
  if (!given.min_p && defaults.min_p) sampling.min_p = *defaults.min_p;
  if (!given.repetition_penalty && defaults.repetition_penalty) {
    sampling.repetition_penalty = *defaults.repetition_penalty;
  }
  if (!request.max_tokens) request.max_tokens = defaults.max_tokens;
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

LocalService::LocalService(ServiceOptions options, Engines engines, ModelSources sources,
                           const Clock& clock, Metrics& metrics)
    : options_(std::move(options)),
      sources_(std::move(sources)),
      clock_(clock),
      metrics_(metrics),
      ledger_(std::make_shared<Ledger>(options_.requests_max, metrics)),
      engines_(std::make_unique<EngineTable>(std::move(engines.kinds), std::move(engines.isolated),
                                             workers_)),
      loop_(std::make_unique<ServeLoop>(loop_options(options_), workers_, clock, metrics)),
      watch_(std::make_shared<DeadlineWatch>(clock)) {}

LocalService::~LocalService() {
  ledger_->close();
  links_->stop(stopping());
}

Result<std::unique_ptr<LocalService>> LocalService::open(ServiceOptions options, Engines engines,
                                                         ModelSources sources, const Clock& clock,
                                                         Metrics& metrics) {
  MINERVA_CHECK(!engines.kinds.empty());
  std::unique_ptr<LocalService> service(
      new LocalService(std::move(options), std::move(engines), std::move(sources), clock, metrics));
  MINERVA_TRY(service->configure());
  for (const Model& model : service->wanted_) {
    MINERVA_ASSIGN(InstancePlan plan, service->plan_load(model, std::nullopt));
    service->loop_->load(std::move(plan), TimePoint::max(), [](const Result<void>&) {});
  }
  return service;
}

Result<void> LocalService::configure() {
  const auto add = [this](models::ModelEntry entry, bool wanted) -> Result<void> {
    const auto same = std::ranges::find(configured_, entry.name,
                                        [](const Model& model) { return model.entry.name; });
    if (same != configured_.end()) {
      if (same->entry.path == entry.path) return {};
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("two models are called '{}': {} and {}", entry.name, same->entry.path,
                              entry.path),
                  "model");
    }
    const ModelRules* rules = rules_of(entry.name);
    configured_.push_back({std::move(entry), rules});
    if (wanted) wanted_.push_back(configured_.back());
    return {};
  };
  for (const std::string& name : options_.models) {
    const ModelRules* rules = rules_of(name);
    const std::string where = rules != nullptr ? rules->path.value_or(rules->name) : name;
    auto found = sources_.store->resolve(where, true);
    if (!found && found.error().code == ErrorCode::NotFound) {
      auto remote = find_remote_model(name);
      if (remote) found = remote->entry;
    }
    MINERVA_ASSIGN(models::ModelEntry entry, std::move(found));
    if (rules != nullptr) entry.name = rules->name;
    MINERVA_TRY(add(std::move(entry), options_.preload));
  }
  for (const ModelRules& rules : options_.rules.models) {
    if (!rules.path && !rules.preload && !rules.pin) continue;
    auto found = sources_.store->resolve(rules.path.value_or(rules.name), rules.path.has_value());
    if (!found) {
      return fail(std::move(found).error().in(fmt::format("model '{}'", rules.name)));
    }
    found->name = rules.name;
    MINERVA_TRY(add(std::move(*found), options_.preload && (rules.preload || rules.pin)));
  }
  return {};
}

// --- models ---

const ModelRules* LocalService::rules_of(std::string_view name) const {
  for (const ModelRules& rules : options_.rules.models) {
    if (rules.name == name || std::ranges::find(rules.aliases, name) != rules.aliases.end()) {
      return &rules;
    }
  }
  return nullptr;
}

std::vector<std::string> LocalService::aliases_of(std::string_view name) const {
  const ModelRules* rules = rules_of(name);
  return rules == nullptr ? std::vector<std::string>() : rules->aliases;
}

Result<LocalService::Model> LocalService::find_remote_model(std::string_view name) const {
  for (std::size_t i = 0; i < engines_->size(); ++i) {
    const auto spec = engines_->own_model(i, name);
    if (!spec) continue;
    models::ModelEntry entry;
    entry.name = spec->name;
    entry.full_name = spec->name;
    entry.path = spec->path;
    entry.format = spec->format;
    entry.source = engines_->kind(i).name();
    entry.context_length = spec->trained_context;
    return Model{std::move(entry), rules_of(name)};
  }
  return fail(ErrorCode::NotFound, "no engine has such a model", "model");
}

Result<LocalService::Model> LocalService::find_model(std::string_view name) const {
  if (name.empty()) {
    if (!configured_.empty()) return configured_.front();
    return fail(ErrorCode::InvalidArgument,
                "no model is named, and the server was started without one", "model");
  }
  const ModelRules* rules = rules_of(name);
  const std::string_view real = rules != nullptr ? std::string_view(rules->name) : name;
  const auto at = std::ranges::find(
      configured_, real, [](const Model& model) -> std::string_view { return model.entry.name; });
  if (at != configured_.end()) return *at;
  auto found = sources_.store->resolve(real, /*allow_paths=*/false);
  if (found) return Model{std::move(*found), rules};
  if (found.error().code != ErrorCode::NotFound) return fail(std::move(found).error());
  if (auto remote = find_remote_model(real)) return remote;
  // The store does not list models that were given to us by their path.
  std::vector<std::string> names;
  for (const ModelInfo& known : models()) {
    if (known.problem.empty()) names.push_back(known.name);
    names.insert(names.end(), known.aliases.begin(), known.aliases.end());
  }
  return fail(models::unknown_model(name, std::move(names)));
}

LocalService::TextKey LocalService::text_key(const models::ModelEntry& entry) const {
  const ModelRules* rules = rules_of(entry.name);
  const bool own = rules != nullptr && rules->chat_template;
  return {entry.path, entry.modified_ns, own ? *rules->chat_template : std::string()};
}

std::shared_ptr<const ModelText> LocalService::known_text(const models::ModelEntry& entry) const {
  const std::lock_guard lock(texts_mutex_);
  const auto at = texts_.find(text_key(entry));
  return at == texts_.end() ? nullptr : at->second;
}

Result<std::shared_ptr<const ModelText>> LocalService::text_of(
    const models::ModelEntry& entry) const {
  if (entry.format == backend::ModelFormat::Remote) return nullptr;
  const ModelRules* rules = rules_of(entry.name);
  if (auto known = known_text(entry)) return known;
  MINERVA_ASSIGN(const auto vocabulary, sources_.vocabularies->get(entry));
  MINERVA_ASSIGN(auto text, ModelText::make(vocabulary, rules == nullptr ? std::nullopt
                                                                         : rules->chat_template));
  log_info("model '{}': {}; chat template: {}", entry.name, entry.path, text->template_note());
  const std::lock_guard lock(texts_mutex_);
  if (texts_.size() >= kTextsMax) texts_.clear();
  return texts_.emplace(text_key(entry), std::move(text)).first->second;
}

// --- requests ---

Result<std::unique_ptr<Generation>> LocalService::start(Request request) {
  auto generation = admit(std::move(request));
  if (!generation) metrics_.add(Metric::RequestsTotal, 1, "rejected");
  return generation;
}

// Which engines are wished for, by the request or else as configured.
RouteAsks LocalService::wishes(const std::optional<std::string>& backend,
                               const std::vector<std::string>& fallback, const Model& model) const {
  RouteAsks asks;
  const ServingRules& rules = options_.rules;
  if (backend) {
    asks.backend = *backend;
    asks.backend_said_by = "the request";
  } else if (model.rules != nullptr && model.rules->backend) {
    asks.backend = *model.rules->backend;
    asks.backend_said_by = "the model's configuration";
  } else {
    asks.backend = rules.backend;
    asks.backend_said_by = "the configuration";
  }
  asks.fallback = fallback;
  // A request that names its engine, and no other, wants no other.
  if (asks.fallback.empty() && !backend) {
    asks.fallback = model.rules != nullptr && !model.rules->fallback.empty() ? model.rules->fallback
                                                                             : rules.fallback;
  }
  return asks;
}

RouteAsks LocalService::asks_of(const Request& request, const Model& model) const {
  RouteAsks asks = wishes(request.backend, request.fallback, model);
  const auto* raw = std::get_if<RawPrompt>(&request.prompt);
  asks.raw_prompt = raw != nullptr;
  asks.token_ids = raw != nullptr && std::holds_alternative<std::vector<TokenId>>(*raw);
  asks.images = has_images(request);
  asks.constraint = request.constraint.has_value();
  asks.logprobs = request.logprobs >= 0;
  asks.logit_bias = !request.sampling.logit_bias.empty();
  asks.seed = request.sampling.seed.has_value();
  asks.choices = request.n;
  return asks;
}

bool LocalService::isolated(const Model& model) const {
  return options_.rules.isolated || (model.rules != nullptr && model.rules->isolated);
}

std::size_t LocalService::context_of(const Model& model) const {
  const bool own = model.rules != nullptr && model.rules->context_size != 0;
  return own ? model.rules->context_size : options_.context_size;
}

// What a load of it would get at most; 0: unknown.
std::size_t LocalService::context_at_most(const Model& model,
                                          const backend::ModelSpec& spec) const {
  if (const std::size_t asked = context_of(model)) return asked;
  const auto trained = static_cast<std::size_t>(spec.trained_context);
  const std::size_t bound = options_.context_default;
  if (spec.format == backend::ModelFormat::Remote || bound == 0) return trained;
  return trained == 0 ? bound : std::min(bound, trained);
}

backend::ModelSpec LocalService::spec_for(std::size_t engine, const Model& model) const {
  if (auto own = engines_->own_model(engine, model.entry.name)) return *own;
  backend::ModelSpec spec = models::spec_of(model.entry);
  spec.name = model.entry.name;
  if (model.rules != nullptr) {
    if (model.rules->mmproj_path) spec.mmproj_path = model.rules->mmproj_path;
    for (const std::string& path : model.rules->adapter_paths) spec.adapter_paths.push_back(path);
    spec.chat_template = model.rules->chat_template;
  }
  return spec;
}

std::string LocalService::key_of(std::size_t engine, const Model& model) const {
  // Names of one file share what is loaded in the same way, and nothing else.
  std::string key =
      fmt::format("{}\n{}\n{}\n{}\n{}", engines_->kind(engine).name(), model.entry.path,
                  model.entry.modified_ns, context_of(model), isolated(model));
  if (model.rules == nullptr) return key;
  if (model.rules->mmproj_path) key += "\nsees by " + *model.rules->mmproj_path;
  for (const std::string& path : model.rules->adapter_paths) key += "\nadapted by " + path;
  return key;
}

std::vector<RouteCandidate> LocalService::candidates(const Model& model) const {
  const auto snapshot = loop_->snapshot();
  std::vector<RouteCandidate> out;
  for (std::size_t i = 0; i < engines_->size(); ++i) {
    const auto kind = engines_->kind_for(i, isolated(model));
    const backend::ModelSpec spec = spec_for(i, model);
    RouteCandidate candidate;
    candidate.name = kind->name();
    candidate.objection = kind->objection(spec);
    candidate.can = kind->capabilities(spec);
    candidate.context_size = context_at_most(model, spec);
    if (!candidate.objection) {
      const backend::Availability found = engines_->availability(i);
      candidate.available = found.available;
      if (!found.available) {
        candidate.why_not = found.install.empty() ? found.why_not
                                                  : fmt::format("{} (install it with: {})",
                                                                found.why_not, found.install);
      }
    }
    const std::string key = key_of(i, model);
    const auto at = std::ranges::find(*snapshot, key, &InstanceSnapshot::key);
    if (at != snapshot->end()) {
      candidate.unwell = at->unwell;
      candidate.retry_after = at->retry_after;
      if (at->info.state == ModelState::Ready) {
        candidate.can = at->can;
        candidate.context_size = static_cast<std::size_t>(at->info.context_size);
      }
    }
    out.push_back(std::move(candidate));
  }
  return out;
}

Result<LocalService::Prepared> LocalService::prepare(Request& request) const {
  MINERVA_TRY(check_request(request));
  Prepared out;
  MINERVA_ASSIGN(out.model, find_model(request.model));
  if (out.model.rules != nullptr) apply_defaults(out.model.rules->defaults, request);
  out.asks = asks_of(request, out.model);
  out.candidates = candidates(out.model);
  // Before the vocabulary is read: a model that no engine takes needs none.
  MINERVA_TRY(plan_route(out.asks, out.candidates));
  MINERVA_ASSIGN(out.text, text_of(out.model.entry));
  if (out.text) {
    MINERVA_TRY(check_token_ids(request, out.text->tokenizer().vocab_size()));
    MINERVA_ASSIGN(out.prompt, out.text->prepare(request));
    if (out.prompt.tokens.empty()) {
      return fail(ErrorCode::InvalidArgument, "the prompt has no tokens", "prompt");
    }
  } else if (const auto* raw = std::get_if<RawPrompt>(&request.prompt)) {
    if (const auto* text = std::get_if<std::string>(raw)) out.prompt.text = *text;
    if (request.echo) out.prompt.echo = out.prompt.text;
  }
  out.asks.prompt_tokens = out.prompt.tokens.size();
  return out;
}

std::optional<Duration> LocalService::bounded_timeout(std::optional<Duration> asked) const {
  if (!options_.request_time_max) return asked;
  return std::min(asked.value_or(*options_.request_time_max), *options_.request_time_max);
}

Result<std::unique_ptr<Generation>> LocalService::admit(Request request) {
  const TimePoint started = clock_.now();
  request.timeout = bounded_timeout(request.timeout);
  // What costs something counts from here on.
  MINERVA_TRY(check_request(request));
  MINERVA_ASSIGN(std::unique_ptr<Place> place, ledger_->enter());
  MINERVA_ASSIGN(Prepared prepared, prepare(request));
  MINERVA_ASSIGN(const RoutePlan plan, plan_route(prepared.asks, prepared.candidates));
  return begin(std::move(request), std::move(prepared), plan, std::move(place), started);
}

std::unique_ptr<Generation> LocalService::begin(Request request, Prepared prepared,
                                                const RoutePlan& plan, std::unique_ptr<Place> place,
                                                TimePoint started) {
  GenerationPlan answer;
  answer.model = prepared.model.entry.name;
  answer.backend = prepared.candidates[plan.choices.front().candidate].name;
  answer.route = plan.choices.front().reason;
  answer.prompt_tokens = prepared.prompt.tokens.size();
  answer.choices = request.n;
  answer.stop = std::move(request.stop);
  answer.keep_tokens = request.logprobs >= 0;
  answer.echo = prepared.prompt.echo;
  answer.whole = request.whole;
  answer.started = started;

  Job job = make_job(prepared.model, plan, started, request.timeout);
  if (const auto* conversation = std::get_if<chat::Conversation>(&request.prompt)) {
    // Written only where some engine of the chain speaks nothing else.
    const bool wanted = std::ranges::any_of(plan.choices, [&](const RouteChoice& choice) {
      return prepared.candidates[choice.candidate].can.chat_only != backend::Support::No;
    });
    if (wanted) {
      job.chat = backend::ChatPrompt{chat::openai_messages(*conversation),
                                     chat::openai_tools(*conversation)};
    }
  }
  job.prompt = std::move(prepared.prompt);
  backend::GenerateRequest& order = job.order;
  order.id = std::move(request.id);
  order.client_id = std::move(request.client_id);
  order.sampling = std::move(request.sampling);
  order.constraint = std::move(request.constraint);
  order.n = request.n;
  order.max_tokens = request.max_tokens;
  order.ignore_end_of_generation = request.ignore_end_of_generation;
  order.logprobs = request.logprobs;
  return launch(std::move(job), std::move(answer), std::move(place), request.timeout);
}

Job LocalService::make_job(const Model& model, const RoutePlan& plan, TimePoint started,
                           std::optional<Duration> timeout) const {
  Job job;
  job.ticket = loop_->next_ticket();
  job.wait_until = started + options_.load_wait_max;
  if (timeout) job.wait_until = std::min(job.wait_until, started + *timeout);
  for (const RouteChoice& choice : plan.choices) {
    job.chain.push_back(instance_plan(choice.candidate, model, choice.reason));
  }
  return job;
}

std::unique_ptr<Generation> LocalService::launch(Job job, GenerationPlan answer,
                                                 std::unique_ptr<Place> place,
                                                 std::optional<Duration> timeout) {
  std::optional<TimePoint> deadline;
  if (timeout) deadline = answer.started + *timeout;
  (job.embed ? job.embed->order.deadline : job.order.deadline) = deadline;
  const auto link = std::make_shared<GenerationLink>(std::move(place), loop_->teller(job.ticket));
  job.link = link;
  metrics_.add(Metric::PromptTokensTotal, static_cast<double>(answer.prompt_tokens));
  links_->add(link);
  auto generation = std::make_unique<RunningGeneration>(std::move(answer), link, clock_, metrics_);
  if (deadline) {
    const auto id =
        watch_->add(*deadline, [weak = std::weak_ptr<GenerationLink>(link), limit = *timeout] {
          if (const auto alive = weak.lock()) alive->stop(out_of_time(limit));
        });
    generation->on_end([watch = std::weak_ptr<DeadlineWatch>(watch_), id] {
      if (const auto alive = watch.lock()) alive->remove(id);
    });
  }
  loop_->submit(std::move(job));
  return generation;
}

models::MemoryKey LocalService::memory_key(std::size_t engine, const Model& model) const {
  models::MemoryKey key;
  key.engine = engines_->kind(engine).name();
  if (isolated(model) && engines_->kind_for(engine, true) != engines_->kind_for(engine, false)) {
    key.engine += ", isolated";
  }
  key.engine_version = engines_->availability(engine).version;
  const std::string& path = model.entry.path;
  key.model = path.substr(path.find_last_of('/') + 1);
  key.size_bytes = model.entry.size_bytes;
  key.modified_ns = model.entry.modified_ns;
  key.context = context_of(model);
  return key;
}

InstancePlan LocalService::instance_plan(std::size_t engine, const Model& model,
                                         std::string reason) const {
  InstancePlan plan;
  plan.key = key_of(engine, model);
  plan.kind = engines_->kind_for(engine, isolated(model));
  plan.reason = std::move(reason);
  plan.runner.spec = spec_for(engine, model);
  plan.runner.context_size = context_of(model);
  plan.runner.self_test_time_max = options_.self_test_time_max;
  plan.setup.model = model.entry.name;
  plan.setup.engine = plan.kind->name();
  plan.setup.pinned = model.rules != nullptr && model.rules->pin;
  const Duration ttl = model.rules != nullptr && model.rules->idle_ttl ? *model.rules->idle_ttl
                                                                       : options_.rules.idle_ttl;
  if (ttl > Duration::zero()) plan.setup.idle_ttl = ttl;
  const bool remote = plan.runner.spec.format == backend::ModelFormat::Remote;
  plan.setup.holds_memory = !remote;
  // A token of another server may cost money, and loading one is no work.
  plan.runner.self_test = !remote;
  plan.setup.need = plan.kind->memory_need(plan.runner.spec, plan.runner.context_size);
  if (const auto& memory = options_.learned_memory; memory && !remote) {
    const models::MemoryKey key = memory_key(engine, model);
    plan.setup.learned_bytes = memory->find(key).value_or(0);
    plan.learned = [memory, key](std::uint64_t peak_bytes) { memory->put(key, peak_bytes); };
  }
  if (const auto text = known_text(model.entry)) {
    plan.runner.self_test_token = text->tokenizer().bos().value_or(0);
  }
  return plan;
}

Result<RouteReport> LocalService::explain_route(Request request) {
  MINERVA_TRY(check_request(request));
  RouteReport report;
  MINERVA_ASSIGN(const Model model, find_model(request.model));
  report.model = model.entry.name;
  RouteAsks asks = asks_of(request, model);
  const auto engines = candidates(model);
  report.steps = route_steps(asks, engines);
  const auto possible = plan_route(asks, engines);
  if (!possible) {
    if (possible.error().code == ErrorCode::InvalidArgument) return fail(possible.error());
    report.reason = possible.error().message;
    return report;
  }
  MINERVA_ASSIGN(const Prepared prepared, prepare(request));
  report.prompt_tokens = prepared.prompt.tokens.size();
  report.steps = route_steps(prepared.asks, prepared.candidates);
  const auto plan = plan_route(prepared.asks, prepared.candidates);
  if (plan) {
    report.backend = prepared.candidates[plan->choices.front().candidate].name;
    report.reason = plan->choices.front().reason;
  } else {
    report.reason = plan.error().message;
  }
  return report;
}

// --- loading ---

Result<InstancePlan> LocalService::plan_load(const Model& model,
                                             std::optional<std::string> backend) const {
  // Read before, so that the self test knows a token of the model; where it is no model that an
  // engine takes, the route says so better than a missing vocabulary.
  static_cast<void>(text_of(model.entry));
  Request request;
  request.prompt = chat::Conversation{};
  request.backend = std::move(backend);
  RouteAsks asks = asks_of(request, model);
  asks.only_load = true;
  const auto engines = candidates(model);
  MINERVA_ASSIGN(const RoutePlan plan, plan_route(asks, engines));
  return instance_plan(plan.choices.front().candidate, model, plan.choices.front().reason);
}

Result<InstanceInfo> LocalService::load(std::string_view name, std::optional<std::string> backend,
                                        Duration time_max) {
  MINERVA_ASSIGN(const Model model, find_model(name));
  MINERVA_ASSIGN(InstancePlan plan, plan_load(model, std::move(backend)));
  const std::string key = plan.key;
  const auto promise = std::make_shared<std::promise<Result<void>>>();
  auto future = promise->get_future();
  loop_->load(std::move(plan), clock_.now() + time_max,
              [promise](Result<void> outcome) { promise->set_value(std::move(outcome)); });
  // The loop answers by its own deadline; the margin is for a clock that is moved by hand.
  if (future.wait_for(time_max + std::chrono::seconds(30)) != std::future_status::ready) {
    return fail(ErrorCode::Timeout, fmt::format("model '{}' is still loading", model.entry.name));
  }
  MINERVA_TRY(future.get());
  const auto snapshot = loop_->snapshot();
  const auto at = std::ranges::find(*snapshot, key, &InstanceSnapshot::key);
  if (at != snapshot->end()) return at->info;
  InstanceInfo info;
  info.model = model.entry.name;
  info.state = ModelState::Ready;
  return info;
}

Result<void> LocalService::unload(std::string_view name, bool now) {
  MINERVA_ASSIGN(const Model model, find_model(name));
  const auto promise = std::make_shared<std::promise<Result<void>>>();
  auto future = promise->get_future();
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < engines_->size(); ++i) keys.push_back(key_of(i, model));
  loop_->unload(model.entry.name, std::move(keys), now,
                [promise](Result<void> outcome) { promise->set_value(std::move(outcome)); });
  constexpr auto kLongest = std::chrono::minutes(5);
  if (future.wait_for(kLongest) != std::future_status::ready) {
    return fail(ErrorCode::Timeout,
                fmt::format("model '{}' still answers requests; it leaves when they have ended",
                            model.entry.name));
  }
  return future.get();
}

// --- what there is ---

ModelInfo LocalService::info(const Model& model, const Snapshot& snapshot) const {
  const models::ModelEntry& entry = model.entry;
  ModelInfo info;
  info.name = entry.name;
  info.aliases = aliases_of(entry.name);
  info.format = to_string(entry.format);
  info.architecture = entry.architecture;
  info.source = entry.source;
  info.path = entry.path;
  info.size_bytes = entry.size_bytes;
  info.created_unix = entry.modified_unix;
  info.problem = entry.problem;
  for (std::size_t i = 0; i < engines_->size(); ++i) {
    if (info.backend.empty() && entry.problem.empty() &&
        !engines_->kind(i).objection(spec_for(i, model))) {
      info.backend = engines_->kind(i).name();
    }
    const auto at = std::ranges::find(snapshot, key_of(i, model), &InstanceSnapshot::key);
    if (at == snapshot.end()) continue;
    // The one that does most counts.
    const bool more = info.state == ModelState::Unloaded || at->info.state == ModelState::Ready;
    if (!more || at->info.state == ModelState::Unloaded) continue;
    info.state = at->info.state;
    info.backend = at->info.backend;
    info.context_size = at->info.context_size;
    info.load_percent = at->info.load_percent;
    if (info.state == ModelState::Failed) info.problem = at->info.problem;
  }
  if (const auto text = known_text(entry)) info.chat_template = text->template_note();
  return info;
}

std::vector<ModelInfo> LocalService::models() const {
  const auto snapshot = loop_->snapshot();
  std::vector<ModelInfo> out;
  const auto add = [&](Model model) {
    if (std::ranges::find(out, model.entry.name, &ModelInfo::name) != out.end()) return;
    out.push_back(info(model, *snapshot));
  };
  for (const Model& model : configured_) add(model);
  for (models::ModelEntry& entry : sources_.store->list()) {
    if (entry.kind != models::ModelKind::Model) continue;
    const ModelRules* rules = rules_of(entry.name);
    add({std::move(entry), rules});
  }
  for (std::size_t i = 0; i < engines_->size(); ++i) {
    for (const backend::ModelSpec& spec : engines_->own_models(i)) {
      if (auto remote = find_remote_model(spec.name)) add(std::move(*remote));
    }
  }
  return out;
}

Result<ModelInfo> LocalService::model(std::string_view name) const {
  MINERVA_ASSIGN(const Model model, find_model(name));
  return info(model, *loop_->snapshot());
}

std::vector<InstanceInfo> LocalService::instances() const {
  std::vector<InstanceInfo> out;
  for (const InstanceSnapshot& place : *loop_->snapshot()) {
    if (place.info.state == ModelState::Unloaded) continue;
    out.push_back(place.info);
    out.back().last_log_lines = place.runner->last_log_lines();
  }
  return out;
}

std::vector<BackendInfo> LocalService::backends() const {
  engines_->refresh();
  const std::vector<InstanceInfo> running = instances();
  const std::vector<ModelInfo> known = models();
  std::vector<BackendInfo> out;
  for (std::size_t i = 0; i < engines_->size(); ++i) {
    const backend::Availability found = engines_->availability(i);
    BackendInfo info;
    info.name = engines_->kind(i).name();
    info.available = found.available;
    info.version = found.version;
    info.path = found.path;
    info.device = found.device;
    info.why_not = found.why_not;
    info.install = found.install;
    for (const ModelInfo& model : known) {
      if (!model.problem.empty() && model.state == ModelState::Unloaded) continue;
      const auto entry = find_model(model.name);
      if (!entry) continue;
      const backend::ModelSpec spec = spec_for(i, *entry);
      if (engines_->kind(i).objection(spec)) continue;
      info.models.push_back(model.name);
      if (info.models.size() == 1) info.can = engines_->kind(i).capabilities(spec);
    }
    if (info.models.empty()) info.can = engines_->kind(i).capabilities({});
    for (const InstanceInfo& instance : running) {
      if (instance.backend == info.name) info.instances.push_back(instance);
    }
    out.push_back(std::move(info));
  }
  return out;
}

bool LocalService::ready() const {
  if (wanted_.empty()) return true;
  const auto snapshot = loop_->snapshot();
  return std::ranges::any_of(*snapshot, [this](const InstanceSnapshot& place) {
    return place.info.state == ModelState::Ready &&
           std::ranges::any_of(
               wanted_, [&](const Model& model) { return model.entry.name == place.info.model; });
  });
}

Result<void> LocalService::wait_until_ready(TimePoint deadline) {
  for (const Model& model : wanted_) {
    MINERVA_TRY(load(model.entry.name, std::nullopt, deadline - clock_.now()));
  }
  return {};
}

void LocalService::drain(Duration grace) {
  ledger_->close();
  watch_->add(clock_.now() + grace, [weak = std::weak_ptr<Links>(links_)] {
    if (const auto links = weak.lock()) links->stop(stopping());
  });
}

}  // namespace minerva::serve
