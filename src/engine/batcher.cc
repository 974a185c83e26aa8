#include "engine/batcher.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.h"

namespace minerva::engine {
namespace {

constexpr Duration kLookEvery = std::chrono::milliseconds(50);

}  // namespace

struct Batcher::Request {
  BatchRequest ask;
  TimePoint arrived{};
  std::optional<TimePoint> first_step, first_token;
  TimePoint last_token{};
  std::optional<TimePoint> paused_since;
  std::size_t generated = 0;
  std::uint32_t open_choices = 0;  // sequences that have not ended
  bool paused = false;
  bool ended = false;
};

struct Batcher::Sequence {
  std::shared_ptr<Request> request;
  std::uint32_t choice = 0;
  SequenceKv kv;
  std::vector<TokenId> tokens;  // prompt, then output
  std::unique_ptr<LogitMask> mask;
  std::optional<Pooler> pooler;  // of what is embedded
  bool ended = false;

  std::size_t pending() const { return tokens.size() - kv.length; }
  std::size_t output_size() const { return tokens.size() - request->ask.prompt.size(); }
  std::span<const TokenId> output() const {
    return std::span(tokens).subspan(request->ask.prompt.size());
  }
  bool has_pages() const {
    for (const auto& table : kv.tables) {
      if (!table.empty()) return true;
    }
    return false;
  }
  Runnable view() const {
    return {pending(), pending() == 1 && output_size() > 0, request->ask.interactive};
  }
};

Batcher::Batcher(std::unique_ptr<Decoder> decoder, KvPool& kv, std::unique_ptr<Scheduler> scheduler,
                 const kernels::KernelTable& kernels, Options options, const Clock& clock,
                 Metrics& metrics)
    : decoder_(std::move(decoder)),
      kv_(kv),
      scheduler_(std::move(scheduler)),
      options_(std::move(options)),
      clock_(clock),
      metrics_(metrics),
      sampler_(kernels),
      inbox_(options_.waiting_max) {
  MINERVA_CHECK(kv_.can_ever_hold(options_.context));
  metrics_.set(Metric::KvPagesTotal, static_cast<double>(kv_.total_pages()));
  thread_ = start_worker("batcher", inbox_, [this] { loop(); });
}

Batcher::~Batcher() {
  stop();
  thread_.join();
}

Result<void> Batcher::submit(BatchRequest ask) {
  MINERVA_CHECK(!ask.prompt.empty() && ask.sink != nullptr && ask.n > 0);
  auto request = std::make_shared<Request>();
  request->ask = std::move(ask);
  request->arrived = clock_.now();
  return inbox_.put(std::move(request));
}

void Batcher::loop() {
  for (;;) {
    if (!take_in()) {
      for (const auto& request : requests_) {
        end_request(*request, Error{ErrorCode::Unavailable, "the model was unloaded"}, false);
      }
      drop_ended();
      return;
    }
    sweep();
    drop_ended();
    const bool worked = step();
    drop_ended();
    metrics_.set(Metric::KvPagesUsed, static_cast<double>(kv_.used_pages()));
    if (worked) continue;
    // Deadlines and paused readers are looked at again without being told.
    inbox_.wait(requests_.empty() ? std::nullopt : std::optional<Duration>(kLookEvery));
  }
}

bool Batcher::take_in() {
  auto taken = inbox_.take();
  for (auto& request : taken.requests) {
    auto first = std::make_unique<Sequence>();
    first->request = request;
    first->kv = kv_.make_sequence(request->ask.embed.has_value());
    first->tokens = request->ask.prompt;
    first->tokens.insert(first->tokens.end(), request->ask.resume_prefix.begin(),
                         request->ask.resume_prefix.end());
    first->mask = std::move(request->ask.mask);
    if (request->ask.embed) first->pooler.emplace(*request->ask.embed, decoder_->width());
    request->open_choices = 1;
    sequences_.push_back(std::move(first));
    requests_.push_back(std::move(request));
  }
  return !taken.stop;
}

// Looks at what only readers and the clock change.
void Batcher::sweep() {
  const TimePoint now = clock_.now();
  for (const auto& request : requests_) {
    if (request->ask.sink->cancelled()) {
      end_request(*request, std::nullopt, true);
      continue;
    }
    if (request->ask.deadline && now >= *request->ask.deadline) {
      end_request(*request, Error{ErrorCode::Timeout, "the request's deadline has passed"}, false);
      continue;
    }
    request->paused = request->ask.sink->paused();
    if (!request->paused) {
      request->paused_since.reset();
    } else if (!request->paused_since) {
      request->paused_since = now;
    } else if (now - *request->paused_since >= options_.paused_max) {
      end_request(*request, Error{ErrorCode::Timeout, "the client reads too slowly"}, false);
    }
  }
}

std::vector<Batcher::Sequence*> Batcher::pick(std::vector<std::size_t>& counts) {
  std::vector<Sequence*> running;
  std::vector<Runnable> views;
  for (const auto& sequence : sequences_) {
    if (sequence->ended || sequence->request->paused) continue;
    if (running.size() >= std::min(options_.sequences_max, decoder_->limits().logits)) break;
    running.push_back(sequence.get());
    views.push_back(sequence->view());
  }
  counts = scheduler_->plan(views);
  MINERVA_CHECK(counts.size() == running.size());
  return running;
}

void Batcher::preempt(Sequence& sequence) {
  kv_.release(sequence.kv);
  metrics_.add(Metric::PreemptionsTotal, 1);
}

// Reserves pages, taking them from others where there are none left. A sequence that the scheduler
// would rather see waiting than others gets none; it stays as it is.
bool Batcher::make_room(Sequence& wanted, std::size_t count, std::vector<Sequence*>& chosen) {
  while (!kv_.reserve(wanted.kv, count)) {
    std::vector<Sequence*> holders;
    std::vector<Runnable> views;
    for (const auto& sequence : sequences_) {
      if (sequence->ended || (!sequence->has_pages() && sequence.get() != &wanted)) continue;
      holders.push_back(sequence.get());
      views.push_back(sequence->view());
    }
    const std::size_t victim = scheduler_->victim(views);
    MINERVA_CHECK(victim < holders.size());
    if (holders.size() == 1) {
      // Nobody will make room. A text of an embedding may need more than the one full sequence that
      // was counted when the model was let in.
      end_request(*wanted.request,
                  Error{ErrorCode::OutOfMemory,
                        fmt::format("there is no memory for the keys and values of {} tokens: "
                                    "send a shorter text, or unload another model",
                                    wanted.tokens.size())},
                  false);
      return false;
    }
    if (holders[victim] == &wanted) return false;
    preempt(*holders[victim]);
    std::erase(chosen, holders[victim]);
  }
  return true;
}

bool Batcher::step() {
  std::vector<std::size_t> counts;
  const std::vector<Sequence*> running = pick(counts);
  std::vector<Sequence*> chosen;
  std::size_t left = decoder_->limits().tokens;
  for (std::size_t i = 0; i < running.size(); ++i) {
    Sequence& sequence = *running[i];
    // A victim of an older sequence in this very step has more pending than was planned; it waits.
    const std::size_t count = std::min({counts[i], left, sequence.pending(), kChunkMax});
    if (count == 0 || !make_room(sequence, count, chosen)) continue;
    counts[i] = count;
    left -= count;
    chosen.push_back(&sequence);
  }
  if (chosen.empty()) return false;

  std::vector<StepItem> items;
  std::vector<Sequence*> with_logits;
  struct Pooled {
    Sequence* sequence;
    std::size_t from;  // position
    std::size_t row;   // of the step
  };
  std::vector<Pooled> pooled;
  std::size_t rows = 0;
  const TimePoint now = clock_.now();
  for (std::size_t i = 0; i < running.size(); ++i) {
    Sequence& sequence = *running[i];
    if (std::find(chosen.begin(), chosen.end(), &sequence) == chosen.end()) continue;
    if (!sequence.request->first_step) sequence.request->first_step = now;
    const bool states = sequence.pooler.has_value();
    const bool logits = counts[i] == sequence.pending() && !states;
    if (states) pooled.push_back({&sequence, sequence.kv.length, rows});
    if (logits) with_logits.push_back(&sequence);
    items.push_back({&sequence.kv,
                     std::span(sequence.tokens).subspan(sequence.kv.length, counts[i]),
                     logits ? counts[i] - 1 : counts[i], states});
    rows += counts[i];
  }
  decoder_->step(items);
  if (!decoder_->intact()) {
    const Error error{ErrorCode::InvalidModel,
                      "the model's file was cut short while it was in use; restore it and load the "
                      "model again"};
    for (const auto& request : requests_) end_request(*request, error, false);
    return true;
  }
  steps_.fetch_add(1, std::memory_order_relaxed);
  metrics_.add(Metric::StepsTotal, 1);
  metrics_.observe(Metric::BatchWidth, static_cast<double>(items.size()));

  for (Sequence* sequence : chosen) {
    if (sequence->pending() > 0) {
      sequence->request->ask.sink->prefill(sequence->kv.length, sequence->tokens.size());
    }
  }
  for (const Pooled& one : pooled) pool_states(*one.sequence, one.from, one.row);
  for (std::size_t row = 0; row < with_logits.size(); ++row) {
    Sequence& sequence = *with_logits[row];
    if (sequence.ended) continue;  // its request has failed in this loop
    const std::span<float> logits = decoder_->logits(row).first(options_.vocabulary);
    if (sequence.choice == 0 && sequence.request->open_choices == 1 &&
        sequence.request->ask.n > 1 && !sequence.request->first_token) {
      fork_choices(sequence, logits);
    }
    advance(sequence, logits);
  }
  return true;
}

// The prompt is computed: the other choices begin on its pages, from the same logits.
void Batcher::fork_choices(Sequence& first, std::span<const float> logits) {
  Request& request = *first.request;
  std::vector<float> copy;
  for (std::uint32_t choice = 1; choice < request.ask.n && !request.ended; ++choice) {
    auto next = std::make_unique<Sequence>();
    next->request = first.request;
    next->choice = choice;
    next->kv = kv_.fork(first.kv);
    next->tokens = first.tokens;
    if (first.mask != nullptr) next->mask = first.mask->fork();
    ++request.open_choices;
    sequences_.push_back(std::move(next));
    copy.assign(logits.begin(), logits.end());
    advance(*sequences_.back(), copy);
  }
}

// Chooses the sequence's next token and hands it on.
void Batcher::advance(Sequence& sequence, std::span<float> logits) {
  Request& request = *sequence.request;
  const BatchRequest& ask = request.ask;
  if (request.ended) return;
  if (sequence.output_size() >= ask.max_tokens || sequence.tokens.size() >= options_.context) {
    end_choice(sequence, StopReason::Length);
    return;
  }
  std::optional<Logprobs> logprobs;
  std::vector<float> untouched;
  if (ask.logprobs >= 0) {
    logprobs = sampler_.logprobs(logits, static_cast<std::size_t>(ask.logprobs));
    untouched.assign(logits.begin(), logits.end());
  }
  if (sequence.mask != nullptr) {
    if (auto prepared = sequence.mask->prepare(); !prepared) {
      end_request(request, std::move(prepared).error(), false);
      return;
    }
  }
  const TokenId token = sampler_.sample(
      logits, ask.sampling, {ask.prompt, sequence.output(), sequence.choice}, sequence.mask.get());
  if (sequence.mask != nullptr) {
    if (auto accepted = sequence.mask->accept(token); !accepted) {
      end_request(request, std::move(accepted).error(), false);
      return;
    }
  }
  const TimePoint now = clock_.now();
  if (!request.first_token) request.first_token = now;
  request.last_token = now;
  const bool end = std::find(options_.end_of_generation.begin(), options_.end_of_generation.end(),
                             token) != options_.end_of_generation.end();
  sequence.tokens.push_back(token);
  tokens_.fetch_add(1, std::memory_order_relaxed);
  ++request.generated;
  if (end && !ask.ignore_end_of_generation) {
    end_choice(sequence, StopReason::EndOfGeneration);
    return;
  }
  if (logprobs) logprobs->chosen = sampler_.logprob_of(untouched, token);
  ask.sink->token(sequence.choice, token, logprobs ? &*logprobs : nullptr);
  if (sequence.output_size() >= ask.max_tokens || sequence.tokens.size() >= options_.context) {
    end_choice(sequence, StopReason::Length);
  }
}

void Batcher::pool_states(Sequence& sequence, std::size_t from, std::size_t row) {
  if (sequence.ended) return;
  for (std::size_t at = from; at < sequence.kv.length; ++at) {
    sequence.pooler->add(at, decoder_->state(row + at - from));
  }
  if (sequence.pending() > 0) return;
  Request& request = *sequence.request;
  request.first_token = request.last_token = clock_.now();
  request.ask.sink->embedding(sequence.pooler->vector());
  end_choice(sequence, StopReason::Length);
}

void Batcher::end_choice(Sequence& sequence, StopReason reason) {
  Request& request = *sequence.request;
  kv_.release(sequence.kv);
  sequence.ended = true;
  request.ask.sink->choice_end(sequence.choice, reason);
  if (--request.open_choices > 0) return;
  request.ended = true;
  request.ask.sink->finished(usage_of(request));
}

void Batcher::end_request(Request& request, std::optional<Error> error, bool cancelled) {
  if (request.ended) return;
  request.ended = true;
  for (const auto& sequence : sequences_) {
    if (sequence->request.get() != &request || sequence->ended) continue;
    kv_.release(sequence->kv);
    sequence->ended = true;
  }
  if (cancelled) {
    request.ask.sink->cancelled_end(usage_of(request));
  } else {
    request.ask.sink->failed(std::move(*error), usage_of(request));
  }
}

BatchUsage Batcher::usage_of(const Request& request) const {
  BatchUsage usage;
  usage.prompt_tokens = request.ask.prompt.size();
  usage.generated_tokens = request.generated;
  const TimePoint now = clock_.now();
  usage.queued = request.first_step.value_or(now) - request.arrived;
  if (request.first_step) usage.prefill = request.first_token.value_or(now) - *request.first_step;
  if (request.first_token) usage.decode = request.last_token - *request.first_token;
  return usage;
}

void Batcher::drop_ended() {
  std::erase_if(sequences_, [](const auto& sequence) { return sequence->ended; });
  const std::size_t ended =
      std::erase_if(requests_, [](const auto& request) { return request->ended; });
  inbox_.leave(ended);
}

}  // namespace minerva::engine
