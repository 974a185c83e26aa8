// MLX models and Hugging Face folders, on a supervised `python -m mlx_lm server`; those that see on
// mlx_vlm.server where it is installed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "backend/child/child_backend.h"
#include "backend/engine_kind.h"
#include "backend/mlx/mlx_options.h"

namespace minerva::backend {

// Which of the two servers runs a model, by what the probe found.
enum class MlxServer : std::uint8_t { Lm, Vlm };
MlxServer mlx_server_for(const ModelSpec& spec, std::string_view found_version);

class MlxKind final : public EngineKind {
 public:
  MlxKind(MlxOptions options, UpstreamLoop& loop, const Clock& clock);

  std::string_view name() const override { return "mlx"; }
  Availability probe(Duration time_max) override;
  std::optional<std::string> objection(const ModelSpec& spec) const override;
  Capabilities capabilities(const ModelSpec& spec) const override;
  MemoryNeed memory_need(const ModelSpec& spec, std::size_t context_size) const override;
  Result<std::unique_ptr<InferenceBackend>> make() override;

 private:
  std::string found_version() const;  // empty where it is not available
  MlxServer server_for(const ModelSpec& spec) const;

  const std::shared_ptr<const MlxOptions> options_;
  UpstreamLoop& loop_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::string probed_;  // guarded by mutex_: the fingerprint that found_ is of
  Availability found_;  // guarded by mutex_
};

// How a model is launched; MlxKind's backends ask at each load.
Result<LaunchPlan> plan_mlx(const MlxOptions& options, const ModelSpec& spec,
                            std::size_t context_size, MlxServer server = MlxServer::Lm);
std::optional<std::string> mlx_objection(const ModelSpec& spec);

}  // namespace minerva::backend
