// How mlx_vlm.server is spoken to, which takes the place of mlx_lm.server for models that see. It
// speaks chat only. What it would read or fetch (pictures by path or by URL), and a name of another
// model, which it would load, are never sent. Written from the source of 0.7.10; it was never run
// here (docs/backends.md).
#pragma once

#include <memory>
#include <string_view>

#include "backend/child/engine_wire.h"

namespace minerva::backend {

// The model's name on the wire is the path that it was started with: any other would be loaded.
class VlmWire final : public EngineWire {
 public:
  std::string_view name() const override { return "mlx"; }
  Capabilities capabilities(const WireModel& model) const override;
  Result<UpstreamRequest> generate_call(const WireRequest& ask,
                                        const WireModel& model) const override;
  std::unique_ptr<ChunkReader> reader(const WireRequest& ask,
                                      const WireModel& model) const override;
  bool is_noise(std::string_view log_line) const override;
  // It opens its port once it has loaded; that it has this model is asked for all the same.
  Result<void> inspect(Upstream& upstream, WireModel& model, Duration time_max) const override;
  Result<UpstreamRequest> warm_up_call(const WireModel& model) const override;
};

}  // namespace minerva::backend
