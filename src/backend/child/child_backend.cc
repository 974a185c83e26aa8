#include "backend/child/child_backend.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "backend/child/embed_run.h"
#include "backend/child/request_check.h"
#include "backend/child/session.h"
#include "base/log.h"
#include "base/rng.h"

namespace minerva::backend {
namespace {

constexpr std::size_t kLastWordsMax = 50;
constexpr Duration kDyingMax = std::chrono::milliseconds(100);
constexpr Duration kSmallCallMax = std::chrono::seconds(30);  // tokenize, detokenize

Error no_model(std::string_view name) {
  return {ErrorCode::Unavailable, "no model is loaded", {}, std::string(name)};
}

}  // namespace

ChildBackend::ChildBackend(ChildBackendOptions options, UpstreamLoop& loop, const Clock& clock)
    : options_(std::move(options)), loop_(loop), clock_(clock) {}

ChildBackend::~ChildBackend() {
  kill();
  static_cast<void>(unload_model());
}

// --- the model ---

Result<void> ChildBackend::load_model(const ModelSpec& spec, std::size_t context_size) {
  const std::lock_guard loading(loading_);
  // A process that has just died shows as closed connections before it shows as ended.
  const auto before = loaded();
  if (before != nullptr && (before->child() == nullptr || !before->child()->wait_for(kDyingMax))) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} is loaded already; unload it first", before->model_name()));
  }
  bury();
  std::uint64_t unloads = 0;
  {
    const std::lock_guard lock(mutex_);
    unloads = unloads_;
    failure_.clear();
    loading_now_ = true;
  }
  auto next = bring_up(spec, context_size, unloads);
  const std::lock_guard lock(mutex_);
  starting_.reset();
  loading_now_ = false;
  if (!next) {
    failure_ = next.error().message;
    return fail(std::move(next).error());
  }
  loaded_ = std::move(*next);
  ++loads_;
  return {};
}

Result<std::shared_ptr<ChildSession>> ChildBackend::bring_up(const ModelSpec& spec,
                                                             std::size_t context_size,
                                                             std::uint64_t unloads) {
  MINERVA_ASSIGN(LaunchPlan plan, options_.plan(spec, context_size));
  auto session =
      std::make_shared<ChildSession>(options_, spec.name, std::move(plan), loop_, clock_);
  {
    const std::lock_guard lock(mutex_);
    if (unloads_ != unloads) session->abandon();
    starting_ = session;
  }
  auto ready = session->bring_up();
  if (!ready) {
    session->take_down(Duration::zero());
    remember_log(*session);
    return fail(std::move(ready).error());
  }
  return session;
}

Result<void> ChildBackend::unload_model() {
  abandon_load();
  const std::lock_guard loading(loading_);
  take_down(Duration::zero());
  return {};
}

void ChildBackend::stop(Duration grace) {
  abandon_load();
  const std::lock_guard loading(loading_);
  take_down(grace);
}

void ChildBackend::kill() {
  abandon_load();
  const std::lock_guard lock(mutex_);
  if (starting_ != nullptr) starting_->kill();
  if (loaded_ == nullptr) return;
  loaded_->kill();
  ++loads_;
  // Its process is waited for by whoever loads or unloads next.
  buried_.push_back(std::move(loaded_));
}

void ChildBackend::abandon_load() {
  const std::lock_guard lock(mutex_);
  ++unloads_;
  if (starting_ != nullptr) starting_->abandon();
}

void ChildBackend::take_down(Duration grace) {
  std::shared_ptr<ChildSession> old;
  {
    const std::lock_guard lock(mutex_);
    old = std::exchange(loaded_, nullptr);
    if (old != nullptr) ++loads_;
    failure_.clear();
  }
  if (old != nullptr) {
    old->take_down(grace);
    remember_log(*old);
  }
  bury();
}

void ChildBackend::bury() {
  std::vector<std::shared_ptr<ChildSession>> dead;
  {
    const std::lock_guard lock(mutex_);
    dead = std::exchange(buried_, {});
    if (loaded_ != nullptr && !loaded_->alive()) {
      dead.push_back(std::exchange(loaded_, nullptr));
      ++loads_;
    }
  }
  for (const auto& session : dead) {
    session->take_down(Duration::zero());
    remember_log(*session);
  }
}

void ChildBackend::remember_log(const ChildSession& session) {
  if (session.child() == nullptr) return;
  auto lines = session.child()->last_log_lines(kLastWordsMax);
  if (const auto status = session.child()->exit_status()) {
    lines.push_back(fmt::format("[ended: {}]", status->words()));
  }
  const std::lock_guard lock(mutex_);
  last_words_ = std::move(lines);
}

// --- what it is ---

std::shared_ptr<ChildSession> ChildBackend::loaded() const {
  const std::lock_guard lock(mutex_);
  return loaded_ != nullptr && loaded_->alive() ? loaded_ : nullptr;
}

bool ChildBackend::is_loaded() const { return loaded() != nullptr; }

LoadProgress ChildBackend::load_progress() const {
  const std::lock_guard lock(mutex_);
  return starting_ == nullptr ? LoadProgress{} : starting_->load_progress();
}

std::size_t ChildBackend::context_size() const {
  const auto now = loaded();
  return now == nullptr ? 0 : now->model()->context_size;
}

std::size_t ChildBackend::text_tokens_max() const {
  const auto now = loaded();
  if (now == nullptr) return 0;
  const std::size_t own = now->model()->text_tokens_max;
  return own != 0 ? own : now->model()->context_size;
}

Probe ChildBackend::probe() const {
  const std::lock_guard lock(mutex_);
  if (loading_now_) return {Health::Starting, "the engine loads the model"};
  if (loaded_ != nullptr) {
    if (loaded_->alive()) return {Health::Ready, ""};
    return {Health::Failed, fmt::format("the engine ended: {}", loaded_->how_it_ended())};
  }
  if (!failure_.empty()) return {Health::Failed, failure_};
  return {Health::Stopped, "no model is loaded"};
}

ResourceUsage ChildBackend::usage() const {
  ResourceUsage usage;
  std::shared_ptr<ChildSession> now;
  {
    const std::lock_guard lock(mutex_);
    now = loaded_ != nullptr ? loaded_ : starting_;
  }
  if (now == nullptr || now->child() == nullptr || !now->alive()) return usage;
  const process::TreeUsage tree = now->child()->usage();
  usage.memory.push_back({"cpu", tree.pss_bytes});
  usage.mapped_bytes = tree.mapped_bytes;
  usage.cpu_time = tree.cpu_time;
  usage.pid = now->child()->pid();
  return usage;
}

Activity ChildBackend::activity() const {
  const auto now = loaded();
  if (now == nullptr) return {};
  const ChildCounters& counters = *now->counters();
  return {counters.progress, counters.tokens, counters.running};
}

std::vector<std::string> ChildBackend::last_log_lines(std::size_t count) const {
  const std::lock_guard lock(mutex_);
  const auto& now = loaded_ != nullptr ? loaded_ : starting_;
  if (now != nullptr && now->child() != nullptr) return now->child()->last_log_lines(count);
  const std::size_t skip = last_words_.size() - std::min(count, last_words_.size());
  return {last_words_.begin() + static_cast<std::ptrdiff_t>(skip), last_words_.end()};
}

Capabilities ChildBackend::capabilities() const {
  const auto now = loaded();
  Capabilities capabilities = now == nullptr ? Capabilities{} : now->capabilities();
  const std::lock_guard lock(mutex_);
  capabilities.version = loads_ + 1;
  return capabilities;
}

// --- generation ---

Result<void> ChildBackend::generate(GenerateRequest request,
                                    std::shared_ptr<GenerationStream> stream) {
  const auto now = loaded();
  if (now == nullptr) return fail(no_model(name()));
  MINERVA_TRY(check_request(request, now->capabilities(), *now->model()));
  GenerationPlan plan;
  plan.wire = now->wire();
  plan.model = now->model();
  plan.counters = now->counters();
  plan.stream = stream;
  plan.seed = request.sampling.seed ? *request.sampling.seed : random_seed();
  plan.silence_max = options_.silence_max;
  plan.paused_max = options_.paused_max;
  MINERVA_TRY(resolve_prompt(request, *now->model(), plan));
  plan.request = std::move(request);
  MINERVA_ASSIGN(const auto generation, Generation::make(std::move(plan), clock_));
  if (now->counters()->running.fetch_add(1) >= options_.running_max) {
    --now->counters()->running;
    Error full{ErrorCode::QueueFull,
               fmt::format("{} generations run or wait already", options_.running_max)};
    full.retry_after = std::chrono::seconds(1);
    return fail(std::move(full));
  }
  stream->on_wake_producer([weak = std::weak_ptr(generation), &loop = loop_] {
    if (const auto alive = weak.lock()) loop.post([alive] { alive->wake(); });
  });
  now->submit(generation);
  return {};
}

Result<void> ChildBackend::embed(EmbedRequest request, std::shared_ptr<GenerationStream> stream) {
  const auto now = loaded();
  if (now == nullptr) return fail(no_model(name()));
  if (request.inputs.empty()) {
    return fail(ErrorCode::InvalidArgument, "there is nothing to embed", "input");
  }
  if (now->counters()->running >= options_.running_max) {
    Error full{ErrorCode::QueueFull,
               fmt::format("{} requests run or wait already", options_.running_max)};
    full.retry_after = std::chrono::seconds(1);
    return fail(std::move(full));
  }
  return std::make_shared<EmbedRun>(now, options_.wire, std::move(request), std::move(stream),
                                    clock_)
      ->begin();
}

Result<std::vector<TokenId>> ChildBackend::tokenize(std::string_view text,
                                                    TokenizeOptions options) const {
  const auto now = loaded();
  if (now == nullptr) return fail(no_model(name()));
  if (const auto& tokenizer = now->model()->tokenizer) {
    return tokenizer->encode(text, {options.add_special, options.parse_special});
  }
  auto call = now->wire()->tokenize_call(text, options);
  if (!call) {
    return fail(ErrorCode::Unsupported, "neither Minerva nor this engine has a tokenizer for it");
  }
  call->total_max = kSmallCallMax;
  MINERVA_ASSIGN(const UpstreamEnd answer, now->side().exchange(std::move(*call)));
  if (answer.status != 200) return fail(now->wire()->refusal(answer));
  return now->wire()->read_tokens(answer.body);
}

Result<std::string> ChildBackend::detokenize(std::span<const TokenId> tokens) const {
  const auto now = loaded();
  if (now == nullptr) return fail(no_model(name()));
  if (const auto& tokenizer = now->model()->tokenizer) return tokenizer->decode(tokens, true);
  auto call = now->wire()->detokenize_call(tokens);
  if (!call) {
    return fail(ErrorCode::Unsupported, "neither Minerva nor this engine has a tokenizer for it");
  }
  call->total_max = kSmallCallMax;
  MINERVA_ASSIGN(const UpstreamEnd answer, now->side().exchange(std::move(*call)));
  if (answer.status != 200) return fail(now->wire()->refusal(answer));
  return now->wire()->read_text(answer.body);
}

}  // namespace minerva::backend
