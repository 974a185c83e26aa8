#include "serve/model_instance.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"

namespace minerva::serve {
namespace {

// As in DeadlineWatch: the clock may be one that is moved by hand.
constexpr Duration kLookEvery = std::chrono::milliseconds(50);

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

ModelInstance::ModelInstance(InstanceOptions options,
                             std::unique_ptr<backend::InferenceBackend> engine, const Clock& clock)
    : options_(std::move(options)), engine_(std::move(engine)), clock_(clock) {}

ModelInstance::~ModelInstance() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  engine_->kill();
  if (loader_.joinable()) loader_.join();
}

void ModelInstance::begin_load() {
  const std::lock_guard lock(mutex_);
  begin_load_locked();
}

void ModelInstance::begin_load_locked() {
  if (stopping_ || state_ == ModelState::Loading || state_ == ModelState::Ready) return;
  // The last loader set Failed as its last act, so this does not wait.
  if (loader_.joinable()) loader_.join();
  state_ = ModelState::Loading;
  ++attempts_;
  loader_ = std::thread([this] { load(); });
}

Result<void> ModelInstance::ensure_ready(TimePoint deadline) {
  std::unique_lock lock(mutex_);
  if (state_ == ModelState::Ready && !engine_->is_loaded()) {
    // The engine has died since.
    state_ = ModelState::Failed;
    error_ =
        Error{ErrorCode::Unavailable, engine_->probe().detail, {}, std::string(engine_->name())};
  }
  begin_load_locked();
  const std::uint64_t attempt = attempts_;
  while (state_ == ModelState::Loading && attempts_ == attempt && !stopping_) {
    const Duration left = deadline - clock_.now();
    if (left <= Duration::zero()) {
      return fail(ErrorCode::Timeout,
                  fmt::format("model '{}' is still loading: try again later", options_.spec.name));
    }
    changed_.wait_for(lock, std::min(left, kLookEvery));
  }
  if (stopping_) return fail(ErrorCode::Unavailable, "the server is stopping");
  if (state_ == ModelState::Failed) return fail(error_);
  return {};
}

ModelInstance::Status ModelInstance::status() const {
  const std::lock_guard lock(mutex_);
  if (state_ == ModelState::Failed) return {state_, error_.message, 0};
  return {state_, {}, state_ == ModelState::Ready ? engine_->context_size() : 0};
}

void ModelInstance::load() {
  const TimePoint begun = clock_.now();
  const std::string& name = options_.spec.name;
  Result<void> outcome = engine_->start();
  if (outcome) outcome = engine_->load_model(options_.spec, options_.context_size);
  if (outcome) outcome = self_test();
  if (outcome) {
    log_info("model '{}' is ready on {}: context {} tokens, {} threads, {:.1f} s", name,
             engine_->name(), engine_->context_size(), engine_->thread_count(),
             seconds(clock_.now() - begun));
  } else {
    log_error("model '{}' cannot be used on {}: {}", name, engine_->name(),
              outcome.error().message);
    static_cast<void>(engine_->unload_model());
  }
  {
    const std::lock_guard lock(mutex_);
    state_ = outcome ? ModelState::Ready : ModelState::Failed;
    if (!outcome) error_ = std::move(outcome).error().in(fmt::format("model '{}'", name));
  }
  changed_.notify_all();
}

Result<void> ModelInstance::self_test() {
  backend::GenerateRequest request;
  request.id = "self-test";
  if (engine_->capabilities().token_prompts != backend::Support::No) {
    request.prompt.emplace_back(std::vector<TokenId>{options_.self_test_token});
  } else {
    request.prompt.emplace_back(std::string("a"));
  }
  request.sampling.temperature = 0;
  request.max_tokens = 1;
  request.ignore_end_of_generation = true;
  const auto stream = std::make_shared<backend::GenerationStream>();
  MINERVA_TRY(engine_->generate(std::move(request), stream));

  const TimePoint deadline = clock_.now() + options_.self_test_time_max;
  std::size_t tokens = 0;
  while (clock_.now() < deadline) {
    const auto event = stream->pop_for(kLookEvery);
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    if (!event) continue;
    if (std::holds_alternative<backend::TokenEvent>(*event)) ++tokens;
    const auto* end = std::get_if<backend::EndEvent>(&*event);
    if (end == nullptr) continue;
    if (end->outcome == backend::EndEvent::Outcome::Done && tokens > 0) return {};
    return fail(end->error.value_or(Error{
        ErrorCode::Unavailable, "it loaded, but made no token", {}, std::string(engine_->name())}));
  }
  stream->cancel();
  return fail(Error{ErrorCode::Timeout,
                    fmt::format("it loaded, but made no token within {:.0f} s",
                                seconds(options_.self_test_time_max)),
                    {},
                    std::string(engine_->name())});
}

}  // namespace minerva::serve
