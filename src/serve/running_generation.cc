#include "serve/running_generation.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <utility>

namespace minerva::serve {
namespace {

using Outcome = backend::EndEvent::Outcome;

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// The first numbers of a vector, which are then as long together as all of them were.
void shorten(std::vector<float>& values, std::size_t count) {
  const auto length = [&] {
    double squares = 0;
    for (const float value : values) {
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    return std::sqrt(squares);
  };
  const double whole = length();
  values.resize(count);
  const double part = length();
  if (part == 0) return;
  for (float& value : values) {
    value = static_cast<float>(static_cast<double>(value) * (whole / part));
  }
}

std::string_view outcome_label(Outcome outcome) {
  switch (outcome) {
    case Outcome::Done:
      return "done";
    case Outcome::Failed:
      return "error";
    case Outcome::Cancelled:
      return "cancelled";
  }
  return "error";
}

}  // namespace

RunningGeneration::RunningGeneration(GenerationPlan plan, std::shared_ptr<GenerationLink> link,
                                     const Clock& clock, Metrics& metrics)
    : plan_(std::move(plan)),
      backend_(plan_.backend),
      route_(plan_.route),
      link_(std::move(link)),
      clock_(clock),
      metrics_(metrics) {
  begin_choices();
}

// Also for another engine's attempt, which begins with nothing of the one before.
void RunningGeneration::begin_choices() {
  choices_.clear();
  embedded_.assign(plan_.inputs, std::nullopt);
  for (std::uint32_t i = 0; i < plan_.choices; ++i) {
    choices_.push_back({ChoiceText(i, plan_.stop, plan_.keep_tokens), false, {}, {i, {}, {}}, {}});
  }
  for (std::uint32_t i = 0; i < plan_.choices && !plan_.echo.empty(); ++i) {
    give(TextDelta{i, plan_.echo, {}});
  }
  any_token_ = false;
  stopped_early_ = false;
}

void RunningGeneration::give(TextDelta delta) {
  if (!plan_.whole) {
    deltas_.emplace_back(std::move(delta));
    return;
  }
  TextDelta& held = choices_[delta.choice].held_text;
  held.text += delta.text;
  std::ranges::move(delta.tokens, std::back_inserter(held.tokens));
}

void RunningGeneration::give(FinishDelta delta) {
  if (plan_.whole) {
    choices_[delta.choice].held_end = std::move(delta);
  } else {
    deltas_.emplace_back(std::move(delta));
  }
}

void RunningGeneration::give_held() {
  for (Choice& choice : choices_) {
    const bool empty = choice.held_text.text.empty() && choice.held_text.tokens.empty();
    if (!empty) deltas_.emplace_back(std::move(choice.held_text));
    if (choice.held_end) deltas_.emplace_back(std::move(*choice.held_end));
  }
}

RunningGeneration::~RunningGeneration() {
  if (!finished_) {
    metrics_.add(Metric::RequestsTotal, 1, outcome_label(Outcome::Cancelled));
    metrics_.add(Metric::GeneratedTokensTotal, static_cast<double>(tokens()));
  }
  if (on_end_) on_end_();
  if (!engine_ended_) leave();
}

void RunningGeneration::leave() {
  engine_ended_ = true;
  stream_.reset();
  link_->abandon();
}

void RunningGeneration::cancel() {
  cancelled_ = true;
  if (stream_) {
    stream_->cancel();
  } else if (!finished_) {
    backend::EndEvent end = cut_short({});
    end.outcome = Outcome::Cancelled;
    end.error.reset();
    finish(std::move(end));
    leave();
  }
}

bool RunningGeneration::take_news() {
  GenerationLink::News news = link_->take_news();
  if (news.refused) {
    engine_ended_ = true;
    retries_ = std::move(news.retries);
    finish(cut_short(std::move(*news.refused)));
    return true;
  }
  if (news.attempt) {
    stream_ = std::move(news.attempt->stream);
    backend_ = std::move(news.attempt->backend);
    route_ = std::move(news.attempt->route);
    retries_ = std::move(news.attempt->retries);
    if (cancelled_) stream_->cancel();
    return true;
  }
  if (news.wait) deltas_.emplace_back(std::move(*news.wait));
  return news.wait.has_value();
}

std::optional<Delta> RunningGeneration::try_next() {
  while (deltas_.empty() && !finished_) {
    if (auto why = link_->stopped()) {
      finish(cut_short(std::move(*why)));
      leave();
      break;
    }
    if (!stream_) {
      if (!take_news()) return std::nullopt;
      continue;
    }
    auto event = stream_->try_pop();
    if (!event) return std::nullopt;
    std::visit([this](auto&& taken) { take(std::forward<decltype(taken)>(taken)); },
               std::move(*event));
  }
  if (deltas_.empty()) return std::nullopt;
  Delta delta = std::move(deltas_.front());
  deltas_.pop_front();
  return delta;
}

void RunningGeneration::take(backend::TokenEvent event) {
  if (event.choice >= choices_.size()) return;  // an engine that lies
  Choice& choice = choices_[event.choice];
  if (choice.ended) return;
  const std::uint32_t index = event.choice;
  const TimePoint now = clock_.now();
  if (!std::exchange(any_token_, true)) link_->first_token();
  if (!std::exchange(timed_, true)) {
    metrics_.observe(Metric::TimeToFirstTokenSeconds, seconds(now - plan_.started));
  }
  if (choice.last_token) {
    metrics_.observe(Metric::InterTokenLatencySeconds, seconds(now - *choice.last_token));
  }
  choice.last_token = now;
  if (auto delta = choice.text.push(std::move(event))) give(std::move(*delta));
  if (!choice.text.stopped()) return;

  stopped_early_ = true;
  end_choice(index, backend::FinishReason::Stop);
  enough_ = std::ranges::all_of(choices_, &Choice::ended);
  // The engine has no way to end one choice of several, so it is stopped only with the last.
  if (enough_) stream_->cancel();
}

void RunningGeneration::take(const backend::ChoiceEndEvent& event) {
  if (event.choice >= choices_.size() || choices_[event.choice].ended) return;
  if (auto delta = choices_[event.choice].text.finish(/*broken_tail=*/true)) {
    give(std::move(*delta));
  }
  end_choice(event.choice, event.reason);
}

void RunningGeneration::take(backend::EmbeddingEvent event) {
  if (event.input >= embedded_.size() || embedded_[event.input]) return;  // an engine that lies
  if (!any_token_) {
    any_token_ = true;
    link_->first_token();
    metrics_.observe(Metric::TimeToFirstTokenSeconds, seconds(clock_.now() - plan_.started));
  }
  if (plan_.dimensions && *plan_.dimensions > event.values.size()) {
    Error error{ErrorCode::InvalidArgument,
                fmt::format("dimensions is {}, and the model's vectors have {}", *plan_.dimensions,
                            event.values.size()),
                "dimensions"};
    finish(cut_short(std::move(error)));
    leave();
    return;
  }
  if (plan_.dimensions && *plan_.dimensions < event.values.size()) {
    shorten(event.values, *plan_.dimensions);
  }
  embedded_[event.input] = EmbeddingDelta{event.input, std::move(event.values)};
}

void RunningGeneration::end_choice(std::uint32_t index, backend::FinishReason reason) {
  choices_[index].ended = true;
  give(FinishDelta{index, reason, choices_[index].text.stopped()});
}

void RunningGeneration::take(backend::EndEvent event) {
  stream_.reset();
  if (event.outcome == Outcome::Cancelled && !cancelled_ && !enough_) {
    // Not by us: the engine was stopped under it.
    event.outcome = Outcome::Failed;
    event.error = Error{ErrorCode::Unavailable, "the engine was stopped", {}, backend_};
  }
  const auto came = static_cast<std::size_t>(
      std::ranges::count_if(embedded_, [](const auto& vector) { return vector.has_value(); }));
  if (event.outcome == Outcome::Done && came < embedded_.size()) {
    event.outcome = Outcome::Failed;
    event.error = Error{ErrorCode::Internal,
                        fmt::format("the engine gave {} of {} vectors", came, embedded_.size()),
                        {},
                        backend_};
  }
  const bool nothing_shown = !any_token_ || (plan_.whole && !enough_);
  if (event.outcome == Outcome::Failed && nothing_shown && !cancelled_) {
    // So somebody else may try.
    begin_choices();
    link_->attempt_failed(
        event.error.value_or(Error{ErrorCode::Internal, "it failed without a word"}));
    return;
  }
  engine_ended_ = true;
  link_->engine_ended(event);
  if (enough_) {
    // Whatever became of the engine after it was told to stop, the answer is whole.
    event.outcome = Outcome::Done;
    event.error.reset();
  }
  if (stopped_early_) {
    // The engine may have run on before it heard; how far is an accident.
    event.usage.completion_tokens = tokens();
  }
  if (event.usage.prompt_tokens == 0) event.usage.prompt_tokens = plan_.prompt_tokens;
  if (event.outcome == Outcome::Failed) {
    for (Choice& choice : choices_) {
      if (choice.ended) continue;
      if (auto delta = choice.text.finish(/*broken_tail=*/false)) give(std::move(*delta));
    }
  }
  finish(std::move(event));
}

void RunningGeneration::finish(backend::EndEvent end) {
  finished_ = true;
  give_held();
  if (end.outcome == Outcome::Done) {
    for (auto& vector : embedded_) deltas_.emplace_back(std::move(*vector));
  }
  metrics_.add(Metric::RequestsTotal, 1, outcome_label(end.outcome));
  metrics_.add(Metric::CachedTokensTotal, static_cast<double>(end.usage.cached_tokens));
  metrics_.add(Metric::GeneratedTokensTotal, static_cast<double>(end.usage.completion_tokens));
  deltas_.emplace_back(
      EndDelta{std::move(end), plan_.model, backend_, route_, std::move(retries_)});
}

backend::EndEvent RunningGeneration::cut_short(Error why) const {
  backend::EndEvent end;
  end.outcome = Outcome::Failed;
  end.error = std::move(why);
  end.usage.prompt_tokens = plan_.prompt_tokens;
  end.usage.completion_tokens = tokens();
  end.engine = backend_;
  return end;
}

std::uint64_t RunningGeneration::tokens() const {
  std::uint64_t sum = 0;
  for (const Choice& choice : choices_) sum += choice.text.tokens();
  return sum;
}

}  // namespace minerva::serve
