// The pipe between a backend and the reader of one generation. The backend pushes from its own
// thread and never waits; a reader that is slow makes push() report Full, upon which the backend
// pauses that sequence alone until it is drained. Thread-safe: one producer, one reader, anyone may
// cancel. Callbacks run on the thread that causes them, without any lock held, and must not block.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "backend/event.h"

namespace minerva::backend {

class GenerationStream {
 public:
  enum class Push : std::uint8_t {
    Taken,      // there is room for more
    Full,       // taken, but pause until the drained callback
    Cancelled,  // not taken: the reader has gone
  };

  explicit GenerationStream(std::size_t capacity = kDefaultCapacity);

  // --- the backend's side ---
  // An event is taken even when the stream is full (its size is then bounded by what one engine
  // step makes); after an EndEvent nothing may be pushed.
  Push push(GenerationEvent event);
  bool cancelled() const;
  bool paused() const;  // full, and not yet drained to half
  // Called once the reader has emptied a full stream to half, and when it cancels.
  void on_wake_producer(std::function<void()> callback);

  // --- the reader's side ---
  std::optional<GenerationEvent> try_pop();
  // The next event, or nothing once `wait` has passed.
  std::optional<GenerationEvent> pop_for(Duration wait);
  // Called whenever an event arrives at an empty stream. Set before the generation starts.
  void on_wake_reader(std::function<void()> callback);
  // The reader wants no more; what is inside is dropped. An EndEvent still arrives.
  void cancel();

  static constexpr std::size_t kDefaultCapacity = 256;

 private:
  using Callback = std::shared_ptr<const std::function<void()>>;
  std::optional<GenerationEvent> take(Callback& wake);

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<GenerationEvent> events_;
  Callback wake_producer_;
  Callback wake_reader_;
  bool paused_ = false;
  bool cancelled_ = false;
  bool ended_ = false;
};

}  // namespace minerva::backend
