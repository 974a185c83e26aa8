// A kind of engine that this machine may have: our own, llama-server, mlx_lm.server, a remote
// server. It says whether it is there and which models it would take, and makes backends. Found
// once at the start and kept for the life of the server.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "backend/model_spec.h"
#include "base/clock.h"
#include "base/result.h"

namespace minerva::backend {

struct Availability {
  bool available = false;
  std::string version;
  std::string path;     // of the program, or the server's address
  std::string device;   // "cpu", "Vulkan0: …", as the engine says it; empty when it does not
  std::string why_not;  // where it is not available
  std::string install;  // the command that installs it; empty when none would
};

// What a load needs, as well as it can be said before it.
struct MemoryNeed {
  std::uint64_t weights_bytes = 0;
  std::uint64_t kv_bytes = 0;        // for the context that it would get
  std::uint64_t overhead_bytes = 0;  // of the engine itself
  // With the shortest context that it would take where memory is short; 0: it takes no shorter one.
  std::uint64_t least_bytes = 0;
  std::uint64_t total() const { return weights_bytes + kv_bytes + overhead_bytes; }
};

// Any thread.
class EngineKind {
 public:
  virtual ~EngineKind() = default;
  virtual std::string_view name() const = 0;  // "native", "llama_cpp", "mlx", "remote:office"
  // Looks at the machine and may start a program for that, for `time_max` at most. Cached by the
  // program's path and time of change, so that asking again costs little.
  virtual Availability probe(Duration time_max) = 0;
  // Why it cannot run this model; nothing when it would. Reads no more than the spec.
  virtual std::optional<std::string> objection(const ModelSpec& spec) const = 0;
  // Of such a model, before it is loaded; the loaded backend says it more exactly.
  virtual Capabilities capabilities(const ModelSpec& spec) const = 0;
  virtual MemoryNeed memory_need(const ModelSpec& spec, std::size_t context_size) const = 0;
  // Models that only this engine knows, such as those of another server. May ask it, for
  // `time_max` at most.
  virtual std::vector<ModelSpec> own_models(Duration time_max) {
    static_cast<void>(time_max);
    return {};
  }
  // A new backend, not started.
  virtual Result<std::unique_ptr<InferenceBackend>> make() = 0;
};

}  // namespace minerva::backend
