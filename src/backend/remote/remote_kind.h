// Any server with OpenAI's API, under a name of the configuration: "remote:office".
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backend/engine_kind.h"
#include "backend/remote/remote_backend.h"

namespace minerva::backend {

class RemoteKind final : public EngineKind {
 public:
  // InvalidArgument for addresses that are none.
  static Result<std::unique_ptr<RemoteKind>> make_kind(RemoteOptions options, UpstreamLoop& loop,
                                                       const Clock& clock);

  std::string_view name() const override { return name_; }
  // Asks each replica for its models, in turn, until one answers.
  Availability probe(Duration time_max) override;
  std::optional<std::string> objection(const ModelSpec& spec) const override;
  Capabilities capabilities(const ModelSpec& spec) const override;
  MemoryNeed memory_need(const ModelSpec&, std::size_t) const override { return {}; }
  std::vector<ModelSpec> own_models(Duration time_max) override;
  Result<std::unique_ptr<InferenceBackend>> make() override;

 private:
  RemoteKind(RemoteOptions options, std::vector<UpstreamAddress> addresses, UpstreamLoop& loop,
             const Clock& clock);
  struct Listing {
    std::vector<std::string> ids;
    std::string owner;
    std::string problem;  // why there is no answer
  };
  Listing ask(Duration time_max) const;
  Listing fresh_listing(Duration time_max);
  Result<Listing> ask_one(const UpstreamAddress& address, Duration time_max) const;

  const std::shared_ptr<const RemoteOptions> options_;
  const std::string name_;
  const std::vector<UpstreamAddress> addresses_;
  UpstreamLoop& loop_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  Listing listing_;                     // guarded by mutex_
  std::optional<TimePoint> listed_at_;  // guarded by mutex_
};

}  // namespace minerva::backend
