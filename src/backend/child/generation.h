// One generation that an engine elsewhere makes: its calls, their events joined into one stream,
// and its bounds. Private to this room. On the loop's thread; it belongs to the backend's session
// and to the calls that run.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/child/engine_wire.h"
#include "backend/child/upstream.h"
#include "backend/stream.h"
#include "base/clock.h"

namespace minerva::backend {

// What supervision reads while the loop writes.
struct ChildCounters {
  std::atomic<std::uint64_t> progress = 0;
  std::atomic<std::uint64_t> tokens = 0;
  std::atomic<std::size_t> running = 0;
};

struct GenerationPlan {
  std::shared_ptr<const EngineWire> wire;
  std::shared_ptr<const WireModel> model;
  std::shared_ptr<ChildCounters> counters;
  std::shared_ptr<GenerationStream> stream;
  GenerateRequest request;
  std::vector<TokenId> tokens;   // of the prompt and the resume prefix, where they are known
  std::string text;              // else
  std::uint64_t max_tokens = 0;  // still to make, of each choice
  std::uint64_t seed = 0;
  Duration silence_max{};
  Duration paused_max{};
};

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  // Asks the wire for the calls, so that what the engine cannot do is refused here. Any thread.
  static Result<std::shared_ptr<Generation>> make(GenerationPlan plan, const Clock& clock);
  Generation(GenerationPlan plan, const Clock& clock);
  ~Generation();

  // `done` is called once, after the end was pushed.
  void begin(Upstream& upstream, std::function<void()> done);
  // In place of begin(): it ends with this error.
  void refuse(Error error, std::function<void()> done);
  // The stream was drained, or its reader has gone.
  void wake();
  // Looks at the bounds; called some times a second.
  void tick(TimePoint now);
  void end(EndEvent::Outcome outcome, std::optional<Error> error = {});
  // What the engine sent, or did not send, ended it.
  bool failed_by_engine() const { return failed_by_engine_; }

 private:
  class Part;
  struct Choice {
    std::uint64_t tokens = 0;  // with the one that ended it, where that came as a token
    bool stopped = false;      // by itself, and the token that did it has not come
    bool ended = false;
  };

  void add_part(std::uint32_t first, std::uint32_t choices, Result<void>& refused);
  void take_events(Part& part, const Result<void>& read);
  void relay(Part& part, GenerationEvent& event);
  void relay_token(Part& part, TokenEvent& event);
  void relay_end(Part& part, const ChoiceEndEvent& event);
  Result<void> check(const TokenEvent& event) const;
  void fill_bytes(TokenEvent& event) const;
  void end_choice(std::uint32_t choice, FinishReason reason);
  void on_call_end(Part& part, const UpstreamEnd& end);
  bool choices_ended(const Part& part) const;
  void finish_part(Part& part);
  void push(GenerationEvent event);
  void fail_with(std::string message);
  void fail_with(Error error);
  void sign_of_life();
  Usage usage() const;

  const GenerationPlan plan_;
  const Clock& clock_;
  std::function<void()> done_;
  std::vector<std::shared_ptr<Part>> parts_;
  std::vector<Choice> choices_;
  std::size_t choices_left_ = 0;
  std::size_t parts_left_ = 0;
  bool all_ids_known_ = true;
  bool paused_ = false;
  bool ended_ = false;
  bool failed_by_engine_ = false;
  const TimePoint submitted_;
  std::optional<TimePoint> first_sign_, first_token_, paused_since_, done_since_;
  TimePoint last_token_;
};

}  // namespace minerva::backend
