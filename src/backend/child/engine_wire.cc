#include "backend/child/engine_wire.h"

#include <utility>

namespace minerva::backend {

Error EngineWire::refusal(const UpstreamEnd& end) const { return read_refusal(name(), end); }

std::optional<UpstreamRequest> EngineWire::tokenize_call(std::string_view, TokenizeOptions) const {
  return std::nullopt;
}

Result<std::vector<TokenId>> EngineWire::read_tokens(std::string_view) const {
  return fail(ErrorCode::Unsupported, "this engine does not tokenize");
}

std::optional<UpstreamRequest> EngineWire::detokenize_call(std::span<const TokenId>) const {
  return std::nullopt;
}

Result<std::string> EngineWire::read_text(std::string_view) const {
  return fail(ErrorCode::Unsupported, "this engine does not detokenize");
}

EngineHealth EngineWire::read_health(const UpstreamEnd& end) const {
  return end.status == 200 ? EngineHealth::Answering : EngineHealth::Starting;
}

LoadProgress EngineWire::load_progress(const UpstreamEnd&) const { return {}; }

std::optional<Error> EngineWire::load_failure(const UpstreamEnd&) const { return std::nullopt; }

bool EngineWire::is_noise(std::string_view) const { return false; }

Result<void> EngineWire::inspect(Upstream&, WireModel&, Duration) const { return {}; }

Result<UpstreamRequest> EngineWire::warm_up_call(const WireModel& model) const {
  GenerateRequest request;
  request.id = "warm-up";
  request.sampling.temperature = 0;
  WireRequest ask{request};
  ask.text = "a";
  if (model.tokenizer != nullptr) {
    MINERVA_ASSIGN(ask.tokens, model.tokenizer->encode("a", {.add_special = true}));
  }
  return generate_call(ask, model);
}

}  // namespace minerva::backend
