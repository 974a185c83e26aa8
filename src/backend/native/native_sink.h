// Turns the batcher's tokens into the interface's events. Lives as long as its request.
#pragma once

#include <cstdint>
#include <memory>

#include "backend/stream.h"
#include "engine/batcher.h"
#include "text/tokenizer.h"

namespace minerva::backend {

class NativeSink final : public engine::BatchSink {
 public:
  NativeSink(std::shared_ptr<GenerationStream> stream,
             std::shared_ptr<const text::Tokenizer> tokenizer, std::uint64_t seed);

  bool cancelled() const override { return stream_->cancelled(); }
  bool paused() const override { return stream_->paused(); }
  void prefill(std::size_t done, std::size_t total) override;
  void token(std::uint32_t choice, TokenId id, const engine::Logprobs* logprobs) override;
  void choice_end(std::uint32_t choice, engine::StopReason reason) override;
  void finished(const engine::BatchUsage& usage) override;
  void failed(Error error, const engine::BatchUsage& usage) override;
  void cancelled_end(const engine::BatchUsage& usage) override;

 private:
  void end(EndEvent::Outcome outcome, std::optional<Error> error, const engine::BatchUsage& usage);

  const std::shared_ptr<GenerationStream> stream_;
  const std::shared_ptr<const text::Tokenizer> tokenizer_;
  const std::uint64_t seed_;
};

}  // namespace minerva::backend
