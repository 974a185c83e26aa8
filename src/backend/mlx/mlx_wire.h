// How mlx_lm.server is spoken to. It takes no token ids, and its completions route drops what a
// model thinks; so the server is started with a chat template that does nothing but print its one
// message, and Minerva's rendered prompt is that message. What could end the server for everybody
// (a top_k past the vocabulary, a bias for a token that is none) or make it load something is
// checked here or never sent.
#pragma once

#include <memory>
#include <string_view>

#include "backend/child/engine_wire.h"

namespace minerva::backend {

// The whole of the template: --chat-template.
inline constexpr std::string_view kMlxTemplate = "{{ messages[0]['content'] }}";

class MlxWire final : public EngineWire {
 public:
  std::string_view name() const override { return "mlx"; }
  Capabilities capabilities(const WireModel& model) const override;
  Result<UpstreamRequest> generate_call(const WireRequest& ask,
                                        const WireModel& model) const override;
  std::unique_ptr<ChunkReader> reader(const WireRequest& ask,
                                      const WireModel& model) const override;
  // /health is 200 before the model is loaded, and 503 once it never will be.
  EngineHealth read_health(const UpstreamEnd& end) const override;
  bool is_noise(std::string_view log_line) const override;
  // It opens its port first and loads then, so this is also what waits for the model. The reader of
  // a request without a prompt (that of this call) compares how both sides tokenize.
  Result<UpstreamRequest> warm_up_call(const WireModel& model) const override;
};

}  // namespace minerva::backend
