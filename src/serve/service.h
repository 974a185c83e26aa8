// serve as http sees it: a request goes in, an answer comes out piece by piece. The only interface
// between the two rooms; tests of http stand a fake behind it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/types.h"

namespace minerva::serve {

// One answer that is being made. Owned by its reader; destroying it cancels what still runs.
// try_next() and cancel() belong to one thread at a time.
class Generation {
 public:
  virtual ~Generation() = default;
  // The next piece, or nothing when there is none yet. The last one is an EndDelta.
  virtual std::optional<Delta> try_next() = 0;
  // Called from any thread whenever a piece may have arrived; must not block. Set once.
  virtual void on_ready(std::function<void()> callback) = 0;
  // Stops the engine's work on it within one step; an EndDelta (cancelled) still comes.
  virtual void cancel() = 0;

  // The plan, known before the first token: the engine's name and why it was picked.
  virtual std::string_view backend() const = 0;
  virtual std::string_view route() const = 0;
  virtual std::uint64_t prompt_tokens() const = 0;
};

// Thread-safe.
class Service {
 public:
  virtual ~Service() = default;
  // Renders, tokenizes, checks and hands over to an engine. Everything that can be refused is
  // refused here, but for what only shows when the model is loaded: then the generation
  // ends with that error before any text. It computes for milliseconds: never call it on an I/O
  // thread.
  virtual Result<std::unique_ptr<Generation>> start(Request request) = 0;

  // The same for vectors: an EmbeddingDelta for each input, in any order, and the EndDelta.
  virtual Result<std::unique_ptr<Generation>> embed(EmbeddingRequest request) = 0;

  // Who would answer, without running anything.
  virtual Result<RouteReport> explain_route(Request request) = 0;

  virtual std::vector<ModelInfo> models() const = 0;
  virtual Result<ModelInfo> model(std::string_view name) const = 0;
  virtual std::vector<BackendInfo> backends() const = 0;
  virtual std::vector<InstanceInfo> instances() const = 0;
  // Begins to load a model on the engine that requests for it would get (or this one), and waits
  // until it can generate, `time_max` at most.
  virtual Result<InstanceInfo> load(std::string_view model, std::optional<std::string> backend,
                                    Duration time_max) = 0;
  // Unloads it from every engine once its running requests have ended; `now`: ends them first.
  virtual Result<void> unload(std::string_view model, bool now) = 0;
  // True once a preloaded model has made a token (or no model was asked to be preloaded).
  virtual bool ready() const = 0;
  // Requests inside: waiting or running.
  virtual std::size_t active() const = 0;
  // Refuses new requests from now on (Unavailable), and after `grace` cancels what still runs.
  virtual void drain(Duration grace) = 0;
};

}  // namespace minerva::serve
