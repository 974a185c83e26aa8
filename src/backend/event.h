// What a backend says while it generates: tokens and progress, the end of each choice, and then
// exactly one EndEvent; or while it embeds: progress, each input's vector, and the EndEvent. Plain
// values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/token.h"

namespace minerva::backend {

struct TokenLogprob {
  TokenId id = -1;
  std::string bytes;
  float logprob = 0;  // natural logarithm, of the distribution before sampling's cuts
};

// One token. Its bytes may be part of a character only. An end-of-generation token is not sent.
struct TokenEvent {
  std::uint32_t choice = 0;
  std::optional<TokenId> id;
  std::string bytes;
  std::optional<float> logprob;
  std::vector<TokenLogprob> top;  // likeliest first
};

struct ProgressEvent {
  enum class Phase : std::uint8_t { Queued, Loading, Prefill };
  Phase phase = Phase::Queued;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::uint64_t cached = 0;  // of total, tokens found in the prefix cache
};

enum class FinishReason : std::uint8_t { Stop, Length };

struct ChoiceEndEvent {
  std::uint32_t choice = 0;
  FinishReason reason = FinishReason::Stop;
};

// The vector of one input of an EmbedRequest, as the model makes it; finite.
struct EmbeddingEvent {
  std::uint32_t input = 0;
  std::vector<float> values;
};

struct Usage {
  std::uint64_t prompt_tokens = 0;
  std::uint64_t cached_tokens = 0;
  std::uint64_t completion_tokens = 0;
};

struct Timings {
  Duration queued{};
  Duration prefill{};  // from the first step to the first token
  Duration decode{};   // from the first token to the last
};

struct EndEvent {
  enum class Outcome : std::uint8_t { Done, Failed, Cancelled };
  Outcome outcome = Outcome::Done;
  std::optional<Error> error;  // with Failed
  Usage usage;
  Timings timings;
  std::string engine;  // what really answered
  std::uint64_t seed = 0;
};

using GenerationEvent =
    std::variant<TokenEvent, ProgressEvent, ChoiceEndEvent, EmbeddingEvent, EndEvent>;

}  // namespace minerva::backend
