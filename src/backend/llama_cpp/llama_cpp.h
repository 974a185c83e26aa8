// llama.cpp's server as a kind of engine: found by a configured path, in $PATH, or in a Python
// package; any GGUF that it reads. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/child/child_backend.h"
#include "backend/child/upstream_loop.h"
#include "backend/engine_kind.h"
#include "backend/llama_cpp/llama_options.h"

namespace minerva::backend {

// Programs named llama-server in the order in which they are tried; they exist, no more is known.
std::vector<std::string> find_llama_servers(const LlamaOptions& options);

// What `llama-server --version` prints, shortened: "b10434", or the version that it calls itself
// when it was built without one.
std::string llama_version(std::string_view printed);

// Why a version should not be used, where it should not; nothing for one that does not say.
std::optional<std::string> llama_version_warning(std::string_view version);

// The program: found, asked for its version and devices once for each file that it is.
class LlamaProgram {
 public:
  explicit LlamaProgram(LlamaOptions options) : options_(std::move(options)) {}
  const LlamaOptions& options() const { return options_; }
  Availability probe(Duration time_max);

 private:
  struct Probed {
    std::int64_t modified = 0;
    Availability result;
  };
  Availability look(const std::string& program, Duration time_max) const;

  const LlamaOptions options_;
  std::mutex mutex_;              // held while a program is asked
  std::optional<Probed> probed_;  // under mutex_
};

class LlamaCppKind final : public EngineKind {
 public:
  LlamaCppKind(LlamaOptions options, UpstreamLoop& loop, const Clock& clock);

  std::string_view name() const override { return "llama_cpp"; }
  Availability probe(Duration time_max) override { return program_->probe(time_max); }
  std::optional<std::string> objection(const ModelSpec& spec) const override;
  Capabilities capabilities(const ModelSpec& spec) const override;
  MemoryNeed memory_need(const ModelSpec& spec, std::size_t context_size) const override;
  Result<std::unique_ptr<InferenceBackend>> make() override;

 private:
  const std::shared_ptr<LlamaProgram> program_;  // its backends ask it again at each load
  UpstreamLoop& loop_;
  const Clock& clock_;
};

}  // namespace minerva::backend
