// What goes in and out of serve: a typed request made by api, and the pieces of the answer that api
// turns into a dialect's bytes. The one header of this room that api may include. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "backend/event.h"
#include "backend/request.h"
#include "chat/message.h"

namespace minerva::serve {

// A raw prompt (completions): text, or token ids.
using RawPrompt = std::variant<std::string, std::vector<TokenId>>;

struct Request {
  std::string id;                      // "chatcmpl-…", made by api
  std::string client_id;               // who asks; peer address or key
  std::string model;                   // as the client wrote it; empty: the default model
  std::optional<std::string> backend;  // "native", "llama_cpp", …; none: auto
  std::variant<chat::Conversation, RawPrompt> prompt;
  bool echo = false;  // completions: the prompt comes first in the answer
  backend::SamplingParams sampling;
  std::optional<backend::ConstraintSpec> constraint;
  std::uint32_t n = 1;
  std::optional<std::uint64_t> max_tokens;
  std::vector<std::string> stop;  // the answer ends before the first of these
  bool ignore_end_of_generation = false;
  std::int32_t logprobs = -1;  // as in backend::GenerateRequest
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

// The last one: what happened, and who answered.
struct EndDelta {
  backend::EndEvent end;
  std::string model;    // the name that answered
  std::string backend;  // the engine's name
  std::string route;    // why this engine, in words
};

using Delta = std::variant<TextDelta, backend::ProgressEvent, FinishDelta, EndDelta>;

enum class ModelState : std::uint8_t { Unloaded, Loading, Ready, Failed };

struct ModelInfo {
  std::string name;
  ModelState state = ModelState::Unloaded;
  std::string backend;             // engine it is loaded on, or would be
  std::string architecture;        // "llama", "gemma3"; empty when unknown
  std::uint64_t context_size = 0;  // tokens; 0 when not loaded
  std::uint64_t size_bytes = 0;
  std::int64_t created_unix = 0;  // the file's time
  std::string problem;            // why it cannot be used, where it cannot
  std::string chat_template;      // which one; empty when it was not looked at yet
};

}  // namespace minerva::serve
