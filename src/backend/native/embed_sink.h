// Turns vectors that the engine makes into the interface's events. Private to this folder.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "backend/stream.h"
#include "engine/encode_queue.h"

namespace minerva::backend {

// Lives as long as its request; on the thread that computes.
class NativeEmbedSink final : public engine::EmbedSink {
 public:
  explicit NativeEmbedSink(std::shared_ptr<GenerationStream> stream) : stream_(std::move(stream)) {}

  bool cancelled() const override { return stream_->cancelled(); }
  // Taken by the stream even when it is full: all of them together are the answer, which somebody
  // holds in any case.
  void embedding(std::size_t text, std::span<const float> values) override;
  void finished(const engine::EmbedUsage& usage) override;
  void failed(Error error, const engine::EmbedUsage& usage) override;
  void cancelled_end(const engine::EmbedUsage& usage) override;

 private:
  void end(EndEvent::Outcome outcome, std::optional<Error> error, const engine::EmbedUsage& usage);

  const std::shared_ptr<GenerationStream> stream_;
};

}  // namespace minerva::backend
