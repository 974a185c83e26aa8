// What a generation's reader shares with the serve loop, the engine (through the stream's
// callback), the deadline watch and a draining service. The loop gives it attempts at an answer,
// one after the other; the reader reads the last one; what becomes of it is told to the loop.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backend/stream.h"
#include "base/error.h"
#include "serve/ledger.h"
#include "serve/types.h"

namespace minerva::serve {

// One engine's try at the answer.
struct Attempt {
  std::shared_ptr<backend::GenerationStream> stream;
  std::string backend;
  std::string route;                   // why this engine, in words
  std::vector<FailedAttempt> retries;  // before it
};

// What the loop hears of a request. Failed: the attempt is over and nothing of it was shown; the
// reader waits for the next one. Ended: the engine is done with it. Gone: its reader left before
// any attempt.
struct TicketNews {
  enum class Kind : std::uint8_t { FirstToken, Failed, Ended, Gone };
  Kind kind = Kind::Ended;
  std::optional<Error> error;
  backend::EndEvent end;
};

// Any thread. The loop owns it until it was told Ended or Gone, or has refused it; streams only
// know of it weakly.
class GenerationLink : public std::enable_shared_from_this<GenerationLink> {
 public:
  using Tell = std::function<void(TicketNews)>;
  // The place is given back once the engine has ended, even when the reader has gone before.
  GenerationLink(std::unique_ptr<Place> place, Tell tell)
      : place_(std::move(place)), tell_(std::move(tell)) {}

  // --- the loop's side ---
  // A stream for the next attempt, whose reader this is; give it to the engine, then deliver it, or
  // withdraw it where the engine did not take it.
  std::shared_ptr<backend::GenerationStream> make_stream();
  void withdraw_stream();
  void deliver(Attempt attempt);
  void waits(WaitDelta news);  // for an attempt
  // There will be no (further) attempt.
  void refuse(Error why, std::vector<FailedAttempt> retries);

  // --- anyone ---
  // Cancels the engine's work, and lets the reader see `why`. The first reason stays.
  void stop(Error why);

  // --- the reader's side ---
  // Called at once when something came already.
  void on_ready(std::function<void()> callback);
  std::optional<Error> stopped() const;
  struct News {
    std::optional<Attempt> attempt;
    std::optional<WaitDelta> wait;
    std::optional<Error> refused;
    std::vector<FailedAttempt> retries;  // with refused
  };
  News take_news();
  void first_token();
  // The current attempt has failed with nothing shown; another one, or a refusal, will come.
  void attempt_failed(Error why);
  void engine_ended(const backend::EndEvent& end);
  // The reader will not look again. What runs is cancelled.
  void abandon();

 private:
  using Callback = std::shared_ptr<const std::function<void()>>;
  void wake();  // something has come to the current stream
  void notify();
  void finish_abandoned(const std::shared_ptr<backend::GenerationStream>& stream);

  mutable std::mutex mutex_;
  std::unique_ptr<Place> place_;
  const Tell tell_;
  std::shared_ptr<backend::GenerationStream> current_;  // of the attempt that runs
  News news_;
  Callback on_ready_;
  std::optional<Error> why_;
  bool came_ = false;
  bool abandoned_ = false;
  bool over_ = false;  // nothing runs and nothing will
};

}  // namespace minerva::serve
