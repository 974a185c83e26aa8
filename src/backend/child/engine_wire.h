// How one kind of engine is spoken to: a typed request becomes a path and a JSON body, built field
// by field, and its events become ours, checked. An engine may lie, and what it says reaches
// clients only through here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "backend/child/upstream.h"
#include "backend/event.h"
#include "backend/request.h"
#include "base/result.h"
#include "base/token.h"
#include "text/tokenizer.h"
#include "wire/sse.h"

namespace minerva::backend {

// What is known of the model that the engine has loaded. A plain value.
struct WireModel {
  std::string name;                                  // as the engine calls it
  std::size_t context_size = 0;                      // tokens of a sequence; 0: unknown
  std::shared_ptr<const text::Tokenizer> tokenizer;  // none: only the engine can tokenize
  bool generates = true;                             // else it makes embeddings only
  bool embeds = false;                               // as inspect() has learnt it
  std::size_t text_tokens_max = 0;                   // that embeddings take; 0: the context
  std::size_t vocab_size() const { return tokenizer == nullptr ? 0 : tokenizer->vocab_size(); }
};

// One call to the engine: the request as the client made it, and what ChildBackend decided. It
// lives for the call of the function that gets it.
struct WireRequest {
  const GenerateRequest& request;
  // The whole prompt, resume prefix included, where it is token ids; else `text` or `chat`.
  std::vector<TokenId> tokens = {};
  std::string text = {};
  const ChatPrompt* chat = nullptr;
  std::uint64_t max_tokens = 1;    // still to make; clamped to the context where that is known
  std::uint64_t seed = 0;          // of this choice
  std::uint32_t first_choice = 0;  // of those that this call makes
  std::uint32_t choices = 1;       // at most EngineWire::choices_per_call()
};

// What a call for embeddings gave, in the inputs' order.
struct WireVectors {
  std::vector<std::vector<float>> vectors;
  std::uint64_t prompt_tokens = 0;  // 0: the engine does not say
};

// What one call's events say, in order. Counts from zero within the call: choice 0 is the call's
// first one. On one thread; lives as long as its call.
class ChunkReader {
 public:
  virtual ~ChunkReader() = default;
  // Appends TokenEvents, ProgressEvents and ChoiceEndEvents; never an EndEvent. An error ends the
  // generation: the engine said so, or broke its own rules. Token ids are checked here.
  virtual Result<void> read(const wire::SseEvent& event, std::vector<GenerationEvent>& out) = 0;
  virtual void read_comment(std::string_view text, std::vector<GenerationEvent>& out) {
    static_cast<void>(text), static_cast<void>(out);
  }
  // The engine has said that this was all. A stream that stops before it has failed.
  virtual bool finished() const = 0;
  // As the engine counts; what it does not say is 0. ChildBackend believes its own count first.
  virtual Usage usage() const = 0;
};

enum class EngineHealth : std::uint8_t {
  Starting,   // ask again
  Answering,  // try to generate
  Dead,       // it will never be ready
};

// Immutable; any thread.
class EngineWire {
 public:
  virtual ~EngineWire() = default;
  virtual std::string_view name() const = 0;  // the backend's name, and the origin of its errors

  // --- generation ---
  // Of this model; `version` is set by ChildBackend, as is what follows from having a tokenizer.
  virtual Capabilities capabilities(const WireModel& model) const = 0;
  // How many choices one call can make; more are made by several calls.
  virtual std::uint32_t choices_per_call() const { return 1; }
  // Refuses what the engine cannot do, before anything is sent. Deadlines are ChildBackend's.
  virtual Result<UpstreamRequest> generate_call(const WireRequest& ask,
                                                const WireModel& model) const = 0;
  virtual std::unique_ptr<ChunkReader> reader(const WireRequest& ask,
                                              const WireModel& model) const = 0;
  // An answer with an error status as an Error. The default understands {"error": "text"},
  // {"error": {message, type, code}}, {"detail": …} and {message, type, code}.
  virtual Error refusal(const UpstreamEnd& end) const;

  // --- embeddings ---
  // Some of a request's inputs, in one call. The default refuses: the engine makes none.
  virtual Result<UpstreamRequest> embed_call(std::span<const EmbedInput> inputs,
                                             const WireModel& model) const;
  // The body of a call's answer with status 200: one finite vector for each of its `inputs`. The
  // default reads OpenAI's shape, with numbers or base64.
  virtual Result<WireVectors> read_vectors(std::string_view body, std::size_t inputs) const;

  // --- tokens, where Minerva has no tokenizer of the model ---
  // No call: the engine cannot, and Minerva answers Unsupported.
  virtual std::optional<UpstreamRequest> tokenize_call(std::string_view text,
                                                       TokenizeOptions options) const;
  virtual Result<std::vector<TokenId>> read_tokens(std::string_view body) const;
  virtual std::optional<UpstreamRequest> detokenize_call(std::span<const TokenId> tokens) const;
  virtual Result<std::string> read_text(std::string_view body) const;

  // --- getting ready ---
  virtual std::string_view health_path() const { return "/health"; }
  // 200: Answering; all else: Starting.
  virtual EngineHealth read_health(const UpstreamEnd& end) const;
  // How far its load is, where the answer to the question for its health says so.
  virtual LoadProgress load_progress(const UpstreamEnd& end) const;
  // Why it is Dead, where its answer says so; else the message is made of its last log line.
  virtual std::optional<Error> load_failure(const UpstreamEnd& end) const;
  // A line of its log that explains nothing, such as one for each request.
  virtual bool is_noise(std::string_view log_line) const;
  // Asks the engine what it has loaded and corrects `model`, before the first token is asked for.
  // May wait, for `time_max` at most.
  virtual Result<void> inspect(Upstream& upstream, WireModel& model, Duration time_max) const;
  // The smallest generation, which proves that the engine works. The default asks generate_call()
  // for one greedy token.
  virtual Result<UpstreamRequest> warm_up_call(const WireModel& model) const;
};

// An error body of any of the usual shapes, with the code that its status and type mean: 400 and
// 422 InvalidArgument, a context's overflow ContextExceeded, 401 and 403 Unavailable (our key, not
// the client's), 404 Unavailable, 429 QueueFull and 503 Unavailable with their Retry-After, 5xx
// Unavailable. The message is short, one line, and free of paths and addresses.
Error read_refusal(std::string_view origin, const UpstreamEnd& end);

// What an engine said in a message, fit for a client: one line, no path, no address, at most 300
// bytes.
std::string cleaned_message(std::string_view text);

}  // namespace minerva::backend
