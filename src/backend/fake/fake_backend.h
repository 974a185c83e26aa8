// A backend without an engine: FakeModel behind the whole interface, with faults to order. It
// batches, pauses slow readers, honours cancel and deadlines as a real one does, and so stands for
// one in the tests of serve, http and the conformance suite.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "backend/fake/fake_options.h"
#include "base/clock.h"

namespace minerva::backend {

class FakeWorker;

// Any thread. One worker thread of its own makes the steps; it ends with the destructor, also where
// a test still holds worker().
class FakeBackend final : public InferenceBackend {
 public:
  FakeBackend(FakeOptions options, const Clock& clock);
  ~FakeBackend() override;

  Result<void> load_model(const ModelSpec& spec, std::size_t context_size) override;
  Result<void> unload_model() override;
  bool is_loaded() const override;
  LoadProgress load_progress() const override;
  std::size_t context_size() const override;
  unsigned thread_count() const override { return 1; }

  Result<void> generate(GenerateRequest request, std::shared_ptr<GenerationStream> stream) override;
  // At once, unless hang_at_token is ordered: then the stream ends when it is cancelled.
  Result<void> embed(EmbedRequest request, std::shared_ptr<GenerationStream> stream) override;
  // Control tokens are not parsed from the text; add_special puts kBeginning in front.
  Result<std::vector<TokenId>> tokenize(std::string_view text,
                                        TokenizeOptions options) const override;
  Result<std::string> detokenize(std::span<const TokenId> tokens) const override;

  Result<void> start() override;
  void stop(Duration grace) override;
  void kill() override;
  Probe probe() const override;
  ResourceUsage usage() const override;
  Activity activity() const override;
  std::vector<std::string> last_log_lines(std::size_t count) const override;
  Capabilities capabilities() const override;
  std::string_view name() const override { return "fake"; }

  // --- for tests ---
  void set_faults(FakeFaults faults);
  void advance(std::uint64_t steps);  // manual mode: that many steps more
  void release_load();
  void set_load_progress(LoadProgress progress);
  std::size_t running() const;      // requests that have not ended
  std::size_t loads() const;        // load_model calls that came this far
  std::size_t widest_step() const;  // most requests that shared a step
  std::uint64_t tokens_made() const;
  // What may be asked and told even after somebody else has destroyed this backend.
  std::shared_ptr<FakeWorker> worker() const { return worker_; }

 private:
  const FakeOptions options_;
  const std::shared_ptr<FakeWorker> worker_;
};

}  // namespace minerva::backend
