// InferenceBackend: the one interface behind which every engine stands. An instance holds one model
// at a time. All members may be called from any thread; generate() never waits for a token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/event.h"
#include "backend/model_spec.h"
#include "backend/request.h"
#include "backend/stream.h"
#include "base/result.h"
#include "base/token.h"

namespace minerva::backend {

enum class Support : std::uint8_t { No, BestEffort, Yes };

// What the loaded model can do on this backend. `version` grows whenever an answer changes.
struct Capabilities {
  std::uint64_t version = 1;
  Support generation = Support::Yes;    // else it makes embeddings only
  Support token_prompts = Support::No;  // prompts as token ids
  Support text_prompts = Support::No;   // prompts as text
  Support chat_only = Support::No;      // speaks messages only: Minerva cannot render for it
  Support constraints = Support::No;    // ConstraintSpec is kept
  Support logprobs = Support::No;
  Support logit_bias = Support::No;
  Support seed = Support::No;            // the same seed gives the same answer
  Support load_invariant = Support::No;  // answers never depend on load or batching
  Support images = Support::No;
  Support embeddings = Support::No;
  Support tokenize = Support::No;
  Support tools = Support::No;    // tool calls come back parsed; else their text is the answer
  std::uint32_t choices_max = 1;  // the largest n
};

enum class Health : std::uint8_t { Stopped, Starting, Ready, Failed };

struct Probe {
  Health health = Health::Stopped;
  std::string detail;  // why, where it is not Ready
};

struct ResourceUsage {
  std::vector<DeviceMemory> memory;  // PSS of a child's whole tree; of our own engine what it holds
  std::uint64_t mapped_bytes = 0;  // of that, pages of files, which the system counts as available
  Duration cpu_time{};
  std::int64_t pid = 0;  // of the engine's process; 0: it is ours
};

// How far a load has come, in the engine's own measure; total 0: it cannot say.
struct LoadProgress {
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

// Signs of life since the model was loaded; whoever supervises compares two looks.
struct Activity {
  std::uint64_t progress = 0;  // grows with each token, each report of progress
  std::uint64_t tokens = 0;    // generated
  std::size_t running = 0;     // generations that have not ended
};

struct TokenizeOptions {
  bool add_special = false;    // beginning and end tokens as the model asks
  bool parse_special = false;  // control tokens written in the text count as tokens
};

class InferenceBackend {
 public:
  virtual ~InferenceBackend() = default;

  // --- the model ---
  // Loads a model with room for `context_size` tokens a sequence; 0 asks for the default: the least
  // of the model's own, the configured and what memory allows. Waits until the model can generate.
  virtual Result<void> load_model(const ModelSpec& spec, std::size_t context_size) = 0;
  // Cancels what runs and frees everything. Unloading nothing is not an error.
  virtual Result<void> unload_model() = 0;
  virtual bool is_loaded() const = 0;
  virtual LoadProgress load_progress() const { return {}; }  // of a load that runs
  virtual std::size_t context_size() const = 0;  // tokens a sequence can hold; 0 when not loaded
  // Tokens of the longest text that embed() takes; 0: unknown, or no model.
  virtual std::size_t text_tokens_max() const { return context_size(); }
  virtual unsigned thread_count() const = 0;

  // --- generation and embeddings ---
  // Refuses at once (Result) what it cannot do; else the stream gets events and one EndEvent.
  virtual Result<void> generate(GenerateRequest request,
                                std::shared_ptr<GenerationStream> stream) = 0;
  // One vector for each input. Refuses at once what it cannot do; else the stream gets an
  // EmbeddingEvent for each input, in any order, and one EndEvent. An input's vector never depends
  // on the others. A backend that does not override it makes none.
  virtual Result<void> embed(EmbedRequest request, std::shared_ptr<GenerationStream> stream);
  virtual Result<std::vector<TokenId>> tokenize(std::string_view text,
                                                TokenizeOptions options) const = 0;
  virtual Result<std::string> detokenize(std::span<const TokenId> tokens) const = 0;

  // --- what supervision sees ---
  virtual Result<void> start() = 0;  // the engine itself (a child process); not the model
  // Ends what runs within `grace`, then stops. kill() does not wait.
  virtual void stop(Duration grace) = 0;
  virtual void kill() = 0;
  virtual Probe probe() const = 0;
  virtual ResourceUsage usage() const = 0;
  virtual Activity activity() const = 0;
  virtual std::vector<std::string> last_log_lines(std::size_t count) const = 0;
  virtual Capabilities capabilities() const = 0;
  virtual std::string_view name() const = 0;
};

}  // namespace minerva::backend
