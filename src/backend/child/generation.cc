#include "backend/child/generation.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace minerva::backend {
namespace {

// How long an engine may take to say that it is done once it has given all that was asked for.
constexpr Duration kLastWordsMax = std::chrono::seconds(2);

// Seeds of the choices of one request: different, and the same again for the same request.
std::uint64_t choice_seed(std::uint64_t seed, std::uint32_t choice) { return seed + choice; }

}  // namespace

// One call, and the choices that it makes.
class Generation::Part final : public UpstreamHandler {
 public:
  Part(std::weak_ptr<Generation> owner, std::uint32_t first, std::uint32_t choices)
      : first_choice(first), choices(choices), owner_(std::move(owner)) {}

  void on_event(const wire::SseEvent& event) override {
    const auto owner = owner_.lock();
    if (owner == nullptr || done) return;
    out.clear();
    owner->take_events(*this, reader->read(event, out));
  }
  void on_comment(std::string_view text) override {
    const auto owner = owner_.lock();
    if (owner == nullptr || done) return;
    out.clear();
    reader->read_comment(text, out);
    owner->take_events(*this, {});
  }
  void on_end(UpstreamEnd end) override {
    const auto owner = owner_.lock();
    if (owner != nullptr && !done) owner->on_call_end(*this, end);
  }

  const std::uint32_t first_choice;
  const std::uint32_t choices;
  UpstreamRequest request;
  std::unique_ptr<ChunkReader> reader;
  std::shared_ptr<UpstreamCall> call;
  std::vector<GenerationEvent> out;
  bool done = false;

 private:
  const std::weak_ptr<Generation> owner_;
};

Result<std::shared_ptr<Generation>> Generation::make(GenerationPlan plan, const Clock& clock) {
  auto made = std::make_shared<Generation>(std::move(plan), clock);
  const std::uint32_t n = made->plan_.request.n;
  made->choices_.resize(n);
  made->choices_left_ = n;
  if (made->plan_.max_tokens == 0) return made;  // there is nothing to ask for
  const std::uint32_t step = std::max(made->plan_.wire->choices_per_call(), 1U);
  for (std::uint32_t first = 0; first < n; first += step) {
    Result<void> refused;
    made->add_part(first, std::min(step, n - first), refused);
    if (!refused) return fail(std::move(refused).error());
  }
  return made;
}

Generation::Generation(GenerationPlan plan, const Clock& clock)
    : plan_(std::move(plan)), clock_(clock), submitted_(clock.now()) {}

Generation::~Generation() = default;

void Generation::add_part(std::uint32_t first, std::uint32_t choices, Result<void>& refused) {
  WireRequest ask{plan_.request};
  ask.tokens = plan_.tokens;
  ask.text = plan_.text;
  if (const auto* chat = std::get_if<ChatPrompt>(&plan_.request.prompt.front())) ask.chat = chat;
  ask.max_tokens = plan_.max_tokens;
  ask.seed = choice_seed(plan_.seed, first);
  ask.first_choice = first;
  ask.choices = choices;
  auto request = plan_.wire->generate_call(ask, *plan_.model);
  if (!request) {
    refused = fail(std::move(request).error());
    return;
  }
  const auto part = std::make_shared<Part>(weak_from_this(), first, choices);
  part->request = std::move(*request);
  if (part->request.first_byte_max == Duration::zero()) {
    part->request.first_byte_max = plan_.silence_max;
  }
  if (part->request.idle_max == Duration::zero()) part->request.idle_max = plan_.silence_max;
  part->reader = plan_.wire->reader(ask, *plan_.model);
  parts_.push_back(part);
  ++parts_left_;
}

void Generation::begin(Upstream& upstream, std::function<void()> done) {
  done_ = std::move(done);
  if (plan_.stream->cancelled()) return end(EndEvent::Outcome::Cancelled);
  tick(clock_.now());  // a deadline may have passed already
  if (ended_) return;
  if (parts_.empty()) {
    for (std::uint32_t i = 0; i < choices_.size(); ++i) end_choice(i, FinishReason::Length);
    return end(EndEvent::Outcome::Done);
  }
  for (const auto& part : parts_) part->call = upstream.start(std::move(part->request), part);
}

void Generation::refuse(Error error, std::function<void()> done) {
  done_ = std::move(done);
  end(EndEvent::Outcome::Failed, std::move(error));
}

void Generation::wake() {
  if (ended_) return;
  if (plan_.stream->cancelled()) return end(EndEvent::Outcome::Cancelled);
  if (!paused_ || plan_.stream->paused()) return;
  paused_ = false;
  paused_since_.reset();
  for (const auto& part : parts_) {
    if (part->call != nullptr) part->call->resume();
  }
}

void Generation::tick(TimePoint now) {
  if (ended_) return;
  const auto self = shared_from_this();
  if (plan_.request.deadline && now >= *plan_.request.deadline) {
    return end(EndEvent::Outcome::Failed,
               Error{ErrorCode::Timeout, "the request's deadline has passed"});
  }
  if (paused_since_ && choices_left_ > 0 && now - *paused_since_ >= plan_.paused_max) {
    return end(EndEvent::Outcome::Failed, Error{ErrorCode::Timeout, "the client reads too slowly"});
  }
  if (!done_since_ || (!paused_ && now - *done_since_ < kLastWordsMax)) return;
  const auto parts = parts_;
  for (const auto& part : parts) finish_part(*part);
}

// --- what comes ---

void Generation::take_events(Part& part, const Result<void>& read) {
  if (ended_) return;
  const auto self = shared_from_this();
  sign_of_life();
  // A reader that was slow may come back after it, before anybody has looked.
  tick(clock_.now());
  if (ended_) return;
  for (GenerationEvent& event : part.out) {
    relay(part, event);
    if (ended_ || part.done) return;
  }
  if (read) return;
  // What it says once all is there changes nothing.
  if (choices_ended(part)) return finish_part(part);
  // What the readers of fields refuse is the engine's fault here, not the client's.
  if (read.error().origin == "minerva") return fail_with(read.error().message);
  fail_with(read.error());
}

void Generation::relay(Part& part, GenerationEvent& event) {
  if (auto* token = std::get_if<TokenEvent>(&event)) {
    relay_token(part, *token);
  } else if (const auto* ended = std::get_if<ChoiceEndEvent>(&event)) {
    relay_end(part, *ended);
  } else if (std::holds_alternative<ProgressEvent>(event)) {
    push(std::move(event));
  }
}

void Generation::relay_token(Part& part, TokenEvent& event) {
  if (event.choice >= part.choices) {
    return fail_with(fmt::format("the engine answered for choice {}; {} were asked for",
                                 event.choice, part.choices));
  }
  event.choice += part.first_choice;
  Choice& choice = choices_[event.choice];
  if (choice.ended) {
    // It goes on behind what was asked for.
    if (choices_ended(part)) finish_part(part);
    return;
  }
  if (const auto sound = check(event); !sound) return fail_with(sound.error());
  const text::Tokenizer* tokenizer = plan_.model->tokenizer.get();
  if (event.id && tokenizer != nullptr && !plan_.request.ignore_end_of_generation &&
      tokenizer->is_end_of_generation(*event.id)) {
    ++choice.tokens;
    return end_choice(event.choice, FinishReason::Stop);
  }
  if (!event.id) all_ids_known_ = false;
  fill_bytes(event);
  ++choice.tokens;
  ++plan_.counters->tokens;
  last_token_ = clock_.now();
  if (!first_token_) first_token_ = last_token_;
  const std::uint32_t index = event.choice;
  push(std::move(event));
  if (!ended_ && choices_[index].tokens >= plan_.max_tokens)
    end_choice(index, FinishReason::Length);
}

void Generation::relay_end(Part& part, const ChoiceEndEvent& event) {
  if (event.choice >= part.choices) {
    return fail_with(
        fmt::format("the engine ended choice {}; {} were asked for", event.choice, part.choices));
  }
  Choice& choice = choices_[part.first_choice + event.choice];
  if (!choice.ended) choice.stopped = event.reason == FinishReason::Stop;
  end_choice(part.first_choice + event.choice, event.reason);
}

Result<void> Generation::check(const TokenEvent& event) const {
  const std::size_t vocabulary = plan_.model->vocab_size();
  const auto sound = [&](TokenId id) {
    return id >= 0 && (vocabulary == 0 || static_cast<std::size_t>(id) < vocabulary);
  };
  if (event.id && !sound(*event.id)) {
    return fail(ErrorCode::Unavailable, fmt::format("the engine gave token {}; the vocabulary has "
                                                    "{} tokens",
                                                    *event.id, vocabulary));
  }
  const auto wrong = std::ranges::find_if(
      event.top, [&](const TokenLogprob& likely) { return likely.id >= 0 && !sound(likely.id); });
  if (wrong == event.top.end()) return {};
  return fail(ErrorCode::Unavailable,
              fmt::format("the engine named token {} as likely; the vocabulary has {} tokens",
                          wrong->id, vocabulary));
}

// Of tokens that are known here our own bytes are the exact ones: an engine's text comes by whole
// characters, with what is not UTF-8 replaced.
void Generation::fill_bytes(TokenEvent& event) const {
  const text::Tokenizer* tokenizer = plan_.model->tokenizer.get();
  if (tokenizer != nullptr && event.id) {
    const bool control = tokenizer->kind(*event.id) == text::TokenKind::Control;
    event.bytes = control ? std::string_view() : tokenizer->token_bytes(*event.id);
  }
  if (plan_.request.logprobs < 0) {
    event.logprob.reset();
    event.top.clear();
    return;
  }
  const auto wanted = static_cast<std::size_t>(plan_.request.logprobs);
  if (event.top.size() > wanted) event.top.resize(wanted);
  if (tokenizer == nullptr) return;
  for (TokenLogprob& likely : event.top) {
    if (likely.id >= 0) likely.bytes = tokenizer->token_bytes(likely.id);
  }
}

// --- the ends ---

void Generation::end_choice(std::uint32_t index, FinishReason reason) {
  if (choices_[index].ended || ended_) return;
  choices_[index].ended = true;
  push(ChoiceEndEvent{index, reason});
  if (--choices_left_ == 0) done_since_ = clock_.now();
}

bool Generation::choices_ended(const Part& part) const {
  for (std::uint32_t i = 0; i < part.choices; ++i) {
    if (!choices_[part.first_choice + i].ended) return false;
  }
  return true;
}

void Generation::on_call_end(Part& part, const UpstreamEnd& end) {
  const auto self = shared_from_this();
  if (ended_) return;
  if (!choices_ended(part)) {
    if (end.error) return fail_with(*end.error);
    if (end.status != 200) return fail_with(plan_.wire->refusal(end));
    if (!end.streamed) return fail_with("the engine answered with no stream of events");
    return fail_with(part.reader->finished()
                         ? "the engine said that it was done, but not how its answer ended"
                         : "the engine's answer stopped before its end");
  }
  part.call.reset();
  finish_part(part);
}

void Generation::finish_part(Part& part) {
  if (part.done || ended_) return;
  part.done = true;
  if (part.call != nullptr) part.call->cancel();
  if (--parts_left_ == 0) end(EndEvent::Outcome::Done);
}

void Generation::fail_with(std::string message) {
  fail_with(Error{ErrorCode::Unavailable, std::move(message)});
}

void Generation::fail_with(Error error) {
  error.origin = plan_.wire->name();
  failed_by_engine_ = !ended_;
  end(EndEvent::Outcome::Failed, std::move(error));
}

void Generation::end(EndEvent::Outcome outcome, std::optional<Error> error) {
  if (ended_) return;
  const auto self = shared_from_this();
  ended_ = true;
  EndEvent event;
  event.outcome = outcome;
  event.error = std::move(error);
  event.usage = usage();
  const TimePoint now = clock_.now();
  event.timings.queued = first_sign_.value_or(now) - submitted_;
  if (first_token_) {
    event.timings.prefill = *first_token_ - first_sign_.value_or(submitted_);
    event.timings.decode = last_token_ - *first_token_;
  }
  event.engine = plan_.wire->name();
  event.seed = plan_.seed;
  for (const auto& part : parts_) {
    if (!part->done && part->call != nullptr) part->call->cancel();
    part->done = true;
  }
  --plan_.counters->running;
  plan_.stream->push(std::move(event));
  if (const auto done = std::exchange(done_, nullptr)) done();
}

void Generation::push(GenerationEvent event) {
  switch (plan_.stream->push(std::move(event))) {
    case GenerationStream::Push::Taken:
      return;
    case GenerationStream::Push::Cancelled:
      return end(EndEvent::Outcome::Cancelled);
    case GenerationStream::Push::Full:
      if (paused_) return;
      paused_ = true;
      paused_since_ = clock_.now();
      for (const auto& part : parts_) {
        if (part->call != nullptr) part->call->pause();
      }
  }
}

void Generation::sign_of_life() {
  ++plan_.counters->progress;
  if (!first_sign_) first_sign_ = clock_.now();
}

Usage Generation::usage() const {
  Usage usage;
  std::uint64_t unseen_ends = 0;
  for (const Choice& choice : choices_) {
    usage.completion_tokens += choice.tokens;
    if (choice.stopped) ++unseen_ends;
  }
  Usage said;
  for (const auto& part : parts_) {
    const Usage of_part = part->reader->usage();
    said.prompt_tokens = std::max(said.prompt_tokens, of_part.prompt_tokens);
    said.cached_tokens = std::max(said.cached_tokens, of_part.cached_tokens);
    said.completion_tokens += of_part.completion_tokens;
  }
  // An event without an id may hold several tokens; the engine may say how many, but not fewer.
  // Where all are known, only those that ended the answers may be more than were seen.
  const std::uint64_t most = all_ids_known_ ? usage.completion_tokens + unseen_ends
                                            : std::numeric_limits<std::uint64_t>::max();
  usage.completion_tokens = std::clamp(said.completion_tokens, usage.completion_tokens, most);
  usage.prompt_tokens = plan_.tokens.empty()
                            ? said.prompt_tokens
                            : plan_.tokens.size() - plan_.request.resume_prefix.size();
  usage.cached_tokens = std::min(said.cached_tokens, usage.prompt_tokens);
  return usage;
}

}  // namespace minerva::backend
