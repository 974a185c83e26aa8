#include "backend/native/embed_sink.h"

#include <utility>

namespace minerva::backend {

void NativeEmbedSink::embedding(std::size_t text, std::span<const float> values) {
  stream_->push(EmbeddingEvent{static_cast<std::uint32_t>(text), {values.begin(), values.end()}});
}

void NativeEmbedSink::finished(const engine::EmbedUsage& usage) {
  end(EndEvent::Outcome::Done, std::nullopt, usage);
}

void NativeEmbedSink::failed(Error error, const engine::EmbedUsage& usage) {
  error.origin = "native";
  end(EndEvent::Outcome::Failed, std::move(error), usage);
}

void NativeEmbedSink::cancelled_end(const engine::EmbedUsage& usage) {
  end(EndEvent::Outcome::Cancelled, std::nullopt, usage);
}

void NativeEmbedSink::end(EndEvent::Outcome outcome, std::optional<Error> error,
                          const engine::EmbedUsage& usage) {
  EndEvent event;
  event.outcome = outcome;
  event.error = std::move(error);
  event.usage.prompt_tokens = usage.prompt_tokens;
  event.timings.queued = usage.queued;
  event.timings.prefill = usage.compute;
  event.engine = "native";
  stream_->push(std::move(event));
}

}  // namespace minerva::backend
