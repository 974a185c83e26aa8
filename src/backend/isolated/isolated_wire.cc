#include "backend/isolated/isolated_wire.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "backend/isolated/embed_json.h"
#include "backend/isolated/event_json.h"
#include "backend/isolated/request_json.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::backend {
namespace {

using wire::Json;

class IsolatedReader final : public ChunkReader {
 public:
  explicit IsolatedReader(const EventBounds& bounds) : bounds_(bounds) {}

  Result<void> read(const wire::SseEvent& event, std::vector<GenerationEvent>& out) override {
    if (finished_) return fail(ErrorCode::Unavailable, "the engine went on behind its end");
    MINERVA_ASSIGN(GenerationEvent said, parse_event_json(event.data, bounds_));
    auto* end = std::get_if<EndEvent>(&said);
    if (end == nullptr) {
      out.push_back(std::move(said));
      return {};
    }
    usage_ = end->usage;
    finished_ = end->outcome == EndEvent::Outcome::Done;
    if (finished_) return {};
    if (end->error) return fail(std::move(*end->error));
    return fail(ErrorCode::Unavailable, "the engine ended the request");
  }
  bool finished() const override { return finished_; }
  Usage usage() const override { return usage_; }

 private:
  const EventBounds bounds_;
  bool finished_ = false;
  Usage usage_;
};

}  // namespace

Capabilities IsolatedWire::capabilities(const WireModel& model) const {
  Capabilities c;
  c.generation = model.generates ? Support::Yes : Support::No;
  c.embeddings = model.embeds ? Support::Yes : Support::No;
  c.token_prompts = Support::Yes;
  c.text_prompts = Support::Yes;
  c.logprobs = Support::Yes;
  c.logit_bias = Support::Yes;
  c.seed = Support::Yes;
  c.load_invariant = Support::Yes;
  c.tokenize = Support::Yes;
  c.choices_max = kChoicesMax;
  return c;
}

Result<UpstreamRequest> IsolatedWire::generate_call(const WireRequest& ask,
                                                    const WireModel&) const {
  GenerateRequest order = ask.request;
  // What was given already stays apart from the prompt: penalties and draws go by position.
  const std::size_t given = std::min(order.resume_prefix.size(), ask.tokens.size());
  std::vector<TokenId> prompt(ask.tokens.begin(),
                              ask.tokens.end() - static_cast<std::ptrdiff_t>(given));
  order.prompt.clear();
  order.prompt.emplace_back(std::move(prompt));
  order.max_tokens = ask.max_tokens + given;
  order.sampling.seed = ask.seed;
  order.n = ask.choices;
  UpstreamRequest call;
  call.path = "/generate";
  MINERVA_ASSIGN(call.body, request_json(order));
  return call;
}

std::unique_ptr<ChunkReader> IsolatedWire::reader(const WireRequest& ask,
                                                  const WireModel& model) const {
  return std::make_unique<IsolatedReader>(
      EventBounds{.vocabulary = model.vocab_size(),
                  .choices = ask.choices,
                  .top_max = static_cast<std::size_t>(std::max(ask.request.logprobs, 0))});
}

Result<UpstreamRequest> IsolatedWire::embed_call(std::span<const EmbedInput> inputs,
                                                 const WireModel&) const {
  UpstreamRequest call;
  call.path = "/embed";
  MINERVA_ASSIGN(call.body, embed_json(inputs));
  return call;
}

Error IsolatedWire::refusal(const UpstreamEnd& end) const {
  const auto value = wire::parse_json(end.body, {.depth_max = 4, .keys_max = 32});
  const Json* error = value && value->is_object() ? wire::find(*value, "error") : nullptr;
  if (error == nullptr) return read_refusal(name(), end);
  Error said = parse_error(*error);
  said.origin = name();
  return said;
}

EngineHealth IsolatedWire::read_health(const UpstreamEnd& end) const {
  if (end.status == 200) return EngineHealth::Answering;
  return end.status == 500 ? EngineHealth::Dead : EngineHealth::Starting;
}

LoadProgress IsolatedWire::load_progress(const UpstreamEnd& end) const {
  if (end.error || end.status != 503) return {};
  const auto value = wire::parse_json(end.body, {.depth_max = 4, .keys_max = 32});
  if (!value || !value->is_object()) return {};
  const auto count = [&](const char* key) -> std::uint64_t {
    const Json* number = wire::find(*value, key);
    if (number == nullptr) return 0;
    return wire::bounded<std::uint64_t>(*number, key, {0, std::uint64_t{1} << 53U}).value_or(0);
  };
  return {count("done"), count("total")};
}

std::optional<Error> IsolatedWire::load_failure(const UpstreamEnd& end) const {
  return refusal(end);
}

Result<void> IsolatedWire::inspect(Upstream& upstream, WireModel& model, Duration time_max) const {
  UpstreamRequest call;
  call.method = "GET";
  call.path = "/health";
  call.total_max = std::min<Duration>(time_max, std::chrono::seconds(10));
  MINERVA_ASSIGN(const UpstreamEnd end, upstream.exchange(std::move(call)));
  if (end.error) return fail(*end.error);
  if (end.status != 200) return fail(refusal(end));
  MINERVA_ASSIGN(const Json value, wire::parse_json(end.body, {.depth_max = 4, .keys_max = 32}));
  MINERVA_TRY(wire::must_be_object(value, "the engine's health"));
  const Json* context = wire::find(value, "context_size");
  if (context == nullptr) {
    return fail(ErrorCode::Internal, "the engine does not say the context that it has");
  }
  MINERVA_ASSIGN(model.context_size,
                 wire::bounded<std::size_t>(*context, "context_size", {1, std::size_t{1} << 40U}));
  if (const Json* said = wire::find(value, "generates")) {
    MINERVA_ASSIGN(model.generates, wire::boolean(*said, "generates"));
  }
  if (const Json* said = wire::find(value, "embeds")) {
    MINERVA_ASSIGN(model.embeds, wire::boolean(*said, "embeds"));
  }
  if (const Json* said = wire::find(value, "text_tokens_max")) {
    MINERVA_ASSIGN(model.text_tokens_max,
                   wire::bounded<std::size_t>(*said, "text_tokens_max", {0, model.context_size}));
  }
  return {};
}

}  // namespace minerva::backend
