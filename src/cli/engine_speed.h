// How fast one model runs on one engine, through the interface that every engine stands behind, so
// that engines can be compared. The median of several rounds, each with a prompt of its own, so
// that no cache of prefixes flatters an engine.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "backend/engine_kind.h"
#include "backend/model_spec.h"
#include "base/clock.h"
#include "base/result.h"

namespace minerva::cli {

struct EngineBenchOptions {
  std::size_t prompt_tokens = 512;  // about; what the engine counted is what is reckoned with
  std::size_t new_tokens = 64;
  std::size_t rounds = 3;
  Duration time_max = std::chrono::minutes(10);  // of one round
};

struct EngineBenchReport {
  std::string engine;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t new_tokens = 0;
  double load_s = 0;
  double first_token_s = 0;
  double prefill_tokens_per_s = 0;
  double decode_tokens_per_s = 0;
  std::uint64_t memory_bytes = 0;  // loaded and warm
};

// Starts the engine, loads, measures, and stops it: nothing of it runs any more afterwards.
Result<EngineBenchReport> bench_engine(backend::EngineKind& kind, const backend::ModelSpec& spec,
                                       const EngineBenchOptions& options, const Clock& clock);

}  // namespace minerva::cli
