#include "backend/remote/remote_backend.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "backend/remote/remote_run.h"
#include "backend/remote/remote_wire.h"
#include "base/log.h"

namespace minerva::backend {
namespace {

// A server that is away is asked again no sooner; its breaker says when.
constexpr Duration kLookEvery = std::chrono::milliseconds(250);
constexpr Duration kReadyMax = std::chrono::seconds(20);

std::string address_text(const UpstreamAddress& address) {
  return fmt::format("{}://{}:{}{}", address.tls ? "https" : "http", address.host, address.port,
                     address.base_path);
}

std::vector<std::string> names_of(const std::vector<UpstreamAddress>& addresses) {
  std::vector<std::string> names;
  for (const UpstreamAddress& address : addresses) names.push_back(address_text(address));
  return names;
}

}  // namespace

RemoteBackend::RemoteBackend(std::shared_ptr<const RemoteOptions> options,
                             std::vector<UpstreamAddress> addresses, UpstreamLoop& loop,
                             const Clock& clock)
    : options_(std::move(options)),
      name_("remote:" + options_->name),
      clock_(clock),
      pool_(std::make_shared<RemotePool>(names_of(addresses))) {
  for (UpstreamAddress& address : addresses) {
    address.ca_file = options_->ca_file;
    ChildBackendOptions child;
    child.wire = std::make_shared<RemoteWire>(name_, options_->mode);  // it learns of its server
    child.plan = [remote = options_, address](const ModelSpec& spec,
                                              std::size_t) -> Result<LaunchPlan> {
      LaunchPlan plan;
      plan.upstream.name = "remote:" + remote->name;
      plan.upstream.address = address;
      plan.upstream.key = remote->key;
      plan.upstream.connections_max = remote->connections_max;
      plan.upstream.connect_max = remote->connect_max;
      plan.model.name = spec.path;
      return plan;
    };
    child.ready_max = kReadyMax;
    child.connect_max = options_->connect_max;
    child.silence_max = options_->silence_max;
    pool_->backends.push_back(std::make_unique<ChildBackend>(std::move(child), loop, clock));
  }
}

RemoteBackend::~RemoteBackend() { kill(); }

Result<void> RemoteBackend::load_model(const ModelSpec& spec, std::size_t) {
  const std::lock_guard loading(loading_);
  if (is_loaded()) {
    return fail(ErrorCode::InvalidArgument, "a model is loaded already; unload it first");
  }
  {
    const std::lock_guard lock(mutex_);
    spec_ = spec;
    stopping_ = false;
    failure_.clear();
  }
  {
    // Side by side: one that is away would make the others wait.
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < pool_->backends.size(); ++i) {
      threads.emplace_back([this, i] { connect(i); });
    }
  }
  const bool any =
      std::ranges::any_of(pool_->backends, [](const auto& b) { return b->is_loaded(); });
  const std::lock_guard lock(mutex_);
  if (!any) {
    const Probe first = pool_->backends.front()->probe();
    failure_ = first.detail;
    return fail(
        Error{ErrorCode::Unavailable,
              fmt::format("none of {} servers answers; {}", pool_->backends.size(), first.detail),
              {},
              name_});
  }
  loaded_ = true;
  ++loads_;
  connector_ = std::thread([this] { keep_connected(); });
  return {};
}

void RemoteBackend::connect(std::size_t replica) {
  ModelSpec spec;
  {
    const std::lock_guard lock(mutex_);
    spec = spec_;
  }
  {
    const std::lock_guard lock(pool_->mutex);
    pool_->replicas.begun(replica, clock_.now());
  }
  const auto done = pool_->backends[replica]->load_model(spec, 0);
  const std::lock_guard lock(pool_->mutex);
  if (done) {
    pool_->replicas.succeeded(replica);
    pool_->replicas.connected(replica, true);
  } else {
    pool_->replicas.failed(replica, clock_.now());
    log_warning("{}: {} is away: {}", name_, pool_->replicas.name(replica), done.error().message);
  }
}

void RemoteBackend::keep_connected() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (stopped_.wait_for(lock, kLookEvery, [this] { return stopping_; })) return;
    }
    std::optional<std::size_t> next;
    {
      const std::lock_guard lock(pool_->mutex);
      next = pool_->replicas.to_connect(clock_.now());
    }
    if (next) connect(*next);
  }
}

void RemoteBackend::end(Duration grace) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (std::exchange(loaded_, false)) ++loads_;
  }
  stopped_.notify_all();
  for (const auto& backend : pool_->backends) backend->stop(grace);
  if (connector_.joinable()) connector_.join();
  // One that the thread has connected meanwhile.
  for (const auto& backend : pool_->backends) static_cast<void>(backend->unload_model());
  const std::lock_guard lock(pool_->mutex);
  for (std::size_t i = 0; i < pool_->backends.size(); ++i) pool_->replicas.connected(i, false);
}

Result<void> RemoteBackend::unload_model() {
  const std::lock_guard loading(loading_);
  end(Duration::zero());
  return {};
}

void RemoteBackend::stop(Duration grace) {
  const std::lock_guard loading(loading_);
  end(grace);
}

void RemoteBackend::kill() {
  for (const auto& backend : pool_->backends) backend->kill();
  static_cast<void>(unload_model());
}

bool RemoteBackend::is_loaded() const {
  const std::lock_guard lock(mutex_);
  return loaded_;
}

Result<void> RemoteBackend::generate(GenerateRequest request,
                                     std::shared_ptr<GenerationStream> stream) {
  if (!is_loaded()) {
    return fail(Error{ErrorCode::Unavailable, "no model is loaded", {}, name_});
  }
  return std::make_shared<RemoteRun>(pool_, name_, std::move(request), std::move(stream), clock_)
      ->begin();
}

Result<void> RemoteBackend::embed(EmbedRequest request, std::shared_ptr<GenerationStream> stream) {
  if (!is_loaded()) {
    return fail(Error{ErrorCode::Unavailable, "no model is loaded", {}, name_});
  }
  return std::make_shared<RemoteRun>(pool_, name_, std::move(request), std::move(stream), clock_)
      ->begin();
}

Result<std::vector<TokenId>> RemoteBackend::tokenize(std::string_view, TokenizeOptions) const {
  return fail(ErrorCode::Unsupported, "which tokens a remote model has is not known here");
}

Result<std::string> RemoteBackend::detokenize(std::span<const TokenId>) const {
  return fail(ErrorCode::Unsupported, "which tokens a remote model has is not known here");
}

Probe RemoteBackend::probe() const {
  {
    const std::lock_guard lock(mutex_);
    if (!loaded_ && !failure_.empty()) return {Health::Failed, failure_};
    if (!loaded_) return {Health::Stopped, "no model is loaded"};
  }
  const std::lock_guard lock(pool_->mutex);
  if (pool_->replicas.any_allowed(clock_.now())) return {Health::Ready, ""};
  // Not Failed: to start it again would bring nothing, and it comes back by itself.
  return {Health::Starting, "every server has failed, and is tried again soon"};
}

Activity RemoteBackend::activity() const {
  Activity sum;
  for (const auto& backend : pool_->backends) {
    const Activity one = backend->activity();
    sum.progress += one.progress;
    sum.tokens += one.tokens;
    sum.running += one.running;
  }
  return sum;
}

Capabilities RemoteBackend::capabilities() const {
  Capabilities capabilities;
  if (is_loaded()) capabilities = RemoteWire(name_, options_->mode).capabilities({});
  const std::lock_guard lock(mutex_);
  capabilities.version = loads_ + 1;
  return capabilities;
}

std::size_t RemoteBackend::running(std::size_t replica) const {
  const std::lock_guard lock(pool_->mutex);
  return pool_->replicas.running(replica);
}

}  // namespace minerva::backend
