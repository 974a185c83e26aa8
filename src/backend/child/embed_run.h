// One request for vectors on its way through an engine elsewhere: a few inputs a call, one call
// after the other, so that no answer is larger than one of text may be. Private to this room. Kept
// alive by the call that runs; its end comes on the loop's thread.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>

#include "backend/child/engine_wire.h"
#include "backend/child/generation.h"
#include "backend/child/session.h"
#include "backend/stream.h"
#include "base/clock.h"

namespace minerva::backend {

class EmbedRun final : public UpstreamHandler, public std::enable_shared_from_this<EmbedRun> {
 public:
  EmbedRun(std::shared_ptr<ChildSession> session, std::shared_ptr<const EngineWire> wire,
           EmbedRequest request, std::shared_ptr<GenerationStream> stream, const Clock& clock);
  ~EmbedRun() override;

  // Refuses what the engine cannot do; else the stream gets everything. Any thread.
  Result<void> begin();

 private:
  void on_event(const wire::SseEvent&) override {}
  void on_end(UpstreamEnd end) override;
  Result<void> start_next();
  Result<void> take(const UpstreamEnd& end);
  void cancel();
  void finish(EndEvent::Outcome outcome, std::optional<Error> error = {});

  const std::shared_ptr<ChildSession> session_;
  const std::shared_ptr<const EngineWire> wire_;
  const EmbedRequest request_;
  const std::shared_ptr<GenerationStream> stream_;
  const Clock& clock_;
  const TimePoint submitted_;
  std::size_t first_ = 0;  // input of the call that runs
  std::size_t count_ = 0;  // of its inputs
  std::size_t width_ = 0;  // of the vectors so far
  std::uint64_t tokens_ = 0;
  std::mutex mutex_;
  std::shared_ptr<UpstreamCall> call_;  // guarded by mutex_
};

}  // namespace minerva::backend
