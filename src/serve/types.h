// What goes in and out of serve: a typed request made by api, and the pieces of the answer that api
// turns into a dialect's bytes. The one header of this room that api may include. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "backend/backend.h"
#include "backend/event.h"
#include "backend/request.h"
#include "chat/message.h"

namespace minerva::serve {

// A raw prompt (completions): text, or token ids.
using RawPrompt = std::variant<std::string, std::vector<TokenId>>;

// Which fields the client gave itself; the others get the model's configured values.
struct GivenFields {
  bool temperature = false;
  bool top_p = false;
  bool top_k = false;
  bool min_p = false;
  bool repetition_penalty = false;
};

struct Request {
  std::string id;                      // "chatcmpl-…", made by api
  std::string client_id;               // who asks; peer address or key
  std::string model;                   // as the client wrote it; empty: the default model
  std::optional<std::string> backend;  // "native", "llama_cpp", …; none: as configured
  std::vector<std::string> fallback;   // engines to go on with; empty: as configured
  std::variant<chat::Conversation, RawPrompt> prompt;
  bool echo = false;  // completions: the prompt comes first in the answer
  backend::SamplingParams sampling;
  GivenFields given;
  std::optional<backend::ConstraintSpec> constraint;
  std::uint32_t n = 1;
  std::optional<std::uint64_t> max_tokens;
  std::vector<std::string> stop;  // the answer ends before the first of these
  bool ignore_end_of_generation = false;
  std::int32_t logprobs = -1;  // as in backend::GenerateRequest
  std::optional<Duration> timeout;
  // The reader uses nothing before the end, so an engine that fails on the way may be replaced.
  bool whole = false;
};

// Texts, or token ids, that are to become vectors.
struct EmbeddingRequest {
  std::string id;
  std::string client_id;
  std::string model;
  std::optional<std::string> backend;
  std::vector<std::string> fallback;
  std::vector<RawPrompt> inputs;
  // The first so many numbers of each vector, scaled to its length again; none: all of them.
  std::optional<std::uint32_t> dimensions;
  // Texts longer than the engine takes are cut off there, before the tokens that the model's
  // tokenizer puts behind each; else they are refused.
  bool truncate = false;
  std::optional<Duration> timeout;
};

// One piece of one choice's answer.
struct TextDelta {
  std::uint32_t choice = 0;
  std::string text;  // whole UTF-8 characters
  // One entry a token since the last delta, when log-probabilities were asked for.
  std::vector<backend::TokenEvent> tokens;
};

struct FinishDelta {
  std::uint32_t choice = 0;
  backend::FinishReason reason = backend::FinishReason::Stop;
  std::optional<std::string> stop_string;  // which one ended it
};

// One input's vector; they come in the inputs' order, once all are made.
struct EmbeddingDelta {
  std::uint32_t input = 0;
  std::vector<float> values;
};

// An engine that was tried and gave nothing that the client has seen.
struct FailedAttempt {
  std::string backend;
  std::string why;
};

// There is no token yet: what the request waits for.
struct WaitDelta {
  enum class For : std::uint8_t {
    Room,   // for others to leave, or for its turn
    Load,   // of its model
    Retry,  // a while, before an engine that has failed is asked again
  };
  For what = For::Load;
  std::string model;
  std::optional<unsigned> percent;  // of the load, where the engine can say
  Duration waited{};                // since the request came
};

// The last one: what happened, and who answered.
struct EndDelta {
  backend::EndEvent end;
  std::string model;                        // the name that answered
  std::string backend;                      // the engine that really answered
  std::string route;                        // why this engine, in words
  std::vector<FailedAttempt> retries = {};  // before it, in their order
};

using Delta = std::variant<TextDelta, backend::ProgressEvent, WaitDelta, FinishDelta,
                           EmbeddingDelta, EndDelta>;

enum class ModelState : std::uint8_t { Unloaded, Loading, Ready, Unloading, Failed };

struct ModelInfo {
  std::string name;
  std::vector<std::string> aliases;
  ModelState state = ModelState::Unloaded;
  std::string backend;                   // engine it is loaded on, or would be
  std::string format;                    // "gguf", "mlx", …
  std::string architecture;              // "llama", "gemma3"; empty when unknown
  std::string source;                    // where it lives: "models folder", "ollama", …
  std::string path;                      // for the machine's owner only, never for a client
  std::optional<unsigned> load_percent;  // while it loads, where its engine can say
  std::uint64_t context_size = 0;        // tokens; 0 when not loaded
  std::uint64_t size_bytes = 0;
  std::int64_t created_unix = 0;  // the file's time
  std::string problem;            // why it cannot be used, where it cannot
  std::string chat_template;      // which one; empty when it was not looked at yet
};

// One model on one engine, as `minerva ps` and /v1/backends show it.
struct InstanceInfo {
  std::string model;
  std::string backend;
  ModelState state = ModelState::Unloaded;
  std::string problem;
  std::optional<unsigned> load_percent;  // while it loads, where the engine can say
  std::uint64_t context_size = 0;
  std::uint64_t memory_bytes = 0;  // measured; of a model that loads: what it is expected to need
  std::int64_t pid = 0;
  std::size_t running = 0;  // requests
  std::size_t waiting = 0;
  bool pinned = false;
  std::optional<Duration> idle;      // since the last request ended; none while one runs
  std::optional<Duration> idle_ttl;  // it is unloaded after so much of it
  std::string breaker;               // "closed", "open", "half-open"
  std::uint64_t restarts = 0;
  double tokens_per_second = 0;  // of a single answer, measured; 0: not yet
  double loaded_in_seconds = 0;
  std::vector<std::string> last_log_lines;
};

struct BackendInfo {
  std::string name;
  bool available = false;
  std::string version;
  std::string path;
  std::string device;
  std::string why_not;  // where it is not available
  std::string install;  // the command that installs it
  backend::Capabilities can;
  std::vector<std::string> models;  // which it would take
  std::vector<InstanceInfo> instances;
};

// What POST /v1/route answers: who would run a request, and why not the others.
struct RouteStep {
  std::string backend;
  bool usable = false;
  std::string why;
};
struct RouteReport {
  std::string model;
  std::string backend;  // the first usable one; empty: none
  std::string reason;
  std::vector<RouteStep> steps;     // in the order in which they are tried
  std::uint64_t prompt_tokens = 0;  // 0: not counted
};

}  // namespace minerva::serve
