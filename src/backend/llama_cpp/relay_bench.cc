// What the relay itself costs: events a second from an engine that does no work, through the
// process, the socket, the parsers and the stream. FAKE_ENGINE and GUARD_PROGRAM are programs.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/child/child_backend.h"
#include "support/fake_engine_child.h"

namespace minerva::backend {
namespace {

constexpr std::uint64_t kEvents = 20'000;

// Takes what one generation gives; the number of its tokens.
std::uint64_t drain(GenerationStream& stream) {
  std::uint64_t tokens = 0;
  while (auto event = stream.pop_for(std::chrono::minutes(1))) {
    if (std::holds_alternative<TokenEvent>(*event)) ++tokens;
    if (std::holds_alternative<EndEvent>(*event)) break;
  }
  return tokens;
}

void relay(benchmark::State& state) {
  UpstreamLoop loop;
  SteadyClock clock;
  ChildBackend engine(test::fake_engine_options({.flags = {"--zero-work", std::to_string(kEvents),
                                                           "--honest-requests", "1"}}),
                      loop, clock);
  // A context that holds them all.
  if (!engine.load_model({}, kEvents + 1000)) return state.SkipWithError("it does not load");
  const auto streams_at_once = static_cast<std::size_t>(state.range(0));
  std::uint64_t events = 0;
  for (auto _ : state) {
    std::vector<std::shared_ptr<GenerationStream>> streams;
    for (std::size_t i = 0; i < streams_at_once; ++i) {
      GenerateRequest request;
      request.prompt.emplace_back(std::vector<TokenId>{'a'});
      request.sampling.temperature = 0;
      // One reader takes them one after another, so the others must not be held up by it.
      streams.push_back(std::make_shared<GenerationStream>(2 * kEvents));
      if (!engine.generate(std::move(request), streams.back()))
        return state.SkipWithError("it does not generate");
    }
    for (const auto& stream : streams) events += drain(*stream);
  }
  state.counters["events/s"] =
      benchmark::Counter(static_cast<double>(events), benchmark::Counter::kIsRate);
}
BENCHMARK(relay)->Arg(1)->Arg(8)->UseRealTime()->MeasureProcessCPUTime();

}  // namespace
}  // namespace minerva::backend
