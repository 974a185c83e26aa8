// Texts of many requests, encoded together: one thread owns the encoder, takes texts from all
// requests in turn, and gives each vector to who asked for it. Other threads only submit and read
// counters. Which texts share a step changes no vector.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/token.h"
#include "engine/encoder.h"
#include "engine/inbox.h"

namespace minerva::engine {

struct EmbedUsage {
  std::size_t prompt_tokens = 0;  // of all texts
  Duration queued{};              // until the first step
  Duration compute{};             // from there on
};

// Who gets a request's vectors. Called on the thread that computes; must not block. Exactly one of
// finished, failed and cancelled_end is called, last.
class EmbedSink {
 public:
  virtual ~EmbedSink() = default;
  // The reader has gone: the request ends within one step.
  virtual bool cancelled() const = 0;
  virtual void embedding(std::size_t text, std::span<const float> values) = 0;
  virtual void finished(const EmbedUsage& usage) = 0;
  virtual void failed(Error error, const EmbedUsage& usage) = 0;
  virtual void cancelled_end(const EmbedUsage& usage) = 0;
};

struct EmbedJob {
  // At least one; each of 1 to trained_context tokens of the vocabulary.
  std::vector<std::vector<TokenId>> texts;
  std::optional<TimePoint> deadline;
  std::shared_ptr<EmbedSink> sink;
};

class EncodeQueue {
 public:
  struct Options {
    std::size_t waiting_max = 512;  // requests inside; more are refused
    std::size_t step_tokens = 512;  // of one step, but for a single text that is longer
  };

  EncodeQueue(std::unique_ptr<Encoder> encoder, Options options, const Clock& clock,
              Metrics& metrics);
  // Ends whatever runs (failed: Unavailable) and joins.
  ~EncodeQueue();

  // QueueFull when too many wait, Unavailable once stopping. Otherwise the sink hears of it.
  Result<void> submit(EmbedJob job);
  // Ends whatever runs and takes nothing more.
  void stop() { inbox_.stop(); }

  std::size_t active() const { return inbox_.inside(); }
  std::uint64_t steps() const { return steps_.load(std::memory_order_relaxed); }
  std::uint64_t tokens() const { return tokens_.load(std::memory_order_relaxed); }  // encoded

 private:
  struct Request;
  struct Picked {
    std::shared_ptr<Request> request;
    std::size_t text;
  };

  void loop();
  bool take_in();  // false: it is time to stop
  void sweep();
  std::vector<Picked> pick();
  void step();
  void end(Request& request, std::optional<Error> error, bool cancelled);
  EmbedUsage usage_of(const Request& request) const;
  void drop_ended();

  std::unique_ptr<Encoder> encoder_;
  const Options options_;
  const Clock& clock_;
  Metrics& metrics_;

  std::vector<std::shared_ptr<Request>> requests_;  // this thread only; the next one in turn first
  Inbox<Request> inbox_;
  std::atomic<std::uint64_t> steps_{0};
  std::atomic<std::uint64_t> tokens_{0};
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace minerva::engine
