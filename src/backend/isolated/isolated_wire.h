// How `minerva engine` is spoken to (engine_server.h has the other side). Nothing is lost on the
// way: an isolated engine gives, bit for bit, what the same engine gives in this process.
#pragma once

#include <memory>
#include <string_view>

#include "backend/child/engine_wire.h"

namespace minerva::backend {

class IsolatedWire final : public EngineWire {
 public:
  std::string_view name() const override { return "native"; }
  Capabilities capabilities(const WireModel& model) const override;
  std::uint32_t choices_per_call() const override { return kChoicesMax; }
  Result<UpstreamRequest> generate_call(const WireRequest& ask,
                                        const WireModel& model) const override;
  std::unique_ptr<ChunkReader> reader(const WireRequest& ask,
                                      const WireModel& model) const override;
  Result<UpstreamRequest> embed_call(std::span<const EmbedInput> inputs,
                                     const WireModel& model) const override;
  Error refusal(const UpstreamEnd& end) const override;
  EngineHealth read_health(const UpstreamEnd& end) const override;
  LoadProgress load_progress(const UpstreamEnd& end) const override;
  std::optional<Error> load_failure(const UpstreamEnd& end) const override;
  // Learns the context that it chose, and what it can make.
  Result<void> inspect(Upstream& upstream, WireModel& model, Duration time_max) const override;

  static constexpr std::uint32_t kChoicesMax = 16;  // of the native backend
};

}  // namespace minerva::backend
