// What a backend is asked to generate or to embed. Built by serve from a client's request: nothing
// in it is passed on unread. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/token.h"

namespace minerva::backend {

// How the next token is chosen. The defaults ask for nothing but the model's own distribution.
struct SamplingParams {
  float temperature = 1.0F;         // 0 is greedy: the largest logit, the lowest id on a tie
  std::int32_t top_k = 0;           // 0: off
  float top_p = 1.0F;               // 1: off
  float min_p = 0.0F;               // 0: off
  float typical_p = 1.0F;           // 1: off
  float repetition_penalty = 1.0F;  // 1: off
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  // How many of the last tokens (prompt and output) the repetition penalty looks at; 0: all.
  std::uint32_t repetition_window = 64;
  std::vector<std::pair<TokenId, float>> logit_bias;  // added to the logits, ids < vocabulary
  std::optional<std::uint64_t> seed;                  // none: the backend draws one
};

// Rows of the model's width, in place of tokens (images). Row-major [rows][width].
struct EmbeddingBlock {
  std::vector<float> values;
  std::size_t width = 0;
};

// A conversation for an engine that only speaks chat, as JSON that we wrote from typed values:
// OpenAI's "messages" and "tools" (empty: none).
struct ChatPrompt {
  std::string messages_json;
  std::string tools_json;
};

// Token ids where the tokenizer is ours, text where only the engine can tokenize. A ChatPrompt is
// the only item of its prompt.
using PromptItem = std::variant<std::vector<TokenId>, std::string, EmbeddingBlock, ChatPrompt>;

// Which texts the output may be. Compiled by the backend that can keep it.
struct ConstraintSpec {
  enum class Kind : std::uint8_t { JsonObject, JsonSchema, Regex, Grammar };
  Kind kind = Kind::JsonObject;
  std::string source;
};

enum class Priority : std::uint8_t { Interactive, Batch };

struct GenerateRequest {
  std::string id;         // of the request, for logs
  std::string client_id;  // for fairness between clients
  std::vector<PromptItem> prompt;
  // Tokens already given to the client by an engine that died; generation goes on behind them.
  // max_tokens counts them too, the usage does not: the same request is simply given on.
  std::vector<TokenId> resume_prefix;
  SamplingParams sampling;
  std::optional<ConstraintSpec> constraint;
  std::uint32_t n = 1;                      // choices from one prompt
  std::optional<std::uint64_t> max_tokens;  // none: until the context is full
  bool ignore_end_of_generation = false;    // for measurements: goes on to max_tokens
  // -1: no log-probabilities; 0: of the chosen token; k: and of the k likeliest.
  std::int32_t logprobs = -1;
  Priority priority = Priority::Interactive;
  std::optional<TimePoint> deadline;
};

// Token ids where the tokenizer is ours, text where only the engine can tokenize.
using EmbedInput = std::variant<std::vector<TokenId>, std::string>;

// Texts to be made into vectors, one each.
struct EmbedRequest {
  std::string id;                  // of the request, for logs
  std::string client_id;           // for fairness between clients
  std::vector<EmbedInput> inputs;  // at least one
  Priority priority = Priority::Interactive;
  std::optional<TimePoint> deadline;
};

}  // namespace minerva::backend
