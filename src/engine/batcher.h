// Continuous batching: one thread owns all sequences and their KV pages, takes in requests at any
// time, and runs step after step over whatever can run. Other threads only submit, wake and read
// counters.
//
// A request is `n` choices over one prompt: the prompt is computed once, then its pages are shared.
// A sequence whose reader is slow pauses alone and keeps its pages; one that must give its pages up
// (preemption) later computes them again and goes on with the same tokens.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/token.h"
#include "engine/decoder.h"
#include "engine/inbox.h"
#include "engine/pooling.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"

namespace minerva::engine {

enum class StopReason : std::uint8_t { EndOfGeneration, Length };

struct BatchUsage {
  std::size_t prompt_tokens = 0;
  std::size_t generated_tokens = 0;
  Duration queued{};   // until the first step
  Duration prefill{};  // from there to the first token
  Duration decode{};   // from the first token to the end
};

// Who gets a request's tokens. Called on the batcher's thread; must not block. Exactly one of
// finished, failed and cancelled is called, last.
class BatchSink {
 public:
  virtual ~BatchSink() = default;
  // The reader has gone: the request ends within one step.
  virtual bool cancelled() const = 0;
  // The reader is slow: no choice of this request runs.
  virtual bool paused() const = 0;
  virtual void prefill(std::size_t done, std::size_t total) = 0;
  virtual void token(std::uint32_t choice, TokenId id, const Logprobs* logprobs) = 0;
  virtual void choice_end(std::uint32_t choice, StopReason reason) = 0;
  // With BatchRequest::embed, in place of tokens: the prompt's vector, [width].
  virtual void embedding(std::span<const float> vector) { static_cast<void>(vector); }
  virtual void finished(const BatchUsage& usage) = 0;
  virtual void failed(Error error, const BatchUsage& usage) = 0;
  virtual void cancelled_end(const BatchUsage& usage) = 0;
};

struct BatchRequest {
  std::vector<TokenId> prompt;         // not empty
  std::vector<TokenId> resume_prefix;  // counts as generated already
  SamplingSettings sampling;
  std::unique_ptr<LogitMask> mask;  // may be null
  std::uint32_t n = 1;
  std::size_t max_tokens = 0;  // generated tokens a choice, resume_prefix included
  bool ignore_end_of_generation = false;
  std::int32_t logprobs = -1;  // -1: none; k: of the chosen and the k likeliest
  bool interactive = true;
  // The prompt's final hidden states are wanted as one vector, and no token: n is 1, and all about
  // sampling is ignored.
  std::optional<Pooling> embed;
  std::optional<TimePoint> deadline;
  std::shared_ptr<BatchSink> sink;
};

class Batcher {
 public:
  struct Options {
    std::size_t context = 0;         // tokens a sequence may hold
    std::size_t vocabulary = 0;      // ids that may be chosen; the model may have more rows
    std::size_t waiting_max = 512;   // requests inside; more are refused
    std::size_t sequences_max = 64;  // that run in one step
    Duration paused_max = std::chrono::seconds(60);  // then a slow reader is cut off
    std::vector<TokenId> end_of_generation;
  };

  Batcher(std::unique_ptr<Decoder> decoder, KvPool& kv, std::unique_ptr<Scheduler> scheduler,
          const kernels::KernelTable& kernels, Options options, const Clock& clock,
          Metrics& metrics);
  // Ends whatever runs (failed: Unavailable) and joins.
  ~Batcher();

  // QueueFull when too many wait, Unavailable once stopping. Otherwise the sink hears of it.
  Result<void> submit(BatchRequest request);
  // Something has changed that only a look can tell: a cancelled or drained reader.
  void wake() { inbox_.wake(); }
  // Ends whatever runs and takes nothing more.
  void stop() { inbox_.stop(); }

  std::size_t active() const { return inbox_.inside(); }
  std::uint64_t steps() const { return steps_.load(std::memory_order_relaxed); }
  std::uint64_t tokens() const { return tokens_.load(std::memory_order_relaxed); }  // generated

 private:
  struct Request;
  struct Sequence;

  void loop();
  bool take_in();  // false: it is time to stop
  void sweep();
  bool step();
  std::vector<Sequence*> pick(std::vector<std::size_t>& counts);
  bool make_room(Sequence& wanted, std::size_t count, std::vector<Sequence*>& chosen);
  void preempt(Sequence& sequence);
  void fork_choices(Sequence& first, std::span<const float> logits);
  void advance(Sequence& sequence, std::span<float> logits);
  // Takes the states of the sequence's tokens from position `from` on, of which the first is the
  // step's token `row`; the vector is given out when it is whole.
  void pool_states(Sequence& sequence, std::size_t from, std::size_t row);
  void end_choice(Sequence& sequence, StopReason reason);
  void end_request(Request& request, std::optional<Error> error, bool cancelled);
  BatchUsage usage_of(const Request& request) const;
  void drop_ended();

  std::unique_ptr<Decoder> decoder_;
  KvPool& kv_;
  std::unique_ptr<Scheduler> scheduler_;
  const Options options_;
  const Clock& clock_;
  Metrics& metrics_;
  Sampler sampler_;

  std::vector<std::shared_ptr<Request>> requests_;    // the batcher's thread only
  std::vector<std::unique_ptr<Sequence>> sequences_;  // the same; oldest first

  Inbox<Request> inbox_;
  std::atomic<std::uint64_t> steps_{0};
  std::atomic<std::uint64_t> tokens_{0};
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace minerva::engine
