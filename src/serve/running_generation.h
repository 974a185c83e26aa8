// A Generation over the streams of one attempt after the other: events in, deltas out. It does its
// work on the reader's thread, so a slow reader costs nobody else anything.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "serve/choice_text.h"
#include "serve/deadline_watch.h"
#include "serve/generation_link.h"
#include "serve/service.h"

namespace minerva::serve {

struct GenerationPlan {
  std::string model;
  std::string backend;
  std::string route;
  std::uint64_t prompt_tokens = 0;
  std::uint32_t choices = 1;
  std::vector<std::string> stop;
  bool keep_tokens = false;
  std::string echo;        // text that comes first in every choice
  bool whole = false;      // as in Request: text is given out only once the engine has ended
  std::size_t inputs = 0;  // vectors that are to come
  std::optional<std::uint32_t> dimensions;
  TimePoint started;
};

class RunningGeneration final : public Generation {
 public:
  // `clock` and `metrics` outlive it.
  RunningGeneration(GenerationPlan plan, std::shared_ptr<GenerationLink> link, const Clock& clock,
                    Metrics& metrics);
  ~RunningGeneration() override;

  std::optional<Delta> try_next() override;
  void on_ready(std::function<void()> callback) override { link_->on_ready(std::move(callback)); }
  void cancel() override;
  std::string_view backend() const override { return plan_.backend; }
  std::string_view route() const override { return plan_.route; }
  std::uint64_t prompt_tokens() const override { return plan_.prompt_tokens; }

  // Called when it is destroyed; removes the deadline.
  void on_end(std::function<void()> callback) { on_end_ = std::move(callback); }

 private:
  struct Choice {
    ChoiceText text;
    bool ended = false;
    std::optional<TimePoint> last_token;
    // Where only the whole answer counts.
    TextDelta held_text;
    std::optional<FinishDelta> held_end;
  };
  void begin_choices();
  void give(TextDelta delta);
  void give(FinishDelta delta);
  void give_held();
  void take(backend::TokenEvent event);
  void take(const backend::ChoiceEndEvent& event);
  void take(const backend::ProgressEvent& event) { deltas_.emplace_back(event); }
  void take(backend::EmbeddingEvent event);
  void take(backend::EndEvent event);
  void end_choice(std::uint32_t index, backend::FinishReason reason);
  void finish(backend::EndEvent end);
  void leave();      // the stream is not looked at again
  bool take_news();  // false: there was none
  backend::EndEvent cut_short(Error why) const;
  std::uint64_t tokens() const;

  const GenerationPlan plan_;
  std::shared_ptr<backend::GenerationStream> stream_;  // none: an attempt is waited for
  std::string backend_;                                // that runs it, or was planned to
  std::string route_;
  std::vector<FailedAttempt> retries_;
  const std::shared_ptr<GenerationLink> link_;
  const Clock& clock_;
  Metrics& metrics_;
  std::function<void()> on_end_;

  std::deque<Delta> deltas_;  // made of one event, not yet given out
  std::vector<Choice> choices_;
  // Of each input, once its vector came; given out when all have.
  std::vector<std::optional<EmbeddingDelta>> embedded_;
  bool enough_ = false;  // every choice has ended at a stop string, so the engine was told to stop
  bool stopped_early_ = false;  // a choice ended at a stop string
  bool any_token_ = false;      // of this attempt
  bool timed_ = false;          // the first token of all
  bool cancelled_ = false;
  bool engine_ended_ = false;  // or it is nobody's business any more
  bool finished_ = false;      // the EndDelta is in deltas_ or was given out
};

}  // namespace minerva::serve
