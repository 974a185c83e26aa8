// Our own CPU engine behind the one interface. Everything but loading returns at once; tokens come
// from the batcher's thread. Answers depend on the model, the prompt, the settings and the seed
// alone, never on load (docs/numerics.md).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "engine/batcher.h"
#include "engine/compute_pool.h"
#include "engine/model.h"
#include "formats/gguf.h"
#include "kernels/kernel_table.h"
#include "text/tokenizer.h"

namespace minerva::backend {

struct NativeOptions {
  engine::Numerics numerics = engine::Numerics::Exact;
  std::size_t context_default = 0;  // the most that a load without a size gets; 0: the model's
  std::uint64_t kv_bytes_max = 0;   // for keys and values; 0: half of what memory is free
  std::size_t waiting_max = 512;
  engine::ScheduleLimits schedule;
  Duration paused_max = std::chrono::seconds(60);
  // Opens a model's weights; empty: GGUF files only.
  std::function<Result<std::shared_ptr<const formats::GgufFile>>(const ModelSpec&)> open;
  // Where vocabularies are shared with others; empty: read from the file.
  std::function<Result<std::shared_ptr<const text::Tokenizer>>(const ModelSpec&)> vocabulary;
  // Another scheduler than the fair one, for tests.
  std::function<std::unique_ptr<engine::Scheduler>()> scheduler;
  // Loading's progress, in bytes; called from several threads.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};

class NativeBackend final : public InferenceBackend {
 public:
  NativeBackend(NativeOptions options, engine::ComputePool& pool,
                const kernels::KernelTable& kernels, const Clock& clock, Metrics& metrics);
  ~NativeBackend() override;

  Result<void> load_model(const ModelSpec& spec, std::size_t context_size) override;
  Result<void> unload_model() override;
  bool is_loaded() const override;
  LoadProgress load_progress() const override { return {load_done_, load_total_}; }
  std::size_t context_size() const override;
  std::size_t text_tokens_max() const override;
  unsigned thread_count() const override;

  Result<void> generate(GenerateRequest request, std::shared_ptr<GenerationStream> stream) override;
  Result<void> embed(EmbedRequest request, std::shared_ptr<GenerationStream> stream) override;
  Result<std::vector<TokenId>> tokenize(std::string_view text,
                                        TokenizeOptions options) const override;
  Result<std::string> detokenize(std::span<const TokenId> tokens) const override;

  Result<void> start() override { return {}; }
  void stop(Duration grace) override;
  void kill() override;
  Probe probe() const override;
  ResourceUsage usage() const override;
  Activity activity() const override;
  std::vector<std::string> last_log_lines(std::size_t) const override { return {}; }
  Capabilities capabilities() const override;
  std::string_view name() const override { return "native"; }

  // KV pages in use and there are; for tests and metrics.
  std::size_t kv_pages_used() const;

 private:
  struct Loaded;
  std::shared_ptr<Loaded> loaded() const;
  Result<std::shared_ptr<Loaded>> load_decoder(
      std::shared_ptr<const formats::GgufFile> file,
      std::shared_ptr<const text::Tokenizer> tokenizer, std::size_t context_size,
      const engine::WeightLoader::Progress& progress) const;
  Result<std::shared_ptr<Loaded>> load_encoder(
      std::shared_ptr<const formats::GgufFile> file,
      std::shared_ptr<const text::Tokenizer> tokenizer, std::size_t context_size,
      const engine::WeightLoader::Progress& progress) const;
  Result<std::vector<TokenId>> prompt_tokens(const Loaded& loaded,
                                             const GenerateRequest& request) const;

  const NativeOptions options_;
  engine::ComputePool& pool_;
  const kernels::KernelTable& kernels_;
  const Clock& clock_;
  Metrics& metrics_;
  std::mutex loading_;  // one load or unload at a time
  mutable std::mutex mutex_;
  std::shared_ptr<Loaded> loaded_;            // guarded by mutex_
  std::uint64_t loads_ = 0;                   // guarded by mutex_; versions the capabilities
  std::atomic<std::uint64_t> load_done_ = 0;  // bytes, of the last load
  std::atomic<std::uint64_t> load_total_ = 0;
};

// `only_vectors`: of a model that makes no text.
Capabilities native_capabilities(bool only_vectors);

// By the options' way, or as a GGUF file.
Result<std::shared_ptr<const formats::GgufFile>> open_weights(const NativeOptions& options,
                                                              const ModelSpec& spec);

// The context that a load gets: what is asked for, or the least of the model's own, the configured
// and what `kv_bytes` hold. More than the model was trained for, or than memory holds, is refused.
Result<std::size_t> choose_context(const engine::ModelConfig& config, std::size_t asked,
                                   std::size_t configured, std::uint64_t kv_bytes);

}  // namespace minerva::backend
