#include "cli/engine_speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "wire/json_guard.h"

namespace minerva::cli {
namespace {

using backend::InferenceBackend;
using backend::Support;

constexpr auto kStopGrace = std::chrono::seconds(5);
constexpr auto kLook = std::chrono::seconds(1);

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// Begins differently in every round.
std::string prompt_text(std::size_t round, std::size_t words) {
  std::string text = fmt::format("Round {} of a measurement.", round);
  for (std::size_t i = 0; i < words; ++i) text += i % 2 == 0 ? " the river" : " and the hill";
  return text;
}

Result<backend::PromptItem> prompt_for(const InferenceBackend& engine, std::size_t round,
                                       std::size_t tokens) {
  const backend::Capabilities can = engine.capabilities();
  // Of these pairs of words each has at least two tokens.
  const std::string text = prompt_text(round, tokens);
  if (can.token_prompts != Support::No) {
    MINERVA_ASSIGN(auto ids, engine.tokenize(text, {.add_special = true, .parse_special = false}));
    ids.resize(std::min(ids.size(), tokens));
    return backend::PromptItem(std::move(ids));
  }
  const std::string shorter = prompt_text(round, tokens * 2 / 5);
  if (can.text_prompts != Support::No) return backend::PromptItem(shorter);
  wire::Json messages = wire::Json::array();
  messages.push_back({{"role", "user"}, {"content", shorter}});
  return backend::PromptItem(backend::ChatPrompt{wire::dump_json(messages), ""});
}

struct Round {
  double first_token_s = 0;
  double prefill_per_s = 0;
  double decode_per_s = 0;
  backend::Usage usage;
};

// What has come of a generation.
struct Seen {
  std::optional<TimePoint> first;
  TimePoint last;
  std::optional<backend::EndEvent> end;

  void take(backend::GenerationEvent event, TimePoint now) {
    if (std::holds_alternative<backend::TokenEvent>(event)) {
      if (!first) first = now;
      last = now;
    }
    if (auto* ended = std::get_if<backend::EndEvent>(&event)) end = std::move(*ended);
  }
};

Result<Seen> watch(backend::GenerationStream& stream, TimePoint deadline, const Clock& clock) {
  Seen seen;
  while (!seen.end) {
    const Duration left = std::max<Duration>(deadline - clock.now(), Duration::zero());
    if (auto event = stream.pop_for(std::min<Duration>(kLook, left)))
      seen.take(std::move(*event), clock.now());
    if (!seen.end && clock.now() >= deadline) {
      stream.cancel();
      return fail(ErrorCode::Timeout, "the answer did not end in time");
    }
  }
  if (seen.end->error) return fail(*seen.end->error);
  if (seen.end->outcome != backend::EndEvent::Outcome::Done || !seen.first)
    return fail(ErrorCode::Unavailable, "the engine gave no token");
  return seen;
}

Result<Round> measure(InferenceBackend& engine, std::size_t number,
                      const EngineBenchOptions& options, const Clock& clock) {
  backend::GenerateRequest request;
  request.id = fmt::format("bench-{}", number);
  request.client_id = "bench";
  MINERVA_ASSIGN(auto prompt, prompt_for(engine, number, options.prompt_tokens));
  request.prompt.push_back(std::move(prompt));
  request.sampling.temperature = 0;
  request.max_tokens = options.new_tokens;
  request.ignore_end_of_generation = true;
  const auto stream = std::make_shared<backend::GenerationStream>();
  const TimePoint begin = clock.now();
  MINERVA_TRY(engine.generate(std::move(request), stream));
  MINERVA_ASSIGN(const Seen seen, watch(*stream, begin + options.time_max, clock));
  Round round;
  round.usage = seen.end->usage;
  round.first_token_s = seconds(*seen.first - begin);
  const double decode_s = seconds(seen.last - *seen.first);
  const std::uint64_t computed =
      round.usage.prompt_tokens - std::min(round.usage.cached_tokens, round.usage.prompt_tokens);
  if (round.first_token_s > 0)
    round.prefill_per_s = static_cast<double>(computed) / round.first_token_s;
  if (round.usage.completion_tokens > 1 && decode_s > 0)
    round.decode_per_s = static_cast<double>(round.usage.completion_tokens - 1) / decode_s;
  return round;
}

double median(const std::vector<Round>& rounds, double Round::* member) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(round.*member);
  std::ranges::sort(values);
  return values[values.size() / 2];
}

Result<EngineBenchReport> bench_started(InferenceBackend& engine, const backend::ModelSpec& spec,
                                        const EngineBenchOptions& options, const Clock& clock) {
  EngineBenchReport report;
  const TimePoint begin = clock.now();
  MINERVA_TRY(
      engine.load_model(spec, options.prompt_tokens + options.new_tokens + options.prompt_tokens));
  report.load_s = seconds(clock.now() - begin);
  std::vector<Round> rounds;
  // The first round warms up, and is not counted.
  for (std::size_t i = 0; i <= options.rounds; ++i) {
    MINERVA_ASSIGN(const Round round, measure(engine, i, options, clock));
    if (i > 0) rounds.push_back(round);
  }
  if (rounds.empty()) return fail(ErrorCode::InvalidArgument, "no rounds were asked for");
  report.prompt_tokens = rounds.back().usage.prompt_tokens;
  report.new_tokens = rounds.back().usage.completion_tokens;
  report.first_token_s = median(rounds, &Round::first_token_s);
  report.prefill_tokens_per_s = median(rounds, &Round::prefill_per_s);
  report.decode_tokens_per_s = median(rounds, &Round::decode_per_s);
  for (const backend::DeviceMemory& device : engine.usage().memory)
    report.memory_bytes += device.bytes;
  return report;
}

}  // namespace

Result<EngineBenchReport> bench_engine(backend::EngineKind& kind, const backend::ModelSpec& spec,
                                       const EngineBenchOptions& options, const Clock& clock) {
  if (const auto why = kind.objection(spec)) return fail(ErrorCode::Unsupported, *why);
  MINERVA_ASSIGN(const auto engine, kind.make());
  MINERVA_TRY(engine->start());
  auto report = bench_started(*engine, spec, options, clock);
  engine->stop(kStopGrace);
  if (report) report->engine = kind.name();
  return report;
}

}  // namespace minerva::cli
