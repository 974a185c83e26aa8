#include "backend/remote/remote_kind.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "backend/remote/remote_url.h"
#include "backend/remote/remote_wire.h"

namespace minerva::backend {
namespace {

constexpr std::size_t kReplicasMax = 64;
constexpr std::size_t kListBytesMax = std::size_t{4} << 20;

ModelSpec spec_of(const std::string& name, const std::string& id) {
  ModelSpec spec;
  spec.name = name;
  spec.format = ModelFormat::Remote;
  spec.path = id;  // as the server calls it
  return spec;
}

}  // namespace

Result<std::unique_ptr<RemoteKind>> RemoteKind::make_kind(RemoteOptions options, UpstreamLoop& loop,
                                                          const Clock& clock) {
  if (options.name.empty() || options.urls.empty() || options.urls.size() > kReplicasMax) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("a remote server needs a name and 1 to {} urls, \"{}\" has {}",
                            kReplicasMax, options.name, options.urls.size()),
                "urls");
  }
  std::vector<UpstreamAddress> addresses;
  for (const std::string& url : options.urls) {
    MINERVA_ASSIGN(UpstreamAddress address, parse_remote_url(url, options.insecure));
    address.ca_file = options.ca_file;
    addresses.push_back(std::move(address));
  }
  return std::unique_ptr<RemoteKind>(
      new RemoteKind(std::move(options), std::move(addresses), loop, clock));
}

RemoteKind::RemoteKind(RemoteOptions options, std::vector<UpstreamAddress> addresses,
                       UpstreamLoop& loop, const Clock& clock)
    : options_(std::make_shared<const RemoteOptions>(std::move(options))),
      name_("remote:" + options_->name),
      addresses_(std::move(addresses)),
      loop_(loop),
      clock_(clock) {}

Result<RemoteKind::Listing> RemoteKind::ask_one(const UpstreamAddress& address,
                                                Duration time_max) const {
  UpstreamOptions upstream;
  upstream.name = name_;
  upstream.address = address;
  upstream.key = options_->key;
  upstream.connect_max = std::min(options_->connect_max, time_max);
  upstream.body_bytes_max = kListBytesMax;
  MINERVA_ASSIGN(const auto client, Upstream::make(std::move(upstream), loop_));
  UpstreamRequest request;
  request.method = "GET";
  request.path = "/models";
  request.total_max = time_max;
  MINERVA_ASSIGN(const UpstreamEnd end, client->exchange(std::move(request)));
  if (end.error) return fail(*end.error);
  if (end.status != 200) return fail(read_refusal(name_, end));
  MINERVA_ASSIGN(RemoteModels models, parse_remote_models(end.body));
  return Listing{std::move(models.ids), std::move(models.owner), {}};
}

RemoteKind::Listing RemoteKind::ask(Duration time_max) const {
  Listing none;
  // Each gets its share of the time.
  const Duration share = time_max / static_cast<std::int64_t>(addresses_.size());
  for (const UpstreamAddress& address : addresses_) {
    auto listing = ask_one(address, std::max<Duration>(share, std::chrono::milliseconds(1)));
    if (listing) return std::move(*listing);
    none.problem = listing.error().message;
  }
  return none;
}

RemoteKind::Listing RemoteKind::fresh_listing(Duration time_max) {
  {
    const std::lock_guard lock(mutex_);
    if (listed_at_ && clock_.now() - *listed_at_ < options_->models_fresh) return listing_;
  }
  Listing listing = ask(time_max);
  const std::lock_guard lock(mutex_);
  // A failure is not kept: the next who asks may be luckier.
  if (listing.problem.empty()) {
    listing_ = listing;
    listed_at_ = clock_.now();
  }
  return listing;
}

Availability RemoteKind::probe(Duration time_max) {
  Availability found;
  found.path = options_->urls.front();
  if (addresses_.size() > 1) found.path += fmt::format(" and {} more", addresses_.size() - 1);
  const Listing listing = fresh_listing(time_max);
  found.available = listing.problem.empty();
  found.why_not = listing.problem;
  found.version = listing.owner;
  return found;
}

std::optional<std::string> RemoteKind::objection(const ModelSpec& spec) const {
  if (spec.format != ModelFormat::Remote) return "serves models of its own only";
  const auto has = [&](const std::vector<std::string>& ids) {
    return std::ranges::find(ids, spec.path) != ids.end();
  };
  if (has(options_->models)) return std::nullopt;
  for (const auto& [name, id] : options_->model_map) {
    if (id == spec.path) return std::nullopt;
  }
  if (options_->models.empty()) {
    const std::lock_guard lock(mutex_);
    if (has(listing_.ids)) return std::nullopt;
  }
  return fmt::format("{} is not among its models", spec.path);
}

Capabilities RemoteKind::capabilities(const ModelSpec&) const {
  return RemoteWire(name_, options_->mode).capabilities({});
}

std::vector<ModelSpec> RemoteKind::own_models(Duration time_max) {
  std::vector<std::string> ids = options_->models;
  if (ids.empty()) ids = fresh_listing(time_max).ids;
  std::vector<ModelSpec> models;
  for (const std::string& id : ids) models.push_back(spec_of(id, id));
  for (const auto& [name, id] : options_->model_map) models.push_back(spec_of(name, id));
  return models;
}

Result<std::unique_ptr<InferenceBackend>> RemoteKind::make() {
  return std::make_unique<RemoteBackend>(options_, addresses_, loop_, clock_);
}

}  // namespace minerva::backend
