// What a generation's reader shares with those who touch it from other threads: the engine (through
// the stream's callback), the deadline watch and a draining service.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "backend/stream.h"
#include "base/error.h"
#include "serve/ledger.h"

namespace minerva::serve {

// Any thread. It must not own the engine: the last share of it may be dropped on an engine's own
// thread, which would then have to join itself.
class GenerationLink {
 public:
  // The place is given back once the engine has ended, even when the reader has gone before.
  GenerationLink(std::unique_ptr<Place> place, std::weak_ptr<backend::GenerationStream> stream)
      : place_(std::move(place)), stream_(std::move(stream)) {}

  // An event has come to an empty stream.
  void wake();
  // Cancels the engine's work, and lets the reader see `why`. The first reason stays.
  void stop(Error why);
  std::optional<Error> stopped() const;

  // --- the reader's side ---
  // Called at once when something came already.
  void on_ready(std::function<void()> callback);
  void first_token();
  void engine_ended();
  // The reader will not look into the stream again. It must have cancelled it.
  void abandon();

 private:
  using Callback = std::shared_ptr<const std::function<void()>>;
  void notify();

  mutable std::mutex mutex_;
  std::unique_ptr<Place> place_;
  const std::weak_ptr<backend::GenerationStream> stream_;
  Callback on_ready_;
  std::optional<Error> why_;
  bool came_ = false;
  bool abandoned_ = false;
};

}  // namespace minerva::serve
